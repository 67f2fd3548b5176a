// What the ordinary way out (output.cpp, timers.cpp) and the predicted one (predicted_output.cpp) share.
#pragma once

#include <algorithm>
#include <cstring>

#include "machine.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

inline constexpr duration delayed_acknowledgment_max = 200ms;  // what a peer may hold back (RFC 8985, 7.2)

/// Only a window that is used is known to be too small (RFC 7661): what was the most in flight, of a round?
inline void machine::validate_window(tcb& c) {
  auto const outstanding = c.outstanding();
  if (outstanding == 0) return;
  bool const sent_data = c.sent_data;
  c.sent_data = false;
  auto const in_flight = (c.calm & calm::speaks) != 0 ? outstanding : c.in_flight();
  bool const limited = c.window_blocked || in_flight >= c.control.window;
  if (!sent_data && !limited) return;  // what only waits for acknowledgments says nothing of the window
  if (c.send_una >= c.flight_round_end || limited || (!c.window_limited && outstanding > c.flight_largest)) {
    c.window_limited = limited;
    c.flight_largest = outstanding;
    c.flight_round_end = c.send_next;
  }
}

/// Nothing is out, and nothing waits: validate_window() and arm() would find nothing to do.
inline bool machine::has_nothing_to_await(tcb const& c) {
  if (c.send_una != c.send_next || c.send_next != c.busy->send.end() || !c.synchronized()) return false;
  bool const has_flag = c.fin_queued || c.chosen->keepalive || c.probe_moves || c.pacing_waits;
  return !has_flag && c.timer == timer_kind::none && c.busy->acknowledge_at == never && c.busy->timer_at == never &&
         c.rare().keepalive_at == never && c.busy->end_at == never && c.busy->stalled_since == never;
}

/// Whether a PSH is due: the data of the user's last write ends here (RFC 9293 3.9.1.2 lets earlier ones
/// merge), or so much went without one that the peer's user may want to hear of it.
inline bool machine::ends_a_write(tcb& c, wire::sequence from, wire::sequence end) {
  bool const ends = from < c.push_point && end >= c.push_point;
  if (!ends &&
      static_cast<std::uint32_t>(end - c.pushed_to) <= c.send_window_largest / 2 + c.segment_bytes()) {
    return false;
  }
  c.pushed_to = end;
  return true;
}

inline std::uint16_t machine::window_to_advertise(tcb& c, std::uint32_t space, std::uint32_t step) {
  if (arrived.is_crowded()) ++counters.windows_held_back;
  return window_of(c, c.receive_next(), space, step);
}

inline std::uint16_t machine::window_of(tcb& c, wire::sequence next, std::uint32_t space, std::uint32_t step) {
  auto const fresh = next + space;
  // SWS avoidance (RFC 9293 3.8.6.2.2): the edge moves by a full segment or half of the buffer, never back.
  if (fresh - c.receive_edge >= static_cast<std::int32_t>(step)) c.receive_edge = fresh;
  auto const window = static_cast<std::uint32_t>(std::max(c.receive_edge - next, 0));
  if (window == 0) ++counters.windows_closed;
  auto const scale = c.terms.receive_scale;
  return static_cast<std::uint16_t>(std::min((window + (1u << scale) - 1u) >> scale, 65'535u));
}

inline reply* machine::add_reply(flow_key const& flow, std::size_t header_bytes, std::uint64_t way) {
  auto* const out = replies.add();
  if (out == nullptr) return nullptr;
  out->size = static_cast<std::uint8_t>(header_bytes);
  out->way = way;
  out->between = {flow.local, flow.peer, 0, &out->way};
  return out;
}

/// `words` are the sum of the header, a checksum of zero in it, and of the addresses.
inline void machine::finish(reply& one, std::uint64_t words) {
  auto const finished = static_cast<std::uint16_t>(~wire::fold_checksum(words + wire::network_order(one.size)));
  std::memcpy(one.header().data() + 16, &finished, sizeof finished);
}

/// When the loss probe is due (RFC 8985 7.2). Nothing was retransmitted, and there was a round trip.
inline instant machine::loss_probe_time(tcb const& c, sent const& front, std::uint32_t in_flight, instant now) {
  auto wait = 2 * c.trip.smoothed;
  if (in_flight <= c.segment_bytes()) wait += delayed_acknowledgment_max;
  // Not later than the timeout of what was sent first, so that new data cannot put it off for ever.
  return now + std::max<duration>(std::min<duration>(wait, front.at + c.trip.timeout() - now), 2ms);
}

}  // namespace morgana::net::tcp
