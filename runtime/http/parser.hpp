// Private to runtime/http: the third-party parser in its place inside a connection.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <new>

namespace morgana::http {

static_assert(LLHTTP_VERSION_MAJOR == 9, "what is refused was tried with llhttp 9; see docs/decisions/http-parser.md");

[[nodiscard]] inline llhttp_t& parser_in(std::byte* storage) {
  return *std::launder(reinterpret_cast<llhttp_t*>(storage));
}

/// Prepares the parser for the next message; `owner` is what its callbacks find.
void start_parser(std::byte* storage, class connection& owner);

}  // namespace morgana::http
