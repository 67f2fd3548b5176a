// The order of things on one connection: when to read, write, handle and close, and until when.
#include "morgana/http/connection.hpp"

#include <cstring>

#include "morgana/http/features.hpp"
#include "parser.hpp"

namespace morgana::http {

namespace {

duration at_rate(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return duration::zero();
  return std::chrono::seconds(bytes / bytes_per_second);
}

}  // namespace

connection_memory::connection_memory(http::limits const& limits)
    : input_bytes_(limits.request_line_bytes + 2 + limits.headers_bytes + limits.body_room_bytes),
      output_bytes_(limits.response_bytes),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(input_bytes_ + output_bytes_)) {}

connection::connection(server_context& server, connection_memory& memory, instant now, net::endpoint peer)
    : server_(server),
      memory_(memory),
      capacity_(memory.input_bytes_),
      buffer_(reinterpret_cast<char*>(memory.bytes_.get())),
      since_(now),
      output_(std::span(memory.bytes_.get() + memory.input_bytes_, memory.output_bytes_)),
      request_(memory.request_),
      response_(*this, memory.answer_) {
  request_.peer_ = peer;
  request_.body_.owner_ = this;
  // Of another connection's requests only those that had an answer made for everybody are worth knowing, and are known.
  if (memory.head_begin_ != 0 || memory.answer_ == nullptr) memory.head_bytes_ = 0;
}

connection::~connection() = default;

bool connection::has_room_for_response() const {
  return gathered_ < server_.limits.pipelined_requests && output_.has_spans() &&
         output_.room() >= server_.limits.response_bytes / 2;
}

connection::action connection::next(instant now) {
  switch (phase_) {
    case phase::head: return next_in_head(now);
    case phase::handling: return action::handle;
    case phase::draining:
      if (features::parser) return next_while_draining();
      break;
    case phase::lingering: return action::read;
    case phase::closed: break;
  }
  return action::close;
}

connection::action connection::next_in_head(instant now) {
  if (must_close_) return finish();
  if (!has_room_for_response()) {
    if (parsed_ != end_) ++server_.statistics.pipelines_full;
    return action::write;
  }
  switch (parsed_ == end_ ? head_state::incomplete : parse_head()) {
    case head_state::complete:
      phase_ = phase::handling;
      timing_ = timing::body;
      since_ = now;
      return action::handle;
    case head_state::refused: return finish();
    case head_state::incomplete: break;
  }
  if (!output_.empty()) return action::write;
  bool const is_idle = !has_message_ && parsed_ == end_;
  if (input_ended_) {
    if (!is_idle) ++server_.statistics.peers_lost;
    phase_ = phase::closed;
    return action::close;
  }
  auto const measured = is_idle ? timing::idle : timing::head;
  if (timing_ != measured) {
    timing_ = measured;
    since_ = now;
  }
  compact();
  return action::read;
}

connection::action connection::next_while_draining() {
  // The answer goes out first: the peer may be waiting for it before it sends the rest.
  if (!output_.empty()) return action::write;
  for (;;) {
    std::span<std::byte const> data;
    auto const step = step_body(data);
    if (!step) {
      must_close_ = lingers_ = true;
      phase_ = phase::head;
      return finish();
    }
    if (*step == body_step::need_input) return action::read;
    if (*step == body_step::end) {
      end_message();
      return next_in_head(since_);
    }
    drained_ += data.size();
    if (drained_ > server_.limits.drained_bytes) {
      ++server_.statistics.bodies_not_drained;
      must_close_ = lingers_ = true;
      phase_ = phase::head;
      return finish();
    }
  }
}

/// The last steps: write what is gathered, then close, in two steps where the peer may still be sending, so
/// that a reset does not take the answer from it (RFC 9112 section 9.6).
connection::action connection::finish() {
  if (!output_.empty()) return action::write;
  if (lingers_ && !input_ended_) return action::half_close;
  phase_ = phase::closed;
  return action::close;
}

void connection::half_closed(instant now) {
  phase_ = phase::lingering;
  timing_ = timing::linger;
  since_ = now;
  begin_ = parsed_ = end_ = 0;
}

std::span<std::byte> connection::input_room() {
  if (phase_ == phase::lingering) end_ = 0;   // what comes now is not looked at
  return std::as_writable_bytes(std::span(buffer_ + end_, capacity_ - end_));
}

void connection::received(std::size_t bytes, instant) {
  server_.statistics.bytes_received += bytes;
  if (phase_ == phase::lingering) {
    lingered_ += bytes;
    if (lingered_ > server_.limits.lingered_bytes) {
      ++server_.statistics.lingers_cut;
      phase_ = phase::closed;
    }
    return;
  }
  end_ += bytes;
}

void connection::input_ended() {
  input_ended_ = true;
  if (phase_ == phase::lingering) phase_ = phase::closed;
}

instant connection::read_deadline() const {
  auto const& limits = server_.limits;
  switch (timing_) {
    case timing::head: return after(since_, limits.header_timeout);
    case timing::body: return after(since_, limits.body_timeout + at_rate(body_received_, limits.rate_bytes_min));
    case timing::linger: return after(since_, limits.linger_timeout);
    case timing::nothing:
    case timing::idle: break;
  }
  return after(since_, limits.idle_timeout);
}

