// For who defines nothing else: a member of an archive, which the linker takes when it must.
#include "morgana/http/features.hpp"

bool const morgana::http::features::parser = true;
