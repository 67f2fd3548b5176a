// The body of a request: decoding what has arrived, and waiting for more.
#include "morgana/http/connection.hpp"
#include "morgana/http/features.hpp"
#include "parser.hpp"

namespace morgana::http {

namespace {

/// Chunk sizes, extensions and trailers, for a body of so many bytes: eight for each byte are enough for
/// chunks of one byte; beyond that and headers_bytes somebody sends framing instead of a body.
constexpr std::uint64_t framing_per_byte = 8;

}  // namespace

std::unexpected<error> connection::fail_body(http_error what, status code, std::uint64_t statistics::* counter,
                                             std::int64_t detail) {
  ++(server_.statistics.*counter);
  body_failed_ = true;
  body_error_ = what;
  refusal_ = code;
  keep_alive_ = false;
  lingers_ = true;
  return failure(what, detail);
}

result<connection::body_step> connection::step_body(std::span<std::byte const>& data) {
  if (body_failed_) return failure(body_error_);
  for (;;) {
    if (body_begin_ != body_end_) {
      data = std::as_bytes(std::span(buffer_ + body_begin_, body_end_ - body_begin_));
      body_begin_ = body_end_;
      return body_step::data;
    }
    if (!features::parser || message_complete_) return body_step::end;
    if (parsed_ == end_) {
      // Everything was decoded and handed out: the room behind the head is free again.
      parsed_ = end_ = body_begin_ = body_end_ = head_end_;
      if (input_ended_) return fail_body(http_error::peer_closed, status::bad_request, &statistics::peers_lost);
      return body_step::need_input;
    }
    auto& parser = parser_in(parser_);
    auto const begin = parsed_;
    auto const received_before = body_received_;
    body_begin_ = body_end_ = parsed_;
    auto const parser_error = llhttp_execute(&parser, &buffer_[parsed_], end_ - parsed_);
    if (parser_error == HPE_OK) {
      parsed_ = end_;
    } else if (parser_error == HPE_PAUSED) {
      parsed_ = static_cast<std::size_t>(parser.error_pos - buffer_);
    } else if (parser_error == HPE_USER) {
      return fail_body(http_error::body_too_large, refusal_, refusal_counter_,
                       static_cast<std::int64_t>(server_.limits.body_bytes));
    } else {
      return fail_body(http_error::malformed_body, status::bad_request, &statistics::malformed);
    }
    framing_bytes_ += (parsed_ - begin) - (body_received_ - received_before);
    if (framing_bytes_ > server_.limits.headers_bytes + framing_per_byte * body_received_) {
      return fail_body(http_error::malformed_body, status::header_fields_too_large, &statistics::headers_too_large);
    }
  }
}

task<result<std::span<std::byte const>>> body_reader::next() {
  auto& connection = *owner_;
  for (;;) {
    std::span<std::byte const> data;
    auto step = connection.step_body(data);
    if (!step) co_return failure(std::move(step.error()));
    if (*step != connection::body_step::need_input) co_return data;
    if (connection.transport_ == nullptr) co_return failure(http_error::peer_closed);
    if (connection.expects_continue_ && !connection.response_.has_begun()) {
      connection.output_.put("HTTP/1.1 100 Continue\r\n\r\n");
    }
    connection.expects_continue_ = false;
    // The peer may be waiting for earlier answers, or for 100, before it sends the body.
    if (!connection.output_.empty()) {
      auto flushed = co_await connection.transport_->flush();
      if (!flushed) co_return failure(std::move(flushed.error()));
    }
    auto filled = co_await connection.transport_->fill();
    if (!filled) co_return failure(std::move(filled.error()));
  }
}

}  // namespace morgana::http
