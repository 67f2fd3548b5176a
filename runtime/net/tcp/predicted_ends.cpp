// The short way of how nearly all connections end: a FIN alone that acknowledges all there is, and the
// acknowledgment of ours when the user has left (prediction.cpp).
#include "predicted.hpp"

namespace morgana::net::tcp {

using wire::sequence;

/// What input_predicted() comes to for a FIN without data that acknowledges all there is to acknowledge, a
/// single segment or nothing.
[[gnu::noinline]] void machine::input_end(addressing const& between, segment& packet, instant now) {
  std::span<std::byte const> const bytes = packet.header();
  if (packet.gso_size != 0 || bytes.size() != predicted_bytes ||
      raw32(bytes.data() + 20) != raw32(first_option_word)) [[unlikely]]
    return input_single(between, packet, now);
  auto* const found =
      flows.find_recent(between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0));
  if (found == nullptr || found->kind != flow_kind::connection) [[unlikely]]
    return input_single(between, packet, now);
  auto& c = static_cast<tcb&>(*found);
  constexpr std::uint8_t needed = calm::hears | calm::receives | calm::is_acknowledged;
  if (c.busy == nullptr || ((c.calm & needed) != needed && !becomes_calm(c, needed))) [[unlikely]]
    return input_single(between, packet, now);
  auto& b = *c.busy;
  sequence const at{wire::load32(bytes, 4)};
  sequence const ack{wire::load32(bytes, 8)};
  sequence const stamp{wire::load32(bytes, 24)};
  auto const window = std::uint32_t{wire::load16(bytes, 14)} << c.terms.send_scale;
  auto const acknowledged = static_cast<std::uint32_t>(ack - c.send_una);
  if (at != b.receive.next() || c.receive_edge < at || ack != c.send_next || b.flight.has_several() ||
      ack != b.send.end() + (c.fin_queued ? 1u : 0u) || stamp < sequence{c.recent_timestamp} || window == 0 ||
      c.writer_waits) [[unlikely]]
    return input_single(between, packet, now);
  if (packet.checksum == checksum_state::unchecked &&
      !is_intact<predicted_bytes>(c.addresses_sum, bytes.data())) [[unlikely]]
    return input_single(between, packet, now);

  ++counters.segments_in;
  ++counters.predicted_in;
  ++c.segments_received;
  if (at <= c.acknowledged_to) c.recent_timestamp = stamp.value;  // RFC 7323 4.3
  c.last_received_at = now;
  if (acknowledged != 0) {
    c.send_una = ack;
    made_progress(c, now);
    auto const last = b.flight.acknowledge_only(ack);
    b.send.acknowledge_all(b.send.end());
    acknowledged_calm(c, at, ack, window, acknowledged, last, false, now);
  } else if (at >= c.window_sequence || ack > c.window_acknowledgment) {
    c.window_sequence = at;
    c.window_acknowledgment = ack;
    c.send_window = window;
    c.send_window_largest = std::max(c.send_window_largest, window);
  }
  if (c.fin_queued && !pass_own_fin(c, now)) return;  // and c may be gone
  c.fin_at = at;
  if (input_fin(c, now)) schedule(c);
}

/// The acknowledgment of our FIN, in LAST-ACK. Of a connection whose user has left nothing is ever asked
/// again, and what it would have learned from the segment goes with it.
[[gnu::noinline]] void machine::input_last(tcb& c, addressing const& between, segment& packet, instant now) {
  std::span<std::byte const> const bytes = packet.header();
  sequence const at{wire::load32(bytes, 4)};
  sequence const stamp{wire::load32(bytes, 24)};
  if (!c.released || c.busy == nullptr || bytes.size() != predicted_bytes || !c.terms.timestamps ||
      !c.fin_sent() || c.syn_unacknowledged || at != c.receive_next() ||
      sequence{wire::load32(bytes, 8)} != c.send_next || c.send_una == c.send_next ||
      stamp < sequence{c.recent_timestamp}) [[unlikely]]
    return input_single(between, packet, now);
  if (packet.checksum == checksum_state::unchecked &&
      !is_intact<predicted_bytes>(c.addresses_sum, bytes.data())) [[unlikely]]
    return input_single(between, packet, now);
  ++counters.segments_in;
  ++counters.predicted_in;
  made_progress(c, now);
  close(c);
}

}  // namespace morgana::net::tcp
