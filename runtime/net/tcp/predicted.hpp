// What the short ways share (prediction.cpp): how a segment lies in memory that is the expected one.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

inline constexpr std::size_t predicted_bytes = 32;  // nop, nop, timestamps behind the fixed header
inline constexpr std::uint32_t first_option_word = 0x0101'080a;

/// A word as it lies in memory.
[[gnu::always_inline]] inline std::uint32_t raw32(std::byte const* bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}
/// The same of a value.
constexpr std::uint32_t raw32(std::uint32_t value) {
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

/// The sum over all of a small segment, in one piece: that of its addresses is known.
[[gnu::always_inline]] inline bool is_intact(std::uint64_t addresses_sum, std::span<std::byte const> all) {
  return wire::sums_to_whole(addresses_sum + wire::network_order(static_cast<std::uint16_t>(all.size())) +
                             wire::sum_words(all));
}
/// The same for a header that is all there is.
template <std::size_t Size>
[[gnu::always_inline]] inline bool is_intact(std::uint64_t addresses_sum, std::byte const* all) {
  return wire::sums_to_whole(addresses_sum + wire::network_order(static_cast<std::uint16_t>(Size)) +
                             wire::sum_words<Size>(all));
}

/// What follows for the connection; whether it `waits` for more.
[[gnu::always_inline]] inline void machine::acknowledged_calm(tcb& c, wire::sequence at, wire::sequence ack, std::uint32_t window,
                                                              std::uint32_t bytes, sent_list::delivery const& last,
                                                              bool waits, instant now) {
  c.more_follows = false;
  c.busy->stalled_since = waits ? now : never;
  if (c.writer_waits && c.busy->send.size() * 3 <= std::uint64_t{c.send_buffer()} * 2) [[unlikely]] {
    c.writer_waits = false;
    notify(c, ready_to_write);
  }
  auto const trip = now - last.sent_at;
  c.trip.sample(trip);
  if (c.control.in_slow_start()) {
    c.chosen->leave_slow_start_slowly ? c.control.measure(c.trip.latest, c.send_una, c.send_next)
                                     : c.control.measure_at_once(c.trip.latest, c.trip.minimum, c.send_una,
                                                                 c.send_next, c.segment_bytes());
  }
  c.window_sequence = at;
  c.window_acknowledgment = ack;
  c.send_window = window;
  c.send_window_largest = std::max(c.send_window_largest, window);
  c.rack_trip = trip;
  c.rack_sent_at = last.sent_at;
  c.rack_end = last.end;
  if (c.window_limited || (c.control.in_slow_start() && c.control.window < 2 * c.flight_largest)) {
    c.control.acknowledged(c.chosen->control, bytes, c.segment_bytes(), c.trip.minimum, now);
  }
  if (waits || (c.fin_queued && !c.fin_sent())) return arm_loss_timer(c, now);
  c.timer = timer_kind::none;
  c.busy->timer_at = never;
  c.probe_moves = false;
}

}  // namespace morgana::net::tcp
