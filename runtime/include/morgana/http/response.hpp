// How a handler answers. One of three ways per request:
//
//   response.header("Cache-Control", "no-store");                 // before any of them
//   response.reply(http::status::ok, "text/plain", "hello\n");    // the usual way: copies, never waits
//   response.reply_prepared(head, body);                          // nothing is copied: body lives for ever
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

namespace morgana::http {

class connection;

/// A head that was made once: everything between the Date line and the empty line, each line with its CRLF,
/// Content-Length included. Both live as long as the server.
struct prepared_head {
  std::string_view status_line;         ///< status_line(code)
  std::string_view fields;
};

/// Bytes that wait for one gathered write.
class output_queue {
 public:
  /// Spans of one gathered write.
  static constexpr std::size_t spans_max = 64;

  explicit output_queue(std::size_t storage_bytes);

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
    auto* const begin = storage_.get() + used_;
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
  /// Copies into memory of its own, which lives until clear().
  void keep_copy(std::span<std::byte const> bytes);
  void clear();

 private:
  void add_span(std::byte const* data, std::size_t size);

  std::size_t capacity_;
  std::unique_ptr<std::byte[]> storage_;
  std::size_t used_ = 0;
  std::size_t span_count_ = 0;
  std::size_t bytes_ = 0;
  // The first span_count_ are there.
  union {
    std::array<std::span<std::byte const>, spans_max> spans_;
  };
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

  explicit response_writer(connection& owner) : owner_(&owner) {}
  void reset();
  void put_head_start(status code);
  void put_connection_and_extra();
  [[nodiscard]] bool put_whole_head(status code, std::string_view content_type, std::uint64_t body_bytes);
  [[nodiscard]] bool refuse_bad_headers();

  connection* owner_;
  stage stage_ = stage::nothing;
  framing framing_ = framing::none;
  bool bad_headers_ = false;
  std::uint64_t left_ = 0;                      ///< of the announced length
  std::size_t extra_bytes_ = 0;
  std::unique_ptr<char[]> extra_;               ///< allocated by the first header() of a connection
};

}  // namespace morgana::http
