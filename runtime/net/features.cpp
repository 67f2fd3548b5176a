// The whole of it, for who defines nothing else: one member of an archive, which the linker takes when it must.
#include "morgana/net/features.hpp"

namespace morgana::net::features {

bool const ipv6 = true;
bool const dhcp = true;
bool const fragments = true;
bool const fast_open = true;
bool const prediction = true;

}  // namespace morgana::net::features
