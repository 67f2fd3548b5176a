// An HTTP/1.1 server over any net::stack: keep-alive, pipelining, HEAD, request bodies, streamed responses,
// limits on everything (limits.hpp). RFC 9110 and 9112.
//
//   task<result<void>> start(net::stack auto& network, wall_clock auto& clock) {
//     auto hello = [](http::request const& request, http::response_writer& response) {
//       response.reply(http::status::ok, "text/plain", "hello\n");
//     };
//     http::server server({.port = 8080});
//     co_return co_await server.serve(network, clock, hello);
//   }
//
// A handler is called with one request after the other of each connection and is one of
//   - a function that answers at once:                     void handler(request const&, response_writer&)
//   - one that may wait, as a task:                        task<> handler(request const&, response_writer&)
//   - an object with the latter and bool try_handle(request const&, response_writer&), which answers at once
//     what it can, without a coroutine, or says false (static_site is one). Where its constant answers_at_once is
//     true it answers all, and the image has no coroutine for it.
// Beside it bool gives_again(prepared_answer const&) says that a request which is the same as the one before it on its
// connection, and that one had this answer, has it again whenever it comes: then the handler is not asked.
//
// Cost: one connection is one coroutine frame and some 38 KiB of buffers, allocated when it is accepted unless one that
// has ended left its own (limits::resting_sessions); a request then costs one read, one write and no allocation.
// Pipelined requests share the write.
//
// serve() returns only when the listener fails; destroying its task closes the connections and the port.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "morgana/core/clock.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/core/task.hpp"
#include "morgana/http/connection.hpp"
#include "morgana/http/date.hpp"
#include "morgana/http/error.hpp"
#include "morgana/http/limits.hpp"
#include "morgana/http/request.hpp"
#include "morgana/http/response.hpp"
#include "morgana/http/statistics.hpp"
#include "morgana/http/status.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::http {

template <class H>
concept handler =
    requires(H& answers, request const& asked, response_writer& response) {
      { answers(asked, response) } -> std::same_as<void>;
    } || requires(H& answers, request const& asked, response_writer& response) {
      { answers(asked, response) } -> std::same_as<task<void>>;
    };

struct server_options {
  net::ip_address address{net::ipv6_address{}};   ///< `::` listens on both families
  std::uint16_t port = 80;                        ///< 0: any free one
  std::uint32_t backlog = 512;
  http::limits limits = {};
};

/// The Date line, made anew once a second.
class date_keeper {
 public:
  /// True when the line is out of date at `now`.
  [[nodiscard]] bool is_due(instant now) const { return now >= due_; }
  /// `wall` is civil time at `now`.
  void update(instant now, wall_time wall);
  /// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; empty before the first update().
  [[nodiscard]] std::string_view line() const { return {text_.data(), size_}; }
  [[nodiscard]] date_stamp stamp() const { return {line(), unix_seconds_}; }
  /// No Date until update(): for a clock that is not set.
  void forget(instant now);

 private:
  instant due_{instant::min()};
  std::int64_t unix_seconds_ = date_stamp::none;
  std::size_t size_ = 0;
  std::array<char, date_bytes + 8> text_{};
};

/// For a server that was given no clock: it sends no Date (RFC 9110 section 6.6.1).
struct no_clock {
  [[nodiscard]] wall_time now() const { return {}; }
  [[nodiscard]] bool is_set() const { return false; }
};

namespace detail {

/// Waits for one stream on behalf of a connection.
template <net::stream Stream>
class stream_transport final : public transport {
 public:
  stream_transport(Stream& stream, connection& state) : stream_(stream), state_(state) {}

  task<result<void>> flush() override {
    auto& here = co_await this_context();
    auto const sent = co_await stream_.write(state_.output(), state_.write_deadline(here.now()));
    note_written(sent);
    if (sent) co_return result<void>();
    co_return failure(sent.error().is(net::net_error::timed_out) ? http_error::timed_out : http_error::peer_closed);
  }

  task<result<void>> fill() override {
    auto& here = co_await this_context();
    auto got = co_await stream_.read(state_.input_room(), state_.read_deadline());
    note(state_, got, here.now());
    // What went wrong is said by the body when it is asked again: it knows how far it came.
    co_return result<void>();
  }

  template <class T>
  void note_written(result<T> const& sent) {
    if (sent) return state_.written();
    state_.write_failed(sent.error().is(net::net_error::timed_out));
    stream_.abort();
  }

  static void note(connection& state, result<std::size_t> const& got, instant now) {
    if (got && *got != 0) {
      state.received(*got, now);
    } else if (!got && got.error().is(net::net_error::timed_out)) {
      state.read_timed_out();
    } else {
      state.input_ended();
    }
  }

