#include "morgana/http/response.hpp"

#include <algorithm>
#include <cstring>

#include "morgana/http/connection.hpp"
#include "morgana/net/own_buffer.hpp"
#include "text_rules.hpp"

namespace morgana::http {

namespace {

constexpr std::size_t content_type_bytes_max = 256;
/// Status line, Date, Connection, Content-Length and line ends, at their longest.
constexpr std::size_t own_head_bytes = 256;
/// Up to here a part of a streamed body, or the whole of a prepared one, is copied; a write of its own costs more.
constexpr std::size_t copied_part_bytes = 1024;
constexpr std::size_t chunk_size_bytes = 18;
constexpr std::size_t last_chunk_bytes = 8;

/// A decimal or hexadecimal number without allocation.
class digits {
 public:
  explicit digits(std::uint64_t value, unsigned base = 10) : text_(room_) { text_.put_unsigned(value, base); }
  digits(digits const&) = delete;
  digits& operator=(digits const&) = delete;
  operator std::string_view() const { return text_.view(); }  // NOLINT

 private:
  char room_[20];
  text_writer text_;
};

bool is_server_owned(std::string_view name) {
  return std::ranges::any_of(std::initializer_list<std::string_view>{"content-length", "transfer-encoding", "connection",
                                                                     "date", "content-type"},
                             [&](std::string_view own) { return equals_ignoring_case(name, own); });
}

}  // namespace

void response_writer::reset() {
  stage_ = stage::nothing;
  framing_ = framing::none;
  bad_headers_ = false;
  left_ = 0;
  extra_bytes_ = 0;
}

void response_writer::header(std::string_view name, std::string_view value) {
  auto& server = owner_->server_;
  if (!is_token(name) || !is_field_value(value) || is_server_owned(name)) {
    ++server.statistics.headers_refused;
    bad_headers_ = true;
    return;
  }
  auto const room = server.limits.response_bytes / 2 - std::min(server.limits.response_bytes / 2, own_head_bytes + content_type_bytes_max);
  auto const needed = name.size() + value.size() + 4;
  if (extra_bytes_ + needed > room) {
    ++server.statistics.response_heads_too_large;
    bad_headers_ = true;
    return;
  }
  if (extra_ == nullptr) extra_ = std::make_unique_for_overwrite<char[]>(room);
  for (auto const part : {name, std::string_view(": "), value, std::string_view("\r\n")}) {
    std::memcpy(extra_.get() + extra_bytes_, part.data(), part.size());
    extra_bytes_ += part.size();
  }
}

/// Turns the answer into a 500 when one of its fields could not be sent. The caller returns then.
bool response_writer::refuse_bad_headers() {
  if (!bad_headers_) return false;
  bad_headers_ = false;
  extra_bytes_ = 0;
  reply(status::internal_server_error);
  return true;
}

void response_writer::put_head_start(status code) {
  auto& output = owner_->output_;
  if (auto const line = status_line(code); !line.empty()) {
    output.put(line);
  } else {
    output.put("HTTP/1.1 ");
    output.put(digits(static_cast<unsigned>(code) % 1000));
    output.put(" \r\n");
  }
  output.put(owner_->server_.date.line);
}

void response_writer::put_connection_and_extra() {
  auto& output = owner_->output_;
  if (!owner_->keep_alive_) {
    output.put("Connection: close\r\n");
  } else if (owner_->request_.is_http_1_0_) {
    output.put("Connection: keep-alive\r\n");
  }
  if (extra_bytes_ != 0) output.put(std::string_view(extra_.get(), extra_bytes_));
}

/// False when no body follows.
bool response_writer::put_whole_head(status code, std::string_view content_type, std::uint64_t body_bytes) {
  if (stage_ != stage::nothing) return false;
  if (content_type.size() > content_type_bytes_max || !is_field_value(content_type)) {
    ++owner_->server_.statistics.headers_refused;
    bad_headers_ = true;
  }
  if (refuse_bad_headers()) return false;
  stage_ = stage::complete;
  auto& output = owner_->output_;
  put_head_start(code);
  put_connection_and_extra();
  if (!has_content(code)) {
    output.put("\r\n");
    return false;
  }
  if (!content_type.empty()) {
    output.put("Content-Type: ");
    output.put(content_type);
    output.put("\r\n");
  }
  output.put("Content-Length: ");
  output.put(digits(body_bytes));
  output.put("\r\n\r\n");
  return owner_->request_.method_ != method::head;
}

void response_writer::reply(status code, std::string_view content_type, std::span<std::byte const> body) {
  if (!put_whole_head(code, content_type, body.size())) return;
  auto& output = owner_->output_;
  if (body.size() + last_chunk_bytes <= output.room()) {
    output.put(std::string_view(reinterpret_cast<char const*>(body.data()), body.size()));
  } else {
    output.keep_copy(body);
  }
}

void response_writer::reply_view(status code, std::string_view content_type, std::span<std::byte const> body) {
  if (put_whole_head(code, content_type, body.size())) owner_->output_.refer(body);
}

void response_writer::reply(status code) {
  auto const text = reason(code);
  char line[64];
  std::size_t size = std::min(text.size(), sizeof line - 1);
  std::memcpy(line, text.data(), size);
  if (size != 0) line[size++] = '\n';
  reply(code, size == 0 ? std::string_view() : "text/plain; charset=utf-8", std::string_view(line, size));
}

void response_writer::reply_prepared(prepared_head const& head, std::span<std::byte const> body) {
  if (stage_ != stage::nothing || refuse_bad_headers()) return;
  stage_ = stage::complete;
  auto& output = owner_->output_;
  std::string_view const date = owner_->server_.date.line, end = "\r\n";
  auto const is_plain = owner_->keep_alive_ && !owner_->request_.is_http_1_0_ && extra_bytes_ == 0;
  auto const bytes = head.status_line.size() + date.size() + head.fields.size() + last_chunk_bytes;
  bool const has_body = owner_->request_.method_ != method::head;
  if (is_plain && bytes <= output.room()) {
    std::string_view const text(reinterpret_cast<char const*>(body.data()), body.size());
    if (has_body && body.size() <= copied_part_bytes && bytes + body.size() <= output.room()) {
      return output.put_all(head.status_line, date, head.fields, end, text);
    }
    output.put_all(head.status_line, date, head.fields, end);
  } else {
    output.put_all(head.status_line, date);
    put_connection_and_extra();
    if (head.fields.size() + last_chunk_bytes <= output.room()) {
      output.put(head.fields);
    } else {
      output.refer(std::as_bytes(std::span(head.fields)));
    }
    output.put(end);
  }
  if (has_body) output.refer(body);
}

void response_writer::reply_prepared(prepared_answer& answer) {
  auto& owner = *owner_;
  auto const is_whole = owner.keep_alive_ && !owner.request_.is_http_1_0_ && extra_bytes_ == 0 && !bad_headers_ &&
                        owner.request_.method_ != method::head && answer.is_shared();
  if (stage_ != stage::nothing || !is_whole || !owner.output_.empty()) return reply_prepared(answer.head(), answer.body());
  stage_ = stage::complete;
  *before_ = &answer;
  owner.output_.share(answer.at(owner.server_.date));
}

[[gnu::noinline]] void prepared_answer::put_together(date_stamp const& date) {
  made_at_ = date.unix_seconds;
  auto const& [status_line, fields] = head_;
  std::string_view const end = "\r\n", text(reinterpret_cast<char const*>(body_.data()), body_.size());
  auto const bytes = status_line.size() + date.line.size() + fields.size() + end.size() + text.size();
  // Of what nobody else has, nothing but the date is another.
  if (whole_.size() == bytes && !whole_.writable().empty()) {
    std::memcpy(whole_.writable().data() + status_line.size(), date.line.data(), date.line.size());
    return;
  }
  whole_ = net::allocate_slice(bytes);
  auto* to = whole_.writable().data();
  for (auto const part : {status_line, date.line, fields, end, text}) {
    if (part.empty()) continue;  // it may have no address
    std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
}

void response_writer::begin(status code, std::string_view content_type, std::optional<std::uint64_t> length) {
  if (stage_ != stage::nothing) return;
  if (content_type.size() > content_type_bytes_max || !is_field_value(content_type)) {
    ++owner_->server_.statistics.headers_refused;
    bad_headers_ = true;
  }
  if (refuse_bad_headers()) return;
  stage_ = stage::streaming;
  auto& output = owner_->output_;
  auto const& request = owner_->request_;
  bool const is_chunked = !length && !request.is_http_1_0_;
  if (!length && request.is_http_1_0_ && has_content(code)) owner_->keep_alive_ = false;
  put_head_start(code);
  put_connection_and_extra();
  if (has_content(code)) {
    if (!content_type.empty()) {
      output.put("Content-Type: ");
      output.put(content_type);
      output.put("\r\n");
    }
    if (length) {
      output.put("Content-Length: ");
      output.put(digits(*length));
      output.put("\r\n");
    } else if (is_chunked) {
      output.put("Transfer-Encoding: chunked\r\n");
    }
  }
  output.put("\r\n");
  if (!has_content(code) || request.method_ == method::head) {
    framing_ = framing::none;
  } else if (length) {
    framing_ = framing::length;
    left_ = *length;
  } else {
    framing_ = is_chunked ? framing::chunked : framing::until_close;
  }
}

task<result<void>> response_writer::write(std::span<std::byte const> bytes) {
  if (stage_ == stage::complete) co_return result<void>();   // begin() became a 500
  if (stage_ != stage::streaming) co_return failure(http_error::wrong_length);
  if (owner_->phase_ == connection::phase::closed) co_return failure(http_error::peer_closed);
  if (framing_ == framing::length) {
    if (bytes.size() > left_) co_return failure(http_error::wrong_length, static_cast<std::int64_t>(left_));
    left_ -= bytes.size();
  }
  if (framing_ == framing::none || bytes.empty()) co_return result<void>();

  auto& output = owner_->output_;
  bool const is_copied = bytes.size() <= copied_part_bytes;
  auto const needed = chunk_size_bytes + (is_copied ? bytes.size() : 0) + last_chunk_bytes;
  if (output.room() < needed || !output.has_spans()) {
    if (auto flushed = co_await owner_->transport_->flush(); !flushed) co_return failure(std::move(flushed.error()));
  }
  if (framing_ == framing::chunked) {
    output.put(digits(bytes.size(), 16));
    output.put("\r\n");
  }
  if (is_copied) {
    output.put(std::string_view(reinterpret_cast<char const*>(bytes.data()), bytes.size()));
  } else {
    output.refer(bytes);
  }
  if (framing_ == framing::chunked) output.put("\r\n");
  if (is_copied) co_return result<void>();
  co_return co_await owner_->transport_->flush();
}

}  // namespace morgana::http