void connection::read_timed_out() {
  auto& statistics = server_.statistics;
  switch (phase_) {
    case phase::head:
      if (timing_ == timing::head) {
        static_cast<void>(refuse(status::request_timeout, &statistics::header_timeouts));
      } else {
        ++statistics.idle_timeouts;
        phase_ = phase::closed;
      }
      break;
    case phase::handling:
      if (!features::parser) break;
      static_cast<void>(fail_body(http_error::timed_out, status::request_timeout, &statistics::body_timeouts));
      break;
    case phase::draining:
      ++statistics.body_timeouts;
      phase_ = phase::closed;
      break;
    case phase::lingering:
      ++statistics.lingers_cut;
      phase_ = phase::closed;
      break;
    case phase::closed: break;
  }
}

instant connection::write_deadline(instant now) const {
  auto const& limits = server_.limits;
  return after(now, limits.write_timeout + at_rate(output_.bytes(), limits.rate_bytes_min));
}

void connection::written() {
  ++server_.statistics.writes;
  server_.statistics.bytes_written += output_.bytes();
  output_.clear();
  gathered_ = 0;
}

void connection::write_failed(bool timed_out) {
  ++(timed_out ? server_.statistics.write_timeouts : server_.statistics.peers_lost);
  output_.clear();
  phase_ = phase::closed;
}

void connection::handled() {
  if (phase_ != phase::handling) return;   // the connection ended while the handler wrote
  phase_ = phase::head;
  end_response();
  if (phase_ == phase::closed) return;
  ++server_.statistics.responses;
  ++gathered_;
  if (!keep_alive_) must_close_ = true;
  if (!features::parser || message_complete_) {
    end_message();
    return;
  }
  // Some of the body was not read. A client that waits for 100 Continue may send it or not, so what follows
  // cannot be told from a request: close (RFC 9110 section 10.1.1).
  auto const left = request_.body_.length_.value_or(0);
  if (must_close_ || body_failed_ || expects_continue_ || left > body_received_ + server_.limits.drained_bytes) {
    if (!must_close_ && !body_failed_ && !expects_continue_) ++server_.statistics.bodies_not_drained;
    must_close_ = lingers_ = true;
    return;
  }
  phase_ = phase::draining;
}

prepared_answer* connection::repeated_answer() const {
  auto const& known = memory_;
  if (known.answer_ == nullptr || end_ != known.head_bytes_ || end_ == 0 || parsed_ != 0 || begin_ != 0 || known.head_begin_ != 0 ||
      must_close_ || phase_ != phase::head || !output_.empty() ||
      requests_ + 1 >= server_.limits.requests_per_connection) {
    return nullptr;
  }
  return std::memcmp(buffer_, known.head_.data(), end_) == 0 ? known.answer_ : nullptr;
}

void connection::answer_again(prepared_answer& answer) {
  end_ = 0;
  ++requests_;
  ++gathered_;
  ++server_.statistics.requests;
  ++server_.statistics.responses;
  timing_ = timing::nothing;
  output_.share(answer.at(server_.date));
}

void connection::end_response() {
  if (!response_.has_begun()) {
    if (body_failed_) {
      response_.reply(refusal_);
    } else {
      ++server_.statistics.handlers_silent;
      response_.reply(status::internal_server_error);
    }
    return;
  }
  if (response_.stage_ != response_writer::stage::streaming) return;
  switch (response_.framing_) {
    case response_writer::framing::none: break;
    case response_writer::framing::chunked: output_.put("0\r\n\r\n"); break;
    case response_writer::framing::until_close: break;
    case response_writer::framing::length:
      if (response_.left_ == 0) break;
      // Nothing can be said any more but by cutting the connection: the peer sees a short body.
      ++server_.statistics.responses_cut;
      output_.clear();
      phase_ = phase::closed;
      break;
  }
}

void connection::end_message() {
  begin_ = parsed_;
  has_message_ = skipped_line_ = false;
  timing_ = timing::nothing;
  phase_ = phase::head;
}

/// Moves what is there to the front of the buffer, and every view into it along.
void connection::compact() {
  if (begin_ == 0) return;
  auto const bytes = end_ - begin_;
  // While there is room for the largest head behind it, moving is not worth it.
  if (bytes != 0 && !head_complete_ && capacity_ - begin_ >= capacity_ - server_.limits.body_room_bytes) return;
  auto const moved = static_cast<std::ptrdiff_t>(begin_);
  if (bytes != 0) {
    std::memmove(buffer_, buffer_ + begin_, bytes);
    auto const shift = [moved](std::string_view& view) {
      if (view.data() != nullptr) view = std::string_view(view.data() - moved, view.size());
    };
    for (auto* view : {&request_.method_text_, &request_.target_, &request_.path_, &request_.query_, &request_.host_,
                       &pending_.name, &pending_.value}) {
      shift(*view);
    }
    for (std::size_t i = 0; i < request_.field_count_; ++i) {
      shift(request_.fields_[i].name);
      shift(request_.fields_[i].value);
    }
    if (line_end_ != nullptr) line_end_ -= moved;
    memory_.head_bytes_ = 0;
  }
  parsed_ -= begin_;
  end_ = bytes;
  begin_ = 0;
}

}  // namespace morgana::http
