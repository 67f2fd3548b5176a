// One connection of a server from its first byte to its end. Compiled twice: with the parser, in morgana::http, and without
// it, with all of runtime/http, in a namespace of its own (CMakeLists.txt), so that a fuzzer can compare the two.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct http_outcome {
  std::vector<std::string> requests;   ///< as a handler sees them
  std::string last_status;             ///< of the last answer, or empty
  bool operator==(http_outcome const&) const = default;
};

namespace with_parser {
[[nodiscard]] http_outcome http_outcome_of(std::string_view wire, std::size_t step);
}
namespace without_parser {
[[nodiscard]] http_outcome http_outcome_of(std::string_view wire, std::size_t step);
}
