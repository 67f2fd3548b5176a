#include "hello/hello.hpp"

namespace hello {

std::string_view greeting() { return "hello from a local library"; }

}  // namespace hello
