// Errors a handler can meet while it reads a body or writes a streamed response.
#pragma once

#include <cstdint>

#include "morgana/core/result.hpp"

namespace morgana::http {

enum class http_error : std::uint8_t {
  malformed_body,     ///< wrong chunks; answered with 400 unless the handler replied
  body_too_large,     ///< limits::body_bytes, the detail; answered with 413
  timed_out,          ///< the peer was too slow; answered with 408
  peer_closed,        ///< the peer ended or reset the connection
  wrong_length,       ///< more was written than announced
};
[[nodiscard]] error_domain const& domain_of(http_error);

}  // namespace morgana::http
