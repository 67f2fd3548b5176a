// How a handler answers. One of three ways per request:
//
//   response.header("Cache-Control", "no-store");                 // before any of them
//   response.reply(http::status::ok, "text/plain", "hello\n");    // the usual way: copies, never waits
//   response.reply_prepared(answer);                              // nothing is copied: made once, sent many times
//
//   response.begin(http::status::ok, "text/csv");                 // streamed: chunked, or of a known length
//   if (!co_await response.write(line)) co_return;                // waits when the peer is slow
//
// Responses to pipelined requests are gathered and go out in one write. Date, Content-Length, Connection and
// the rules for HEAD, 204, 304 and HTTP/1.0 are taken care of. A handler that returns without an answer
// is answered for with 500; one that wrote less than it announced has its connection cut.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/http/error.hpp"
#include "morgana/http/limits.hpp"
#include "morgana/http/statistics.hpp"
#include "morgana/http/status.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::http {

class connection;

/// The Date field of every answer (RFC 9110 section 6.6.1).
struct date_stamp {
  static constexpr auto none = std::numeric_limits<std::int64_t>::min();
  std::string_view line;                ///< "Date: ...\r\n"; empty while the server has no clock
  std::int64_t unix_seconds = none;     ///< what the line says
};

/// A head that was made once: everything between the Date line and the empty line, each line with its CRLF,
/// Content-Length included. Both live as long as the server.
struct prepared_head {
  std::string_view status_line;         ///< status_line(code)
  std::string_view fields;
};

/// A whole answer that was made once. A small one is put together for each second in which it is sent, and all that are
/// sent share those bytes, down to the device: nothing of them is copied where the stream takes slices.
class prepared_answer {
 public:
  /// Larger bodies are not kept a second time; the head is then written anew for each answer.
  static constexpr std::size_t shared_body_bytes_max = 1024;

  prepared_answer() = default;
  /// All of it lives as long as this.
  prepared_answer(prepared_head const& head, std::span<std::byte const> body) : head_(head), body_(body) {}
  [[nodiscard]] prepared_head const& head() const { return head_; }
  [[nodiscard]] std::span<std::byte const> body() const { return body_; }
  [[nodiscard]] bool is_shared() const { return body_.size() <= shared_body_bytes_max; }
  /// The bytes of the answer at that time. Who has a copy of the slice keeps what it is.
  [[nodiscard]] net::slice const& at(date_stamp const& date) {
    if (whole_.size() == 0 || date.unix_seconds != made_at_) put_together(date);
    return whole_;
  }

 private:
  void put_together(date_stamp const& date);
  prepared_head head_;
  std::span<std::byte const> body_;
  net::slice whole_;
  std::int64_t made_at_ = date_stamp::none;
};

/// Bytes that wait for one gathered write.
class output_queue {
 public:
  /// Spans of one gathered write.
  static constexpr std::size_t spans_max = 64;

  /// `storage` is for what is copied, and lives longer.
  explicit output_queue(std::span<std::byte> storage) : capacity_(storage.size()), storage_(storage.data()) {}

