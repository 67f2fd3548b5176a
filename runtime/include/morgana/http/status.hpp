// Status codes (RFC 9110 section 15) and their reason phrases.
#pragma once

#include <cstdint>
#include <string_view>

namespace morgana::http {

enum class status : std::uint16_t {
  ok = 200,
  created = 201,
  accepted = 202,
  no_content = 204,
  partial_content = 206,
  moved_permanently = 301,
  found = 302,
  see_other = 303,
  not_modified = 304,
  temporary_redirect = 307,
  permanent_redirect = 308,
  bad_request = 400,
  unauthorized = 401,
  forbidden = 403,
  not_found = 404,
  method_not_allowed = 405,
  request_timeout = 408,
  conflict = 409,
  length_required = 411,
  precondition_failed = 412,
  content_too_large = 413,
  uri_too_long = 414,
  unsupported_media_type = 415,
  range_not_satisfiable = 416,
  expectation_failed = 417,
  too_many_requests = 429,
  header_fields_too_large = 431,
  internal_server_error = 500,
  not_implemented = 501,
  service_unavailable = 503,
  version_not_supported = 505,
};

/// The whole status line, "HTTP/1.1 200 OK\r\n"; empty for a code that is not named above (a response_writer
/// then leaves the reason out, as RFC 9112 section 4 allows).
[[nodiscard]] std::string_view status_line(status code);

/// "OK"; empty for a code that is not named above.
[[nodiscard]] std::string_view reason(status code);

/// False for the codes whose responses never have content: 204 and 304 (RFC 9110 section 6.4.1).
[[nodiscard]] constexpr bool has_content(status code) {
  return code != status::no_content && code != status::not_modified;
}

}  // namespace morgana::http
