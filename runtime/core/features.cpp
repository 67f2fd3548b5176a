// For who defines nothing else: a member of an archive, which the linker takes when it must.
#include "morgana/core/features.hpp"

bool const morgana::features::help = true;