  [[nodiscard]] std::size_t room() const { return capacity_ - used_; }
  /// Room for the spans of one answer: head, prepared fields, line end, body, and a last chunk.
  [[nodiscard]] bool has_spans() const { return span_count_ + 5 <= spans_max; }
  [[nodiscard]] std::span<std::span<std::byte const> const> spans() const { return std::span(spans_).first(span_count_); }
  [[nodiscard]] bool empty() const { return span_count_ == 0; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Copies; the caller has looked at room().
  void put(std::string_view text);
  /// The same of several, as one.
  template <std::same_as<std::string_view>... Text>
  void put_all(Text... texts) {
    auto* const begin = storage_ + used_;
    auto* to = begin;
    auto const copy = [&to](std::string_view text) {
      if (text.empty()) return;  // it may have no address
      std::memcpy(to, text.data(), text.size());
      to += text.size();
    };
    (copy(texts), ...);
    auto const size = static_cast<std::size_t>(to - begin);
    used_ += size;
    add_span(begin, size);
  }
  /// Does not copy.
  void refer(std::span<std::byte const> bytes);
  /// Does not copy, and keeps it alive until clear(). Only as the first.
  void share(net::slice const& whole) {
    shared_ = whole;
    add_span(whole.bytes().data(), whole.size());
  }
  /// All there is, when it is shared; else none. Who moves it away calls clear() next.
  [[nodiscard]] std::span<net::slice> shared_alone() {
    return {&shared_, span_count_ == 1 && shared_.size() != 0 ? std::size_t{1} : std::size_t{0}};
  }
  /// Copies into memory of its own, which lives until clear().
  void keep_copy(std::span<std::byte const> bytes);
  void clear();

 private:
  void add_span(std::byte const* data, std::size_t size);

  std::size_t capacity_;
  std::byte* storage_;
  std::size_t used_ = 0;
  std::size_t span_count_ = 0;
  std::size_t bytes_ = 0;
  // The first span_count_ are there.
  union {
    std::array<std::span<std::byte const>, spans_max> spans_;
  };
  net::slice shared_;
  std::vector<std::unique_ptr<std::byte[]>> kept_;
};

class response_writer {
 public:
  /// Adds a field to the answer that follows. A name or value that RFC 9110 forbids (a line break, say), or
  /// one that does not fit, makes the answer a 500 and is counted. Content-Length, Transfer-Encoding,
  /// Connection and Date are the server's own and refused likewise.
  void header(std::string_view name, std::string_view value);

  /// The whole answer. A body of more than what is left of limits::response_bytes costs one allocation.
  void reply(status code, std::string_view content_type, std::span<std::byte const> body);
  void reply(status code, std::string_view content_type, std::string_view body) {
    reply(code, content_type, std::as_bytes(std::span(body)));
  }
  /// The same, without a copy: `body` lives as long as the server.
  void reply_view(status code, std::string_view content_type, std::span<std::byte const> body);
  /// An answer whose body is its reason phrase; none for 204 and 304.
  void reply(status code);

  /// The whole answer without a copy of the body, which lives as long as the server. header() adds to it.
  void reply_prepared(prepared_head const& head, std::span<std::byte const> body);
  /// The same; it lives as long as the server, too.
  void reply_prepared(prepared_answer& answer);
  /// What a request had that was the same, byte for byte, the one before this one or on a connection before; or null. A
  /// handler whose answers depend on nothing but the request may give it again.
  [[nodiscard]] prepared_answer* answer_before() const { return *before_; }

  /// The head of a streamed answer. Without a length it is chunked, or ends with the connection for HTTP/1.0.
  void begin(status code, std::string_view content_type, std::optional<std::uint64_t> length = {});
  /// A part of a streamed body: copied when small, else written before this returns. Nothing is sent for
  /// HEAD. Errors: timed_out, peer_closed, wrong_length (nothing of `bytes` was written then).
  [[nodiscard]] task<result<void>> write(std::span<std::byte const> bytes);
  [[nodiscard]] task<result<void>> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

  /// True once reply() or begin() was called.
  [[nodiscard]] bool has_begun() const { return stage_ != stage::nothing; }

 private:
  friend class connection;
  enum class stage : std::uint8_t { nothing, streaming, complete };
  enum class framing : std::uint8_t { none, length, chunked, until_close };

  response_writer(connection& owner, prepared_answer*& before) : owner_(&owner), before_(&before) {}
  void reset();
  void put_head_start(status code);
  void put_connection_and_extra();
  [[nodiscard]] bool put_whole_head(status code, std::string_view content_type, std::uint64_t body_bytes);
  [[nodiscard]] bool refuse_bad_headers();

  connection* owner_;
  prepared_answer** before_;                    ///< the memory's
  stage stage_ = stage::nothing;
  framing framing_ = framing::none;
  bool bad_headers_ = false;
  std::uint64_t left_ = 0;                      ///< of the announced length
  std::size_t extra_bytes_ = 0;
  std::unique_ptr<char[]> extra_;               ///< allocated by the first header() of a connection
};

}  // namespace morgana::http
