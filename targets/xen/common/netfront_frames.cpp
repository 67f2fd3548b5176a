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

result<std::size_t> netfront_state::take(std::span<net::segment> into) {
  std::size_t taken = 0;
  while (!lost && !is_away && taken < into.size()) {
    if (receiver->next(into[taken])) {
      ++taken;
      continue;
    }
    if (!receiver->lie().empty()) {
      lose_by_lie(receiver->lie());
    } else {
      // Who got some comes again before it waits, and only then the backend is to wake us.
      lend_pages();
      if (taken != 0 || !receiver->sleep()) break;
    }
  }
  counters.dropped_received = receiver ? receiver->dropped() : 0;
  counters.received_frames += taken;
  if (taken != 0) return taken;
  if (lost) return failure(*lost);
  return std::size_t{0};
}

result<std::size_t> netfront::transmit(std::span<net::segment> from) {
  auto& on = *state_;
  std::size_t done = 0;
  while (done < from.size() && !on.lost) {
    auto& frame = from[done];
    if (on.can_send(frame)) {
      if (frame.size() > net_wire::frame_bytes_max || !on.has_carrier || on.is_away) {
        ++on.counters.dropped_sent;
      } else if (on.transmitter->put(frame)) {
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
  if (on.lost) return failure(*on.lost);
  return done;
}

}  // namespace morgana::xen
