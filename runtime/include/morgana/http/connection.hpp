// One HTTP/1.1 connection of a server as a pure state machine: bytes and time in, actions out. RFC 9112.
//
//   for (;;) switch (state.next(now)) {
//     case action::read:    n = read into state.input_room() until state.read_deadline();
//                           state.received(n, now) | state.input_ended() | state.read_timed_out();
//     case action::write:   write state.output() until state.write_deadline(now); state.written();
//     case action::handle:  handler(state.current(), state.response()); state.handled();
//     case action::half_close: shut down sending; state.half_closed(now);
//     case action::close:   done
//   }
//
// The parser is llhttp (docs/decisions/http-parser.md) at its strictest. Beyond what it refuses (both lengths,
// repeated or malformed lengths, white space before a colon, folded lines, bare CR or LF, control characters,
// malformed chunks), this refuses with 400 unless another status is said:
//   - a request line that is not exactly method SP target SP HTTP-version (RFC 9112 section 3)
//   - more than one empty line before a request, or one of a bare LF (section 2.2)
//   - no Host, two, or a malformed one; HTTP/1.0 may have none (section 3.2)
//   - a target in no form of section 3.2; authority form, and so CONNECT: 501
//   - Transfer-Encoding in HTTP/1.0, or twice (section 6.1); one that is not exactly "chunked": 501
//   - a single-valued field that comes twice: Content-Type, Expect, Range, If-Range, If-Modified-Since, ...
//   - Expect of anything but 100-continue: 417
//   - an unknown method: 501; another version than 1.0 and 1.1: 505
// After each of these the connection closes, so nothing behind a doubtful request is ever taken for one. In an image without
// the parser (features.hpp) so it is after every request that is not plain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>

#include "morgana/core/time.hpp"
#include "morgana/http/limits.hpp"
#include "morgana/http/request.hpp"
#include "morgana/http/response.hpp"
#include "morgana/http/statistics.hpp"

namespace morgana::http {

/// What the connections of one server share.
struct server_context {
  http::limits limits;
  http::statistics statistics;
  date_stamp date;                     ///< a date_keeper's (server.hpp)
};

/// How body_reader and streamed responses wait; the coroutine shell implements it.
class transport {
 public:
  /// Writes all output.
  [[nodiscard]] virtual task<result<void>> flush() = 0;
  /// Reads once into the connection.
  [[nodiscard]] virtual task<result<void>> fill() = 0;

 protected:
  ~transport() = default;
};

/// The buffers of one connection, and what is known of the last head in them. Those of one that has ended are good for the
/// next, whose first head is mostly the same again.
class connection_memory {
 public:
  /// Allocates them; limits.hpp says how much.
  explicit connection_memory(http::limits const& limits);
  connection_memory(connection_memory const&) = delete;
  connection_memory& operator=(connection_memory const&) = delete;

 private:
  friend class connection;
  std::size_t input_bytes_, output_bytes_;
  std::unique_ptr<std::byte[]> bytes_;   ///< of the input, then of the output

  // The last head, if it was all of a request: what was made of it is still in request_ when the same bytes come again in
  // the same place.
  static constexpr std::size_t head_bytes_max = 512;
  std::size_t head_bytes_ = 0;           ///< 0: none
  std::size_t head_begin_ = 0;
  prepared_answer* answer_ = nullptr;    ///< what it had, if it was that
  request request_;
  std::array<char, head_bytes_max> head_;
};

class connection {
 public:
  enum class action : std::uint8_t { read, write, handle, half_close, close };

  /// `server` and `memory`, which was made for the same limits, must live longer.
  connection(server_context& server, connection_memory& memory, instant now, net::endpoint peer = {});
  connection(connection const&) = delete;
  connection& operator=(connection const&) = delete;
  ~connection();

  /// What to do now. Does not change until one of the functions below was called.
  [[nodiscard]] action next(instant now);

  // read
  [[nodiscard]] std::span<std::byte> input_room();        ///< never empty when next() said read
  [[nodiscard]] instant read_deadline() const;
  void received(std::size_t bytes, instant now);
  void input_ended();                                     ///< also for a connection that broke
  void read_timed_out();

  // write
  [[nodiscard]] std::span<std::span<std::byte const> const> output() const { return output_.spans(); }
  /// The same for a stream that takes slices; empty when it is no slice.
  [[nodiscard]] std::span<net::slice> output_slices() { return output_.shared_alone(); }
  [[nodiscard]] instant write_deadline(instant now) const;
  void written();
  void write_failed(bool timed_out);                      ///< closes

  // handle
  [[nodiscard]] request const& current() const { return request_; }
  [[nodiscard]] response_writer& response() { return response_; }
  void handled();

