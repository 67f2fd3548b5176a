// Header prediction: the segment that an established connection expects next (V. Jacobson, "4BSD TCP header
// prediction", 1990) is recognised by its header alone and needs none of the questions of RFC 9293 3.10.7;
// what the connection sends next is predicted likewise. Both do exactly what input.cpp, acknowledgment.cpp,
// recovery.cpp and output.cpp would do; whatever is not certain goes there.
// tests/unit/runtime/net/tcp_prediction.cpp compares the two.
#include <algorithm>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

constexpr std::size_t predicted_bytes = 32;  // nop, nop, timestamps behind the fixed header
constexpr std::uint32_t first_option_word = 0x0101'080a;

/// Nothing is going on: no loss, no gap, no congestion to report.
[[gnu::always_inline]] inline bool is_calm(tcb const& c) {
  if (!c.synchronized() || c.phase != recovery_phase::open) [[unlikely]]
    return false;
  if (!c.terms.timestamps || c.terms.ecn) [[unlikely]]
    return false;
  if (!c.has_recent_timestamp || c.fin_beyond_gap || c.loss_probe_out) [[unlikely]]
    return false;
  if ((c.flight.lost_bytes() | c.flight.sacked_records()) != 0 || c.receive.has_gaps()) [[unlikely]]
    return false;
  return true;
}

/// The user has asked for nothing that changes when or how data goes.
[[gnu::always_inline]] inline bool is_ordinary(settings const& chosen) {
  if (!chosen.no_delay || chosen.hold_partial || chosen.pacing || chosen.probe_mtu_from != 0) [[unlikely]]
    return false;
  return true;
}

/// The sum over all of a segment whose header is in one piece: that of its addresses is known.
[[gnu::always_inline]] inline bool is_intact(tcb const& c, std::span<std::byte const> front,
                                             segment const& packet) {
  auto const size = packet.size();
  wire::checksum sum;
  sum.add_sum(c.addresses_sum + wire::network_order(static_cast<std::uint16_t>(size >> 16)) +
              wire::network_order(static_cast<std::uint16_t>(size)) +
              wire::sum_words<predicted_bytes>(front.data()));
  if (front.size() > predicted_bytes)
    sum.add({front.data() + predicted_bytes, front.size() - predicted_bytes});
  if (front.size() < size) {
    // The front is the header that lies before the slices, or the first of them.
    auto const* part = packet.slices().data();
    auto const* const end = part + packet.slices().size();
    for (part += packet.header_size() == 0 ? 1 : 0; part != end; ++part) sum.add(part->bytes());
  }
  return sum.finish() == 0;
}

/// A header while it is written: each word goes into the sum as it goes into memory.
class summed_header {
 public:
  explicit summed_header(std::span<std::byte> bytes, std::uint64_t sum) : bytes_(bytes), sum_(sum) {}
  void put32(std::size_t offset, std::uint32_t value) {
    auto const word = std::endian::native == std::endian::little ? std::byteswap(value) : value;
    std::memcpy(bytes_.data() + offset, &word, sizeof word);
    sum_ += word;
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  std::span<std::byte> bytes_;
  std::uint64_t sum_;
};

}  // namespace

/// New data of a calm connection is acknowledged, all of it sent once: a round trip, room in both windows,
/// the loss timer anew. RACK has nothing to find: what is still out was sent later than what arrived.
[[gnu::always_inline]] inline bool machine::acknowledge_calm(tcb& c, sequence at, sequence ack,
                                                             std::uint32_t window, instant now) {
  if (!c.terms.sack || c.undo_possible || c.mtu_probe_out || !c.flight.is_in_order()) [[unlikely]]
    return false;
  auto const& first = *c.flight.front();
  if (first.at < c.rack_sent_at || (first.at == c.rack_sent_at && first.begin < c.rack_end)) [[unlikely]]
    return false;
  auto const bytes = static_cast<std::uint32_t>(ack - c.send_una);
  c.bytes_acknowledged += bytes;
  c.send_una = ack;
  made_progress(c, now);
  auto const last = c.flight.acknowledge_in_order(ack);
  c.send.acknowledge_to(std::min(ack, c.send.end()));
  c.backoff = c.probes = c.duplicate_acks = 0;
  c.more_follows = false;
  c.stalled_since = c.send.size() != 0 || c.outstanding() != 0 ? now : never;
  if (c.writer_waits && c.send.size() * 3 <= std::uint64_t{c.send_buffer()} * 2) {
    c.writer_waits = false;
    notify(c, ready_to_write);
  }
  auto const trip = now - last.sent_at;
  c.trip.sample(trip);
  if (c.control.in_slow_start()) {
    c.chosen.leave_slow_start_slowly ? c.control.measure(c.trip.latest, c.send_una, c.send_next)
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
    c.control.acknowledged(c.chosen.control, bytes, c.segment_bytes(), c.trip.minimum, now);
  }
  rearm_loss_timer(c, now);
  return true;
}

