// The head of a request: feeding the parser, collecting fields, and the checks that RFC 9112 asks of a server
// beyond what the parser does.
#include <algorithm>
#include <cstring>

#include "known_names.hpp"
#include "morgana/http/connection.hpp"
#include "morgana/http/features.hpp"
#include "parser.hpp"
#include "text_rules.hpp"

namespace morgana::http {

namespace {

method method_of(llhttp_method_t method) {
  switch (method) {
    case HTTP_GET: return method::get;
    case HTTP_HEAD: return method::head;
    case HTTP_POST: return method::post;
    case HTTP_PUT: return method::put;
    case HTTP_DELETE: return method::delete_;
    case HTTP_OPTIONS: return method::options;
    case HTTP_PATCH: return method::patch;
    default: return method::other;
  }
}

/// The parser also knows methods of RTSP and ICE, and CONNECT, which only a proxy answers.
bool is_served(llhttp_method_t method) {
  return method != HTTP_CONNECT && method != HTTP_SOURCE && (method < HTTP_PRI || method == HTTP_QUERY);
}

#ifdef __OPTIMIZE_SIZE__
constexpr bool has_plain_way = false;   // the parser does it all
#else
constexpr bool has_plain_way = true;
#endif
constexpr std::string_view after_target = " HTTP/1.1";   // the versions we serve are of one length
constexpr std::size_t empty_line_bytes = 2;

}  // namespace

struct parser_callbacks {
  static connection& of(llhttp_t* parser) { return *static_cast<connection*>(parser->data); }