 private:
  Stream& stream_;
  connection& state_;
};

}  // namespace detail

namespace detail {

/// Where size counts an image has none of the ways that are only shorter than the ordinary one beside them.
#ifdef __OPTIMIZE_SIZE__
constexpr bool has_short_ways = false;
#else
constexpr bool has_short_ways = true;
#endif

/// Where sessions without a connection wait for the next one, the last one to come for the first: coroutines whose
/// frames and buffers are there already.
template <net::stream Stream>
class session_rest {
 public:
  session_rest() = default;
  session_rest(session_rest const&) = delete;
  session_rest& operator=(session_rest const&) = delete;

  class wait final : public operation {
   public:
    explicit wait(session_rest& in) : in_(&in) {}
    wait(wait const&) = delete;
    wait& operator=(wait const&) = delete;
    ~wait() {
      if (in_ != nullptr) leave();
    }
    bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      suspend(waiting);
      next_ = std::exchange(in_->first_, this);
      ++in_->count_;
    }
    Stream await_resume() { return std::move(*given_); }

   private:
    friend class session_rest;
    void leave() {
      auto** at = &in_->first_;
      while (*at != this) at = &(*at)->next_;
      *at = next_;
      --std::exchange(in_, nullptr)->count_;
    }
    session_rest* in_;   ///< while it waits
    wait* next_ = nullptr;
    std::optional<Stream> given_;
  };

