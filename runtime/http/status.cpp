#include "morgana/http/status.hpp"

#include <algorithm>
#include <iterator>

#include "morgana/http/error.hpp"

namespace morgana::http {
namespace {

struct entry {
  status code;
  std::string_view line;
};

// Sorted by code; the reason is the part of the line behind the code.
constexpr entry entries[] = {
    {status::ok, "HTTP/1.1 200 OK\r\n"},
    {status::created, "HTTP/1.1 201 Created\r\n"},
    {status::accepted, "HTTP/1.1 202 Accepted\r\n"},
    {status::no_content, "HTTP/1.1 204 No Content\r\n"},
    {status::partial_content, "HTTP/1.1 206 Partial Content\r\n"},
    {status::moved_permanently, "HTTP/1.1 301 Moved Permanently\r\n"},
    {status::found, "HTTP/1.1 302 Found\r\n"},
    {status::see_other, "HTTP/1.1 303 See Other\r\n"},
    {status::not_modified, "HTTP/1.1 304 Not Modified\r\n"},
    {status::temporary_redirect, "HTTP/1.1 307 Temporary Redirect\r\n"},
    {status::permanent_redirect, "HTTP/1.1 308 Permanent Redirect\r\n"},
    {status::bad_request, "HTTP/1.1 400 Bad Request\r\n"},
    {status::unauthorized, "HTTP/1.1 401 Unauthorized\r\n"},
    {status::forbidden, "HTTP/1.1 403 Forbidden\r\n"},
    {status::not_found, "HTTP/1.1 404 Not Found\r\n"},
    {status::method_not_allowed, "HTTP/1.1 405 Method Not Allowed\r\n"},
    {status::request_timeout, "HTTP/1.1 408 Request Timeout\r\n"},
    {status::conflict, "HTTP/1.1 409 Conflict\r\n"},
    {status::length_required, "HTTP/1.1 411 Length Required\r\n"},
    {status::precondition_failed, "HTTP/1.1 412 Precondition Failed\r\n"},
    {status::content_too_large, "HTTP/1.1 413 Content Too Large\r\n"},
    {status::uri_too_long, "HTTP/1.1 414 URI Too Long\r\n"},
    {status::unsupported_media_type, "HTTP/1.1 415 Unsupported Media Type\r\n"},
    {status::range_not_satisfiable, "HTTP/1.1 416 Range Not Satisfiable\r\n"},
    {status::expectation_failed, "HTTP/1.1 417 Expectation Failed\r\n"},
    {status::too_many_requests, "HTTP/1.1 429 Too Many Requests\r\n"},
    {status::header_fields_too_large, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
    {status::internal_server_error, "HTTP/1.1 500 Internal Server Error\r\n"},
    {status::not_implemented, "HTTP/1.1 501 Not Implemented\r\n"},
    {status::service_unavailable, "HTTP/1.1 503 Service Unavailable\r\n"},
    {status::version_not_supported, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
};
static_assert(std::ranges::is_sorted(entries, {}, &entry::code));

constexpr std::size_t reason_offset = std::string_view("HTTP/1.1 200 ").size();

constexpr entry const* find(status code) {
  auto const found = std::ranges::lower_bound(entries, code, {}, &entry::code);
  return found != std::end(entries) && found->code == code ? found : nullptr;
}

}  // namespace

std::string_view status_line(status code) {
  if (auto const* found = find(code)) return found->line;
  return {};
}

std::string_view reason(status code) {
  auto const* const found = find(code);
  if (found == nullptr) return {};
  return found->line.substr(reason_offset, found->line.size() - reason_offset - 2);
}

error_domain const& domain_of(http_error) {
  static constexpr error_domain domain{"http", [](std::uint32_t code) -> std::string_view {
    switch (static_cast<http_error>(code)) {
      case http_error::malformed_body: return "malformed request body";
      case http_error::body_too_large: return "request body too large";
      case http_error::timed_out: return "the peer was too slow";
      case http_error::peer_closed: return "the peer closed the connection";
      case http_error::wrong_length: return "not the announced length of the response";
    }
    return "unknown error";
  }};
  return domain;
}

}  // namespace morgana::http
