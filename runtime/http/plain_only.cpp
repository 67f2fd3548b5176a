// The head of a request in an image without the parser (morgana/http/features.hpp): line by line, as lines arrive. It takes
// nothing that the parser refuses, and finds the same in what it takes: the fuzzer (tests/fuzz/http_plain_only.cpp) compares the
// two. What only a parser could take for a message of another length is refused, and with it the connection ends.
#include <algorithm>

#include "morgana/http/connection.hpp"
#include "text_rules.hpp"

namespace morgana::http {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::size_t version_bytes = 9;   // " HTTP/1.1"

/// Whether a list of options names `close`, or anything like it: who is wrong about that only closes a connection early.
bool may_close(std::string_view options) {
  constexpr std::string_view close = "close";
  for (; options.size() >= close.size(); options.remove_prefix(1)) {
    if (equals_ignoring_case(options.substr(0, close.size()), close)) return true;
  }
  return false;
}

}  // namespace

/// The next line without its end, for which there is room with it.
connection::head_state connection::take_line(std::string_view& line, std::size_t room) {
  auto const* const begin = buffer_ + parsed_;
  std::string_view const here(begin, end_ - parsed_);
  std::size_t size = 0;
  while (size != here.size() && is_field_character(here[size])) ++size;
  if (size + line_end.size() > room) {
    return line_end_ == nullptr ? refuse(status::uri_too_long, &statistics::request_lines_too_long)
                                : refuse(status::header_fields_too_large, &statistics::headers_too_large);
  }
  auto const behind = here.substr(size, line_end.size());
  // RFC 9112 section 2.2: a bare CR is malformed, and a bare LF may be.
  if (!line_end.starts_with(behind)) return refuse(status::bad_request, &statistics::malformed);
  if (behind.size() != line_end.size()) return head_state::incomplete;
  line = here.substr(0, size);
  parsed_ += size + line_end.size();
  return head_state::complete;
}

/// RFC 9112 section 3: method, target and version with one space between them. The target is looked at when Host is known.
connection::head_state connection::take_request_line(std::string_view line) {
  auto const method_end = line.find(' ');
  auto const target_end = line.rfind(' ');
  if (target_end == method_end || !is_token(line.substr(0, method_end))) {
    return refuse(status::bad_request, &statistics::malformed);
  }
  auto const version = line.substr(target_end);
  request_.is_http_1_0_ = version == " HTTP/1.0";
  if (!request_.is_http_1_0_ && version != " HTTP/1.1") {
    if (version.size() != version_bytes || !is_other_version(version)) {
      return refuse(status::bad_request, &statistics::malformed);
    }
    return refuse(status::version_not_supported, &statistics::unsupported);
  }
  request_.method_text_ = line.substr(0, method_end);
  request_.target_ = line.substr(method_end + 1, target_end - method_end - 1);
  line_end_ = line.data() + target_end;
  auto const is_get = request_.method_text_ == "GET";
  if (!is_get && request_.method_text_ != "HEAD") return refuse(status::not_implemented, &statistics::unsupported);
  request_.method_ = is_get ? method::get : method::head;
  return head_state::complete;
}

connection::head_state connection::take_field(std::string_view line) {
  auto const colon = line.find(':');
  auto const name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name)) return refuse(status::bad_request, &statistics::malformed);
  pending_ = {name, line.substr(colon + 1)};
  return add_field() ? head_state::complete : refuse(refusal_, refusal_counter_);
}

connection::head_state connection::take_plain_lines() {
  auto const& limits = server_.limits;
  for (;;) {
    auto const is_first = line_end_ == nullptr;
    auto room = limits.request_line_bytes + line_end.size();
    if (!is_first) {
      auto const* const fields = line_end_ + version_bytes + line_end.size();
      room = limits.headers_bytes - static_cast<std::size_t>(buffer_ + parsed_ - fields);
    }
    std::string_view line;
    auto step = take_line(line, room);
    if (step != head_state::complete) return step;
    if (is_first) {
      step = take_request_line(line);
    } else if (!line.empty()) {
      step = take_field(line);
    } else {
      return finish_plain_head();
    }
    if (step != head_state::complete) return step;
  }
}

connection::head_state connection::finish_plain_head() {
  if (auto const fields = check_fields(); fields != head_state::complete) return fields;
  if (request_.has(known_field::content_length)) {
    auto const length = request_.header(known_field::content_length);
    if (length.empty() || length.find_first_not_of("0123456789") != std::string_view::npos) {
      return refuse(status::bad_request, &statistics::malformed);
    }
    if (length != "0") return refuse(status::content_too_large, &statistics::bodies_too_large);
  }
  bool keeps = !request_.is_http_1_0_;
  bool closes = false;
  for (auto const& field : request_.headers()) {
    if (!equals_ignoring_case(field.name, "connection") && !equals_ignoring_case(field.name, "proxy-connection")) continue;
    keeps = keeps || equals_ignoring_case(field.value, "keep-alive");
    closes = closes || may_close(field.value);
  }
  keep_alive_ = keeps && !closes;
  head_complete_ = message_complete_ = true;
  request_.body_.length_ = 0;
  remember_head();
  begin_request();
  return head_state::complete;
}

}  // namespace morgana::http