/// The segment was expected, what it acknowledges needs the long way. False: it ends here.
[[gnu::noinline]] bool machine::acknowledge_ordinarily(tcb& c, addressing const& between,
                                                       std::span<std::byte const> bytes, std::uint32_t size,
                                                       instant now) {
  arrival a;
  a.between = &between;
  a.key = c.key;
  a.size = size;
  a.header.sequence = {wire::load32(bytes, 4)};
  a.header.acknowledgment = {wire::load32(bytes, 8)};
  a.header.flags = wire::tcp_ack;
  a.header.window = wire::load16(bytes, 14);
  a.header.options.timestamps = wire::tcp_timestamps{wire::load32(bytes, 24), wire::load32(bytes, 28)};
  if (input_acknowledgment(c, a, now)) return true;
  arm(c, now);
  return false;
}

[[gnu::always_inline]] inline bool machine::input_predicted(addressing const& between,
                                                            std::span<std::byte const> bytes, segment& packet,
                                                            instant now) {
  if (bytes.size() < predicted_bytes) [[unlikely]]
    return false;
  // Eight words of header, ACK and perhaps PSH or FIN, nothing reserved; then the usual options.
  auto const flags_and_window = wire::load32(bytes, 12);
  bool const has_fin = (flags_and_window & std::uint32_t{wire::tcp_fin} << 16) != 0;
  if ((flags_and_window & 0xfff6'0000u) != 0x8010'0000u || wire::load32(bytes, 20) != first_option_word)
      [[unlikely]]
    return false;
  auto* const found =
      flows.find_recent(between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0));
  if (found == nullptr || found->kind != flow_kind::connection) [[unlikely]]
    return false;
  auto& c = static_cast<tcb&>(*found);
  sequence const at{wire::load32(bytes, 4)};
  sequence const acknowledged{wire::load32(bytes, 8)};
  sequence const stamp{wire::load32(bytes, 24)};
  auto const size = static_cast<std::uint32_t>(packet.size() - predicted_bytes);
  auto const room = c.receive_edge - c.receive_next();
  auto const window = (flags_and_window & 0xffffu) << c.terms.send_scale;
  if (at != c.receive_next() || static_cast<std::int32_t>(size) > room || acknowledged < c.send_una ||
      acknowledged > c.send_next || stamp < sequence{c.recent_timestamp}) [[unlikely]]
    return false;
  // One that neither brings nor acknowledges anything is a duplicate acknowledgment, or a probe; a window
  // that was closed or closes now is not calm.
  bool const brings = size != 0 || has_fin;
  if (window == 0 || c.send_window == 0 || (!brings && acknowledged == c.send_una) || !is_calm(c))
      [[unlikely]]
    return false;
  // Data or an end where none can be any more, or that nobody will read.
  if (brings && (!c.may_receive_data() || c.fin_received || c.released)) [[unlikely]]
    return false;
  if (packet.checksum == checksum_state::unchecked && !is_intact(c, bytes, packet)) [[unlikely]]
    return false;

  ++counters.predicted_in;
  ++c.segments_received;
  if (at <= c.acknowledged_to) {
    c.recent_timestamp = stamp.value;  // RFC 7323 4.3
    c.recent_timestamp_at = now;
  }
  c.last_received_at = now;
  if (acknowledged == c.send_una) {
    c.probes = 0;
    // An acknowledgment from beyond it may have come before it: then that one knew the window better.
    if (at >= c.window_sequence || acknowledged > c.window_acknowledgment) {
      c.window_sequence = at;
      c.window_acknowledgment = acknowledged;
      c.send_window = window;
      c.send_window_largest = std::max(c.send_window_largest, window);
    }
    if (c.flight.empty()) c.duplicate_acks = 0;
  } else if (!acknowledge_calm(c, at, acknowledged, window, now)) [[unlikely]] {
    if (!acknowledge_ordinarily(c, between, bytes, size, now)) return true;
  }
  if (c.fin_queued && !pass_own_fin(c, now)) [[unlikely]]
    return true;  // and c may be gone
  if (size != 0) {
    packet.drop_front(predicted_bytes);
    c.last_data_at = now;
    auto const part = packet.gso_size != 0 ? std::uint32_t{packet.gso_size} : size;
    if (part > c.received_segment_bytes)
      c.received_segment_bytes = static_cast<std::uint16_t>(std::min(part, 65'535u));
    auto const before = c.receive_next();
    auto const what = c.receive.append(packet);
    if (what == receive_queue::outcome::in_order) [[likely]] {
      auto const added = static_cast<std::uint32_t>(c.receive_next() - before);
      c.bytes_received += added;
      received_in_order(c, size, now);
      made_progress(c, now);
      notify(c, ready_to_read);
    } else {
      received(c, what, size, 0, now);
    }
  }
  if (has_fin) [[unlikely]] {
    end_expected(c, at + size, now);
    return true;
  }
  schedule(c);
  return true;
}

/// The peer's FIN, behind what came with it.
[[gnu::noinline]] void machine::end_expected(tcb& c, sequence at, instant now) {
  c.fin_beyond_gap = true;
  c.fin_at = at;
  if (at != c.receive_next()) {
    c.acknowledge_now = true;
  } else if (!input_fin(c, now)) {
    return;
  }
  schedule(c);
}

bool machine::acknowledge_predicted(tcb& c, sequence at, sequence ack, std::uint32_t window, instant now) {
  if (c.phase != recovery_phase::open || c.loss_probe_out) [[unlikely]]
    return false;
  if ((c.flight.lost_bytes() | c.flight.sacked_records()) != 0) [[unlikely]]
    return false;
  return acknowledge_calm(c, at, ack, window, now);
}

void machine::input(addressing const& between, segment&& packet, instant now) {
  ++counters.segments_in;
  if (predicts && input_predicted(between, packet.front_piece(), packet, now)) [[likely]]
    return;
  input_unpredicted(between, packet, now);
}

bool machine::build_predicted(tcb& c, addressing& between, segment& packet, instant now) {
  if (!c.synchronized() || c.phase != recovery_phase::open || !c.terms.timestamps || c.terms.ecn) [[unlikely]]
    return false;
  if ((c.flight.lost_bytes() | c.flight.sacked_records()) != 0 || !is_ordinary(c.chosen)) [[unlikely]]
    return false;
  if (c.want_syn || c.want_loss_probe || c.want_window_probe || c.more_follows || c.super_segments)
      [[unlikely]]
    return false;
  if (c.receive.has_sack() || (!c.terms.sack && c.duplicate_acks != 0)) [[unlikely]]
    return false;
  auto const from = c.send_next;
  bool const has_fin = c.fin_queued && !c.fin_sent();
  auto const pending = c.fin_queued && !has_fin ? 0u : static_cast<std::uint32_t>(c.send.end() - from);
  auto const in_flight = c.outstanding();
  auto const whole = c.segment_bytes();
  auto const count = std::min(pending, whole);
  auto const fin = has_fin && count == pending ? 1u : 0u;
  auto const covered = count + fin;
  if (covered == 0) {
    if (!c.acknowledge_now) return false;
  } else {
    bool const was_idle = in_flight == 0 && now - c.last_sent_at > c.trip.timeout();
    auto const window_room = (c.send_una + c.send_window) - from;
    if (was_idle || c.control.window < in_flight + covered ||
        window_room < static_cast<std::int32_t>(covered)) [[unlikely]]
      return false;
  }
  packet.clear();
  if (count != 0 && c.send.collect(from, count, packet) != count) [[unlikely]]
    return false;
  c.window_blocked = c.pacing_waits = false;
  std::uint8_t flags = wire::tcp_ack;
  if (covered != 0) {
    auto const end = from + covered;
    bool const ends_write = count != 0 && ends_a_write(c, from, from + count);
    if (ends_write) flags |= wire::tcp_psh;
    if (fin != 0) flags |= wire::tcp_fin;
    if (c.stalled_since == never) c.stalled_since = now;
    if (c.flight.empty()) c.control.resume(now - c.last_sent_at, now);
    c.flight.add(from, end, now, ends_write);
    c.send_next = end;
    c.sent_data = true;
    c.bytes_sent += count;
    if (count != 0 && count != whole) c.small_until = from + count;
    c.last_sent_at = now;
  }
  between.source = c.key.local;
  between.destination = c.key.peer;
  between.traffic_class = static_cast<std::uint8_t>(c.chosen.differentiated_services << 2);
  auto const bytes = packet.push_header(predicted_bytes);
  summed_header header(bytes,
                       c.addresses_sum + wire::network_order(static_cast<std::uint16_t>(packet.size())));
  auto const next = c.receive_next();
  header.put32(0, std::uint32_t{c.key.local_port} << 16 | c.key.peer_port);
  header.put32(4, from.value);
  header.put32(8, next.value);
  header.put32(12, 0x8000'0000u | std::uint32_t{flags} << 16 | window_to_advertise(c));
  header.put32(20, first_option_word);
  header.put32(24, timestamp(c.timestamp_offset, now));
  header.put32(28, c.recent_timestamp);
  c.acknowledged_to = next;
  c.acknowledge_now = false;
  c.acknowledge_at = never;
  c.segments_unacknowledged = 0;
  if (c.partial_checksum) {
    wire::checksum sum;
    sum.add_sum(c.addresses_sum);
    sum.add16(static_cast<std::uint16_t>(packet.size()));
    packet.checksum = checksum_state::partial;
    packet.checksum_start = 0;
    packet.checksum_offset = 16;
    wire::store32(bytes, 16, std::uint32_t{sum.partial()} << 16);
  } else {
    wire::checksum sum;
    sum.add_sum(header.sum());
    for (auto const& part : packet.slices()) sum.add(part.bytes());
    packet.checksum = checksum_state::valid;
    wire::store32(bytes, 16, std::uint32_t{sum.finish()} << 16);
  }
  ++counters.segments_out;
  ++counters.predicted_out;
  ++c.segments_sent;
  if (covered == 0) return true;
  if (c.timer == timer_kind::none || c.timer == timer_kind::window_probe) {
    arm_loss_timer(c, now);
  } else if (c.timer == timer_kind::loss_probe) {
    c.probe_moves = true;  // with the last segment of this pass, by arm()
  }
  return true;
}

}  // namespace morgana::net::tcp
