// Frames through netfront: what runs for each of them.
#include <utility>

#include "netfront_state.hpp"

namespace morgana::xen {

void netfront_state::show() {
  if (!lost && !is_away && transmitter->publish()) transmit_port.notify();
}

bool netfront_state::wait_for_room() {
  show();
  if (transmitter->lie().empty() && transmitter->sleep()) return false;
  if (!transmitter->lie().empty()) {
    lose_by_lie(transmitter->lie());
    return true;
  }
  writable = false;
  return true;
}

void netfront_state::events_came() {
  if (!receiver || lost || is_away) return;
  if (!writable && transmitter->has_response()) room_came();
  if (!readers.is_empty()) frames_came();
}

std::size_t netfront_state::take(std::span<net::segment> into) {
  if (lost || is_away) [[unlikely]] return 0;
  return receiver->has_response() ? take_some(into) : take_none(into);
}

/// What most often is asked before somebody waits.
[[gnu::noinline]] std::size_t netfront_state::take_none(std::span<net::segment> into) {
  if (receiver->is_short()) lend_pages();
  return receiver->sleep() ? take_some(into) : 0;
}

[[gnu::noinline]] std::size_t netfront_state::take_some(std::span<net::segment> into) {
  auto& from = *receiver;
  auto* const begin = into.data();
  auto* const end = begin + into.size();
  auto* at = begin;
  for (;;) {
    while (at != end && from.next(*at)) ++at;
    counters.dropped_received = from.dropped();
    if (at == end) break;
    if (!from.lie().empty()) [[unlikely]] {
      lose_by_lie(from.lie());
      break;
    }
    if (from.is_short()) lend_pages();
    // Who got some comes again before it waits, and only then the backend is to wake us.
    if (at != begin || !from.sleep()) break;
  }
  auto const taken = static_cast<std::size_t>(at - begin);
  counters.received_frames += taken;
  return taken;
}

result<std::size_t> netfront::transmit(std::span<net::segment> from) {
  auto& on = *state_;
  if (on.lost) [[unlikely]] return failure(*on.lost);
  auto& to = *on.transmitter;
  std::size_t done = 0;
  while (done != from.size()) {
    auto& frame = from.data()[done];
    if (on.can_send(frame)) {
      if (frame.size() > net_wire::frame_bytes_max || !on.has_carrier || on.is_away) [[unlikely]] {
        ++on.counters.dropped_sent;
      } else if (to.put(frame)) [[likely]] {
        ++on.counters.sent_frames;
      } else if (on.wait_for_room()) {
        break;
      } else {
        continue;
      }
    }
    frame.clear();
    ++done;
  }
  on.show();
  if (on.lost) [[unlikely]] return failure(*on.lost);
  return done;
}

}  // namespace morgana::xen