  void half_closed(instant now);

  // The short way of a client that asks for the same again and again, in place of next(): null when it is another case.
  /// The answer_before() of what has arrived: one whole request and nothing else, the same as the one before it.
  [[nodiscard]] prepared_answer* repeated_answer() const;
  /// What next(), a handler that gives that answer, and handled() come to; it is to be written next.
  void answer_again(prepared_answer& answer);

  void attach(transport& waits) { transport_ = &waits; }

  /// For body_reader: the state of the body after looking at what has arrived.
  enum class body_step : std::uint8_t { data, need_input, end };
  [[nodiscard]] result<body_step> step_body(std::span<std::byte const>& data);

 private:
  friend class body_reader;
  friend class response_writer;
  friend struct parser_callbacks;

  enum class phase : std::uint8_t { head, handling, draining, lingering, closed };
  enum class timing : std::uint8_t { nothing, idle, head, body, linger };
  enum class head_state : std::uint8_t { incomplete, complete, refused };

  /// Of what has arrived, which is something.
  [[nodiscard]] head_state parse_head();
  [[nodiscard]] head_state parse_new_head();
  [[nodiscard]] head_state skip_empty_line();
  [[nodiscard]] bool repeats_head() const;
  void remember_head();
  void begin_request();
  void start_message();
  void start_parsing();
  [[nodiscard]] bool take_plain_head();
  [[nodiscard]] bool take_plain_fields(char const*& at, char const* end, bool& keeps);
  [[nodiscard]] head_state take_plain_lines();
  [[nodiscard]] head_state take_line(std::string_view& line, std::size_t room);
  [[nodiscard]] head_state take_request_line(std::string_view line);
  [[nodiscard]] head_state take_field(std::string_view line);
  [[nodiscard]] head_state finish_plain_head();
  [[nodiscard]] head_state check_head();
  [[nodiscard]] head_state check_fields();
  [[nodiscard]] head_state check_target();
  void split_target(std::string_view path_and_query);
  head_state refuse(status code, std::uint64_t statistics::* counter);
  head_state refuse_after_parser_error();
  [[nodiscard]] bool add_field();
  [[nodiscard]] std::unexpected<error> fail_body(http_error what, status code, std::uint64_t statistics::* counter,
                                                 std::int64_t detail = 0);
  [[nodiscard]] action next_in_head(instant now);
  [[nodiscard]] action next_while_draining();
  [[nodiscard]] action finish();
  void end_response();
  void end_message();
  void compact();
  [[nodiscard]] bool has_room_for_response() const;

  server_context& server_;
  connection_memory& memory_;
  transport* transport_ = nullptr;

  std::size_t capacity_;
  char* buffer_;                       ///< the memory's
  std::size_t begin_ = 0;              ///< the message's first byte
  std::size_t parsed_ = 0;             ///< what the parser has taken
  std::size_t end_ = 0;                ///< what has arrived

  // The head that is being parsed.
  char const* line_end_ = nullptr;     ///< end of the request target
  header_field pending_{};             ///< the field that is coming in
  bool repeated_ = false;              ///< a single-valued field came twice
  bool has_message_ = false;           ///< the parser was started for this message
  bool skipped_line_ = false;          ///< the one empty line before a request (RFC 9112 section 2.2)
  bool head_complete_ = false;
  bool message_complete_ = false;
  status refusal_ = status::bad_request;
  std::uint64_t statistics::* refusal_counter_ = &statistics::malformed;

  // The body.
  std::size_t body_begin_ = 0;         ///< decoded and not yet handed out
  std::size_t body_end_ = 0;
  std::size_t head_end_ = 0;
  std::uint64_t body_received_ = 0;
  std::uint64_t framing_bytes_ = 0;
  std::uint64_t drained_ = 0;
  bool expects_continue_ = false;
  bool body_failed_ = false;
  http_error body_error_ = http_error::malformed_body;

  phase phase_ = phase::head;
  timing timing_ = timing::nothing;
  instant since_;                      ///< when what timing_ names began
  bool keep_alive_ = true;             ///< after the current response
  bool must_close_ = false;            ///< no further request is read
  bool lingers_ = false;               ///< the peer may still be sending: close in two steps
  bool input_ended_ = false;
  std::size_t gathered_ = 0;           ///< responses in output_
  std::uint64_t requests_ = 0;
  std::uint64_t lingered_ = 0;

  output_queue output_;
  request& request_;                   ///< the memory's
  response_writer response_;

  static constexpr std::size_t parser_bytes = 128;
  alignas(8) std::byte parser_[parser_bytes];   ///< an llhttp_t; its header stays out of this one
};

}  // namespace morgana::http