  /// False when nobody waits.
  [[nodiscard]] bool hand_over(Stream& stream) {
    auto* const who = first_;
    if (who == nullptr) return false;
    who->leave();
    who->given_.emplace(std::move(stream));
    who->complete();
    return true;
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Whether a session that has nothing to do is to end instead: somebody waits for its end.
  bool is_closed = false;

 private:
  wait* first_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace detail

class server {
 public:
  explicit server(server_options options = {}) : options_(options) { shared_.limits = options.limits; }
  server(server const&) = delete;
  server& operator=(server const&) = delete;

  [[nodiscard]] http::statistics const& statistics() const { return shared_.statistics; }
  /// Where it listens; a port of 0 until serve() has begun.
  [[nodiscard]] net::endpoint const& local() const { return local_; }

  /// Serves until the listener fails. All arguments must live as long as the task. One serve() per server.
  /// Errors: those of listen(), with "listen" as what was being done; of accept() when it fails
  /// accept_failures_max times in a row.
  template <net::stack Network, wall_clock Clock, handler Handler>
  [[nodiscard]] task<result<void>> serve(Network& network, Clock& clock, Handler& answers) {
    auto& here = co_await this_context();
    log_source const log(here.log(), "http");
    auto listener = network.listen({.address = options_.address, .port = options_.port, .backlog = options_.backlog});
    if (!listener) co_return failure(std::move(listener.error()).during("listen"));
    local_ = listener->local();
    log.info("listening on {}", local_);
    auto const most = shared_.limits.connections;
    int failures = 0;
    detail::session_rest<typename Network::stream> rest;
    scope sessions = co_await open_scope();
    for (;;) {
      // Who rests is taken before another is made, so of those that run at the limit none rests.
      if (rest.count() == 0 && sessions.running() >= most) {
        ++shared_.statistics.accepts_delayed;
        rest.is_closed = true;
        co_await sessions.below(most);
        rest.is_closed = false;
      }
      auto stream = co_await listener->accept(never);
      if (stream) {
        failures = 0;
        if (!rest.hand_over(*stream)) sessions.spawn(session(std::move(*stream), &rest, clock, answers));
        continue;
      }
      // A connection that went away in the queue, or no descriptors left: neither is the listener's end.
      ++shared_.statistics.accept_errors;
      if (++failures == accept_failures_max) co_return failure(std::move(stream.error()).during("accept"));
      co_await sleep_for(accept_pause);
    }
  }

  template <net::stack Network, handler Handler>
  [[nodiscard]] task<result<void>> serve(Network& network, Handler& answers) {
    no_clock none;
    co_return co_await serve(network, none, answers);
  }

  /// One connection, for an accept loop of one's own. Ends when the connection does.
  template <net::stream Stream, wall_clock Clock, handler Handler>
  [[nodiscard]] task<void> serve_stream(Stream stream, Clock& clock, Handler& answers) {
    return session<Stream>(std::move(stream), nullptr, clock, answers);
  }

  static constexpr int accept_failures_max = 1'000;
  static constexpr duration accept_pause = 10ms;
  static constexpr unsigned turns_in_a_row = 32;

 private:
  class open_connection {
   public:
    explicit open_connection(http::statistics& counts) : counts_(counts) {
      ++counts_.connections_accepted;
      ++counts_.connections_open;
    }
    open_connection(open_connection const&) = delete;
    open_connection& operator=(open_connection const&) = delete;
    ~open_connection() { --counts_.connections_open; }

   private:
    http::statistics& counts_;
  };

  /// One connection, then the next that is handed over, if there is where to rest.
  template <net::stream Stream, wall_clock Clock, handler Handler>
  [[nodiscard]] task<void> session(Stream stream, detail::session_rest<Stream>* rest, Clock& clock, Handler& answers) {
    auto& here = co_await this_context();
    ++shared_.statistics.sessions_made;
    [[clang::uninitialized]] connection_memory memory(shared_.limits);
    for (;;) {
      open_connection const counted(shared_.statistics);
      // Not cleared first: its constructor sets what is read, and six kilobytes are room for fields and output.
      [[clang::uninitialized]] connection state(shared_, memory, here.now(), stream.peer());
      detail::stream_transport<Stream> waits(stream, state);
      state.attach(waits);
      unsigned turns = 0;
      bool is_open = true;
      while (is_open) {
        auto const now = here.now();
        switch (answers_again(state, now, answers) ? connection::action::write : state.next(now)) {
          case connection::action::read: {
            auto const got = co_await stream.read(state.input_room(), state.read_deadline());
            waits.note(state, got, here.now());
            break;
          }
          case connection::action::write: {
            auto const deadline = state.write_deadline(now);
            constexpr bool takes_slices = detail::has_short_ways && net::slice_stream<Stream>;
            auto const slices = state.output_slices();
            if (!takes_slices || slices.empty()) {
              waits.note_written(co_await stream.write(state.output(), deadline));
            } else if constexpr (takes_slices) {
              if (auto const done = stream.write_now(slices); done && !*done) {
                waits.note_written(co_await stream.write(slices, deadline));
              } else {
                waits.note_written(done);
              }
            }
            // A peer that always has more to ask must not keep the others waiting.
            if (++turns % turns_in_a_row == 0) co_await yield();
            break;
          }
          case connection::action::handle:
            if (date_.is_due(now)) refresh_date(now, clock);
            if constexpr (requires { requires Handler::answers_at_once; }) {
              static_cast<void>(answers.try_handle(state.current(), state.response()));
            } else if constexpr (requires { { answers.try_handle(state.current(), state.response()) } -> std::same_as<bool>; }) {
              if (!answers.try_handle(state.current(), state.response())) {
                co_await answers(state.current(), state.response());
              }
            } else if constexpr (std::same_as<decltype(answers(state.current(), state.response())), void>) {
              answers(state.current(), state.response());
            } else {
              co_await answers(state.current(), state.response());
            }
            state.handled();
            break;
          case connection::action::half_close:
            if (!stream.shutdown()) state.input_ended();
            state.half_closed(now);
            break;
          case connection::action::close: {
            // Now, not when the task is destroyed a turn later: the FIN leaves in the segment of the response, and the
            // client, which has it with the last byte, is not the one that keeps the port in TIME-WAIT.
            auto const ended = std::move(stream);
            is_open = false;
            break;
          }
        }
      }
      if (rest == nullptr || rest->is_closed || rest->count() >= shared_.limits.resting_sessions) co_return;
      stream = co_await typename detail::session_rest<Stream>::wait(*rest);
    }
  }

  /// Whether a request that repeats the one before it was answered, without the handler.
  template <handler Handler>
  [[nodiscard]] bool answers_again(connection& state, instant now, Handler& answers) {
    if constexpr (detail::has_short_ways &&
                  requires(prepared_answer const& one) { { answers.gives_again(one) } -> std::same_as<bool>; }) {
      auto* const before = state.repeated_answer();
      if (before == nullptr || date_.is_due(now) || !answers.gives_again(*before)) return false;
      state.answer_again(*before);
      return true;
    }
    return false;
  }

  template <wall_clock Clock>
  void refresh_date(instant now, Clock& clock) {
    if (clock.is_set()) {
      date_.update(now, clock.now());
    } else {
      date_.forget(now);
    }
    shared_.date = date_.stamp();
  }

  server_options options_;
  server_context shared_;
  date_keeper date_;
  net::endpoint local_;
};

/// The same without an object, for who needs no statistics.
template <net::stack Network, wall_clock Clock, handler Handler>
[[nodiscard]] task<result<void>> serve(Network& network, Clock& clock, server_options options, Handler& answers) {
  server running(options);
  co_return co_await running.serve(network, clock, answers);
}
template <net::stack Network, handler Handler>
[[nodiscard]] task<result<void>> serve(Network& network, server_options options, Handler& answers) {
  server running(options);
  co_return co_await running.serve(network, answers);
}

}  // namespace morgana::http
