// A request as a handler sees it: views into the connection's buffer, valid until the handler returns.
//
// What arrives here was checked: the request line has one form, fields and lengths are unambiguous, Host is
// there and well formed (connection.hpp lists what is refused). Percent-encoding is left as it came:
// see decode_path().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/http/error.hpp"
#include "morgana/http/limits.hpp"
#include "morgana/net/address.hpp"

namespace morgana::http {

class connection;
class response_writer;
struct parser_callbacks;

enum class method : std::uint8_t { get, head, post, put, delete_, options, patch, other };

struct header_field {
  std::string_view name;     ///< as it came; compare with equals_ignoring_case
  std::string_view value;    ///< without white space around it
};

/// Fields that are found without a search.
enum class known_field : std::uint8_t {
  host,
  connection,
  content_length,
  content_type,
  transfer_encoding,
  expect,
  range,
  if_match,
  if_none_match,
  if_modified_since,
  if_unmodified_since,
  if_range,
};
inline constexpr std::size_t known_fields = 12;

/// The body of a request, piece by piece, straight from the connection's buffer.
///
///   while (true) {
///     auto piece = co_await request.body().next();
///     if (!piece) co_return;                 // the server answers what is to be answered
///     if (piece->empty()) break;             // the end
///   }
class body_reader {
 public:
  /// The next bytes, valid until the next call or the handler's return; empty at the end. Sends
  /// `100 Continue` first when the client waits for it. Errors: every http_error but wrong_length.
  [[nodiscard]] task<result<std::span<std::byte const>>> next();

  /// Content-Length; empty when the body is chunked.
  [[nodiscard]] std::optional<std::uint64_t> length() const { return length_; }

 private:
  friend class connection;
  friend class request;
  body_reader() = default;
  connection* owner_ = nullptr;
  std::optional<std::uint64_t> length_;
};

class request {
 public:
  [[nodiscard]] http::method method() const { return method_; }
  [[nodiscard]] std::string_view method_text() const { return method_text_; }
  /// As in the request line: "/a%20b?c=d", "http://host/a", "*".
  [[nodiscard]] std::string_view target() const { return target_; }
  /// From its first '/' up to '?', still percent-encoded; "*" for the asterisk form.
  [[nodiscard]] std::string_view path() const { return path_; }
  /// After '?', still encoded; empty when there is none.
  [[nodiscard]] std::string_view query() const { return query_; }
  /// Host, or the authority of an absolute target, which wins (RFC 9112 section 3.2.2).
  [[nodiscard]] std::string_view host() const { return host_; }
  [[nodiscard]] bool is_http_1_0() const { return is_http_1_0_; }
  [[nodiscard]] net::endpoint const& peer() const { return peer_; }

  [[nodiscard]] std::span<header_field const> headers() const { return std::span(fields_).first(field_count_); }
  [[nodiscard]] bool has(known_field field) const { return (present_ >> static_cast<unsigned>(field) & 1u) != 0; }
  /// True when the request has a precondition or a range: evaluate() then has something to do.
  [[nodiscard]] bool is_conditional() const;
  /// The first field of that name; empty when there is none.
  [[nodiscard]] std::string_view header(known_field field) const {
    return has(field) ? fields_[known_[static_cast<std::size_t>(field)]].value : std::string_view();
  }
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;

  [[nodiscard]] body_reader& body() const { return body_; }

 private:
  friend class connection;
  friend class connection_memory;
  friend class response_writer;
  friend struct parser_callbacks;
  request() {}

  http::method method_ = method::other;
  bool is_http_1_0_ = false;
  std::uint16_t present_ = 0;
  std::array<std::uint8_t, known_fields> known_{};
  std::size_t field_count_ = 0;
  std::string_view method_text_, target_, path_, query_, host_;
  // The first field_count_ are there: to make all would be most of what a connection costs.
  union {
    std::array<header_field, header_fields_max> fields_;
  };
  net::endpoint peer_;
  mutable body_reader body_;
};

/// ASCII only, as names of fields and tokens are compared (RFC 9110 section 5.1).
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Removes percent-encoding. Empty when it is malformed, stands for NUL or '/', or `into` is too small. The
/// result is a view into `into`, or `path` itself when there was nothing to remove.
[[nodiscard]] std::optional<std::string_view> decode_path(std::string_view path, std::span<char> into);

}  // namespace morgana::http
