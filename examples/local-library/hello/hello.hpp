#pragma once

#include <string_view>

namespace hello {

[[nodiscard]] std::string_view greeting();

}  // namespace hello
