// Fuzzes an HTTP connection without the parser (morgana/http/features.hpp). The first byte says how the rest is split. However
// it is split, the same requests reach the handler, and the last answer is the same. They are those that reach a handler
// behind the parser, until one comes that is not plain, or that may be the connection's last.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http_outcome.hpp"

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

/// `what` is in lower case.
bool has(std::string_view text, std::string_view what) {
  return std::search(text.begin(), text.end(), what.begin(), what.end(), [](char a, char b) { return (a | 0x20) == b; }) !=
         text.end();
}

/// A request that a server without the parser need not take.
bool may_be_refused(std::string_view request, std::string_view status) {
  if (status == "413") return has(request, "content-length:");
  return status == "501" && ((!request.starts_with("GET ") && !request.starts_with("HEAD ")) || has(request, "transfer-encoding:"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const wire(reinterpret_cast<char const*>(data) + 1, size - 1);
  auto const step = data[0] % 32u + 1u;
  auto const whole = with_parser::http_outcome_of(wire, SIZE_MAX).requests;
  auto const plain = without_parser::http_outcome_of(wire, SIZE_MAX);
  expect(plain == without_parser::http_outcome_of(wire, step));
  auto const count = plain.requests.size();
  expect(count <= whole.size() && std::equal(plain.requests.begin(), plain.requests.end(), whole.begin()));
  if (count == whole.size()) return 0;
  // It ended earlier. Either what came next is not plain, or what came last could be taken for the last.
  expect(may_be_refused(whole[count], plain.last_status) || (plain.last_status == "200" && has(plain.requests.back(), "close")));
  return 0;
}
