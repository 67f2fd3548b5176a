// Header prediction: the segment that an established connection expects next (V. Jacobson, "4BSD TCP header
// prediction", 1990) is recognised by its header alone and needs none of the questions of RFC 9293 3.10.7. It does
// exactly what input.cpp would do with it; whatever is not certain goes there.
#include <algorithm>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

constexpr std::size_t predicted_bytes = 32;  // nop, nop, timestamps behind the fixed header

/// Nothing is going on: no loss, no gap, no end, no congestion to report.
bool is_calm(tcb const& c) {
  return c.current == state::established && c.phase == recovery_phase::open && c.terms.timestamps &&
         !c.terms.ecn && c.has_recent_timestamp && !c.released && !c.fin_beyond_gap && !c.fin_received &&
         !c.loss_probe_out && c.flight.lost_bytes() == 0 && c.flight.sacked_records() == 0 &&
         !c.receive.has_gaps();
}

}  // namespace

bool machine::input_predicted(addressing const& between, std::span<std::byte const> bytes, segment& packet,
                              instant now) {
  if (bytes.size() < predicted_bytes) return false;
  // Eight words of header, ACK and perhaps PSH, nothing reserved; then the usual options.
  auto const flags_and_window = wire::load32(bytes, 12);
  if ((flags_and_window & 0xfff7'0000u) != 0x8010'0000u || wire::load32(bytes, 20) != 0x0101'080au) return false;
  auto* const found =
      flows.find_recent(between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0));
  if (found == nullptr || found->kind != flow_kind::connection) return false;
  auto& c = static_cast<tcb&>(*found);
  sequence const at{wire::load32(bytes, 4)};
  sequence const acknowledged{wire::load32(bytes, 8)};
  sequence const stamp{wire::load32(bytes, 24)};
  auto const size = static_cast<std::uint32_t>(packet.size() - predicted_bytes);
  auto const room = c.receive_edge - c.receive_next();
  auto const window = (flags_and_window & 0xffffu) << c.terms.send_scale;
  bool const is_next = at == c.receive_next() && static_cast<std::int32_t>(size) <= room &&
                       acknowledged >= c.send_una && acknowledged <= c.send_next &&
                       stamp >= sequence{c.recent_timestamp};
  // One that neither brings nor acknowledges anything is a duplicate acknowledgment, or a probe; a window that was
  // closed or closes now is not calm.
  if (!is_next || window == 0 || c.send_window == 0 || (size == 0 && acknowledged == c.send_una) || !is_calm(c)) return false;

  ++c.segments_received;
  if (at <= c.acknowledged_to) {
    c.recent_timestamp = stamp.value;  // RFC 7323 4.3
    c.recent_timestamp_at = now;
  }
  c.last_received_at = now;
  if (acknowledged != c.send_una) {
    arrival a{&between, {}, c.key, size};
    a.header.sequence = at;
    a.header.acknowledgment = acknowledged;
    a.header.flags = wire::tcp_ack;
    a.header.window = static_cast<std::uint16_t>(flags_and_window);
    a.header.options.timestamps = wire::tcp_timestamps{stamp.value, wire::load32(bytes, 28)};
    if (!input_acknowledgment(c, a, now)) {
      arm(c, now);
      return true;
    }
  } else {
    c.probes = 0;
    c.window_sequence = at;
    c.window_acknowledgment = acknowledged;
    c.send_window = window;
    c.send_window_largest = std::max(c.send_window_largest, window);
    if (c.flight.empty()) c.duplicate_acks = 0;
  }
  if (size != 0) {
    packet.drop_front(predicted_bytes);
    auto const before = c.receive_next();
    auto const what = c.receive.append(packet);
    received(c, what, size, static_cast<std::uint32_t>(c.receive_next() - before), now);
  }
  schedule(c);
  return true;
}

}  // namespace morgana::net::tcp