  static int on_url(llhttp_t* parser, char const* at, std::size_t size) {
    auto& self = of(parser);
    auto& target = self.request_.target_;
    target = target.data() == nullptr ? std::string_view(at, size) : std::string_view(target.data(), target.size() + size);
    return 0;
  }
  static int on_url_complete(llhttp_t* parser) {
    auto& self = of(parser);
    self.line_end_ = self.request_.target_.data() + self.request_.target_.size();
    return 0;
  }
  static int on_header_field(llhttp_t* parser, char const* at, std::size_t size) {
    auto& self = of(parser);
    if (self.head_complete_) return 0;   // a trailer: its bytes are counted as framing, its meaning is not used
    auto& name = self.pending_.name;
    name = name.data() == nullptr ? std::string_view(at, size) : std::string_view(name.data(), name.size() + size);
    return 0;
  }
  static int on_header_value(llhttp_t* parser, char const* at, std::size_t size) {
    auto& self = of(parser);
    if (self.head_complete_) return 0;
    auto& value = self.pending_.value;
    value = value.data() == nullptr ? std::string_view(at, size) : std::string_view(value.data(), value.size() + size);
    return 0;
  }
  static int on_header_value_complete(llhttp_t* parser) {
    auto& self = of(parser);
    return self.head_complete_ || self.add_field() ? 0 : HPE_USER;
  }
  static int on_headers_complete(llhttp_t* parser) {
    auto& self = of(parser);
    self.head_complete_ = true;
    // A server may ignore Upgrade (RFC 9110 section 7.8); ours does, so the connection stays HTTP.
    parser->upgrade = 0;
    bool const has_body = (parser->flags & F_CHUNKED) != 0 || parser->content_length != 0;
    return has_body || parser->method == HTTP_CONNECT ? HPE_PAUSED : 0;
  }
  static int on_body(llhttp_t* parser, char const* at, std::size_t size) {
    auto& self = of(parser);
    self.body_received_ += size;
    if (self.body_received_ > self.server_.limits.body_bytes) {
      self.refusal_ = status::content_too_large;
      self.refusal_counter_ = &statistics::bodies_too_large;
      return HPE_USER;
    }
    // Chunks are put next to each other, over the framing that was between them.
    auto* const to = self.buffer_ + self.body_end_;
    if (to != at) std::memmove(to, at, size);
    self.body_end_ += size;
    return 0;
  }
  static int on_message_complete(llhttp_t* parser) {
    of(parser).message_complete_ = true;
    return HPE_PAUSED;
  }
};

namespace {

constexpr llhttp_settings_t callbacks = [] {
  llhttp_settings_t settings{};
  settings.on_url = parser_callbacks::on_url;
  settings.on_url_complete = parser_callbacks::on_url_complete;
  settings.on_header_field = parser_callbacks::on_header_field;
  settings.on_header_value = parser_callbacks::on_header_value;
  settings.on_header_value_complete = parser_callbacks::on_header_value_complete;
  settings.on_headers_complete = parser_callbacks::on_headers_complete;
  settings.on_body = parser_callbacks::on_body;
  settings.on_message_complete = parser_callbacks::on_message_complete;
  return settings;
}();

}  // namespace

void start_parser(std::byte* storage, connection& owner) {
  auto* const parser = ::new (storage) llhttp_t;
  llhttp_init(parser, HTTP_REQUEST, &callbacks);
  parser->data = &owner;
}

void connection::start_parsing() {
  static_assert(sizeof(llhttp_t) <= parser_bytes && alignof(llhttp_t) <= 8);
  start_parser(parser_, *this);
  start_message();
}

void connection::start_message() {
  request_.method_ = method::other;
  request_.is_http_1_0_ = false;
  request_.present_ = 0;
  request_.field_count_ = 0;
  request_.target_ = {};
  pending_ = {};
  line_end_ = nullptr;
  repeated_ = false;
  head_complete_ = message_complete_ = false;
  body_received_ = framing_bytes_ = drained_ = 0;
  body_begin_ = body_end_ = 0;
  expects_continue_ = body_failed_ = false;
  refusal_ = status::bad_request;
  refusal_counter_ = &statistics::malformed;
  has_message_ = true;
  memory_.head_bytes_ = 0;
  memory_.answer_ = nullptr;
}

bool connection::add_field() {
  auto& fields = request_.fields_;
  if (request_.field_count_ >= std::min(server_.limits.header_fields, fields.size())) {
    refusal_ = status::header_fields_too_large;
    refusal_counter_ = &statistics::too_many_headers;
    return false;
  }
  pending_.value = trim(pending_.value);
  auto const known = find_known(pending_.name);
  if (known != not_known) {
    auto const bit = static_cast<std::uint16_t>(1u << known);
    if ((request_.present_ & bit) == 0) {
      request_.known_[known] = static_cast<std::uint8_t>(request_.field_count_);
    } else if ((bit & repeatable_fields) == 0) {
      repeated_ = true;
    }
    request_.present_ |= bit;
  }
  fields[request_.field_count_++] = pending_;
  pending_ = {};
  return true;
}

connection::head_state connection::skip_empty_line() {
  // RFC 9112 section 2.2: a server ignores at least one empty line before a request. Ours ignores exactly one.
  if (buffer_[parsed_] != '\r' && buffer_[parsed_] != '\n') return head_state::complete;
  if (skipped_line_ || buffer_[parsed_] == '\n') return refuse(status::bad_request, &statistics::malformed);
  if (end_ - parsed_ < empty_line_bytes) return head_state::incomplete;
  if (buffer_[parsed_ + 1] != '\n') return refuse(status::bad_request, &statistics::malformed);
  skipped_line_ = true;
  parsed_ += empty_line_bytes;
  begin_ = parsed_;
  return head_state::incomplete;
}

/// A client that asks again asks mostly for the same: then nothing needs to be parsed and checked again.
bool connection::repeats_head() const {
  auto const& known = memory_;
  return known.head_bytes_ != 0 && begin_ == known.head_begin_ && parsed_ == begin_ && end_ - begin_ >= known.head_bytes_ &&
         std::memcmp(&buffer_[begin_], known.head_.data(), known.head_bytes_) == 0;
}

void connection::remember_head() {
  auto const bytes = parsed_ - begin_;
  if (!message_complete_ || !keep_alive_ || bytes > memory_.head_.size()) return;
  std::memcpy(memory_.head_.data(), &buffer_[begin_], bytes);
  memory_.head_bytes_ = bytes;
  memory_.head_begin_ = begin_;
}

void connection::begin_request() {
  ++requests_;
  if (keep_alive_ && requests_ >= server_.limits.requests_per_connection) {
    keep_alive_ = false;
    ++server_.statistics.connections_used_up;
  }
  response_.reset();
  ++server_.statistics.requests;
}

connection::head_state connection::parse_head() {
  if (has_message_ || !repeats_head()) return parse_new_head();
  parsed_ += memory_.head_bytes_;
  has_message_ = head_complete_ = message_complete_ = true;
  begin_request();
  return head_state::complete;
}

[[gnu::noinline]] connection::head_state connection::parse_new_head() {
  while (!has_message_) {
    if (parsed_ == end_) return head_state::incomplete;
    auto const before = parsed_;
    auto const skipped = skip_empty_line();
    if (skipped == head_state::refused) return skipped;
    if (skipped == head_state::complete) {
      start_message();
      if (features::parser) {
        if (has_plain_way && take_plain_head()) return head_state::complete;
        start_parsing();
      }
    } else if (parsed_ == before) return head_state::incomplete;
  }
  if (parsed_ == end_) return head_state::incomplete;
  if (!features::parser) return take_plain_lines();

  auto& parser = parser_in(parser_);
  auto const error = llhttp_execute(&parser, &buffer_[parsed_], end_ - parsed_);
  if (error == HPE_OK) {
    parsed_ = end_;
  } else if (error == HPE_PAUSED) {
    parsed_ = static_cast<std::size_t>(parser.error_pos - buffer_);
  } else {
    return refuse_after_parser_error();
  }

  auto const& limits = server_.limits;
  auto const at_end = buffer_ + parsed_;
  auto const line_bytes =
      line_end_ == nullptr ? static_cast<std::size_t>(at_end - &buffer_[begin_])
                           : static_cast<std::size_t>(line_end_ - &buffer_[begin_]) + after_target.size();
  if (line_bytes > limits.request_line_bytes) {
    return refuse(status::uri_too_long, &statistics::request_lines_too_long);
  }
  if (line_end_ != nullptr) {
    auto const line_rest = after_target.size() + empty_line_bytes;
    auto const behind_target = static_cast<std::size_t>(at_end - line_end_);
    if (behind_target > line_rest + limits.headers_bytes) {
      return refuse(status::header_fields_too_large, &statistics::headers_too_large);
    }
  }
  return error == HPE_OK ? head_state::incomplete : check_head();
}

connection::head_state connection::check_head() {
  auto& parser = parser_in(parser_);
  auto const bad = [this] { return refuse(status::bad_request, &statistics::malformed); };

  // RFC 9112 section 3: exactly one space before and behind the target.
  std::string_view const method_name(llhttp_method_name(static_cast<llhttp_method_t>(parser.method)));
  request_.method_text_ = std::string_view(&buffer_[begin_], method_name.size());
  if (request_.target_.data() != &buffer_[begin_] + method_name.size() + 1) return bad();
  if (parser.http_major != 1 || parser.http_minor > 1) {
    return refuse(status::version_not_supported, &statistics::unsupported);
  }
  std::string_view const behind(line_end_, after_target.size() + empty_line_bytes);
  if (behind.starts_with(" RTSP/") || behind.starts_with(" ICE/")) {
    return refuse(status::not_implemented, &statistics::unsupported);
  }
  if (!behind.starts_with(" HTTP/") || !behind.ends_with("\r\n")) return bad();
  auto const method = static_cast<llhttp_method_t>(parser.method);
  if (!is_served(method)) return refuse(status::not_implemented, &statistics::unsupported);
  request_.is_http_1_0_ = parser.http_minor == 0;
  request_.method_ = method_of(method);
  if (auto const fields = check_fields(); fields != head_state::complete) return fields;

  bool const has_body = !message_complete_;
  bool const is_chunked = (parser.flags & F_CHUNKED) != 0;
  request_.body_.length_ = is_chunked ? std::nullopt : std::optional<std::uint64_t>(has_body ? parser.content_length : 0);
  if (has_body && !is_chunked && parser.content_length > server_.limits.body_bytes) {
    return refuse(status::content_too_large, &statistics::bodies_too_large);
  }
  // RFC 9110 section 10.1.1: ignored in HTTP/1.0, and pointless once some of the body is here.
  expects_continue_ = request_.has(known_field::expect) && has_body && !request_.is_http_1_0_ && parsed_ == end_;

  keep_alive_ = llhttp_should_keep_alive(&parser) != 0;
  remember_head();
  if (has_body) {
    if (capacity_ - parsed_ < server_.limits.body_room_bytes) compact();
    llhttp_resume(&parser);
    head_end_ = body_begin_ = body_end_ = parsed_;
  }
  begin_request();
  return head_state::complete;
}

/// What is asked of every head, whoever read it.
connection::head_state connection::check_fields() {
  auto const bad = [this] { return refuse(status::bad_request, &statistics::malformed); };
  if (repeated_) return bad();
  if (request_.has(known_field::host)) {
    request_.host_ = request_.header(known_field::host);
    if (!is_host(request_.host_)) return bad();
  } else {
    if (!request_.is_http_1_0_) return bad();
    request_.host_ = {};
  }
  if (auto const target = check_target(); target != head_state::complete) return target;

  if (request_.has(known_field::transfer_encoding)) {
    if (request_.is_http_1_0_) return bad();
    // Without the parser there are no bodies, so that nothing must be known of their ends.
    if (!features::parser || !equals_ignoring_case(request_.header(known_field::transfer_encoding), "chunked")) {
      return refuse(status::not_implemented, &statistics::unsupported);
    }
  }
  if (request_.has(known_field::expect) && !equals_ignoring_case(request_.header(known_field::expect), "100-continue")) {
    return refuse(status::expectation_failed, &statistics::unsupported);
  }
  return head_state::complete;
}

connection::head_state connection::check_target() {
  auto const bad = [this] { return refuse(status::bad_request, &statistics::malformed); };
  auto const target = request_.target_;
  for (char const c : target) {
    if (c <= ' ' || c > '~' || c == '#') return bad();   // a fragment is never sent (RFC 9110 section 4.2.5)
  }
  auto rest = target;
  if (!target.starts_with('/')) {
    if (target == "*") {
      if (request_.method_ != method::options) return bad();
      request_.path_ = target;
      request_.query_ = {};
      return head_state::complete;
    }
    constexpr std::string_view scheme = "http://";
    if (target.size() < scheme.size() || !equals_ignoring_case(target.substr(0, scheme.size()), scheme)) return bad();
    rest.remove_prefix(scheme.size());
    auto const authority = rest.substr(0, rest.find_first_of("/?"));
    if (authority.empty() || !is_host(authority)) return bad();   // and no user name: RFC 9110 section 4.2.4
    request_.host_ = authority;
    rest.remove_prefix(authority.size());
  }
  split_target(rest);
  return head_state::complete;
}

void connection::split_target(std::string_view path_and_query) {
  auto const question = path_and_query.find('?');
  request_.path_ = path_and_query.substr(0, question);
  if (request_.path_.empty()) request_.path_ = "/";
  request_.query_ = question == std::string_view::npos ? std::string_view() : path_and_query.substr(question + 1);
}

connection::head_state connection::refuse(status code, std::uint64_t statistics::* counter) {
  ++(server_.statistics.*counter);
  keep_alive_ = false;
  must_close_ = lingers_ = true;
  memory_.head_bytes_ = 0;
  request_.method_ = method::other;   // whatever was asked, this answer has a body and says that it is the last
  request_.is_http_1_0_ = false;
  response_.reset();
  response_.reply(code);
  ++server_.statistics.responses;
  ++gathered_;
  return head_state::refused;
}

connection::head_state connection::refuse_after_parser_error() {
  auto const& parser = parser_in(parser_);
  // What was read until the parser stopped: the same however the bytes were split.
  char const* const first = &buffer_[begin_];
  char const* const last = parser.error_pos == nullptr ? first : parser.error_pos;
  switch (llhttp_get_errno(&parser)) {
    case HPE_USER:
    case HPE_CB_HEADER_VALUE_COMPLETE: return refuse(refusal_, refusal_counter_);
    case HPE_INVALID_METHOD:
      // A method we do not know is 501 (RFC 9110 section 9.1), but TLS or noise is not a method.
      if (std::all_of(first, last + 1, is_token_char)) return refuse(status::not_implemented, &statistics::unsupported);
      break;
    case HPE_INVALID_VERSION:
      if (line_end_ != nullptr && is_other_version(std::string_view(line_end_, static_cast<std::size_t>(last - line_end_)))) {
        return refuse(status::version_not_supported, &statistics::unsupported);
      }
      break;
    case HPE_PAUSED_H2_UPGRADE: return refuse(status::version_not_supported, &statistics::unsupported);
    default: break;
  }
  return refuse(status::bad_request, &statistics::malformed);
}

}  // namespace morgana::http
