// Header prediction: the segment that an established connection expects next (V. Jacobson, "4BSD TCP header
// prediction", 1990) is recognised by its header alone and needs none of the questions of RFC 9293 3.10.7;
// what the connection sends next is predicted likewise (predicted_output.cpp). Both do exactly what
// input.cpp, acknowledgment.cpp, recovery.cpp and output.cpp would do; whatever is not certain goes there.
// What is out of the ordinary with a connection is asked once (becomes_calm) and not again until the ordinary
// way touches it. tests/unit/runtime/net/tcp_prediction.cpp compares the two.
#include <algorithm>
#include <span>

#include "predicted.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

/// What segments of one run may differ in.
constexpr std::uint32_t run_ignores = std::uint32_t{wire::tcp_psh} << 16;

/// The sum over all of a segment whose header is in one piece: that of its addresses is known.
[[gnu::always_inline]] inline bool pieces_are_intact(tcb const& c, std::span<std::byte const> front,
                                             segment const& packet) {
  auto const size = packet.size();
  if (front.size() == size && size <= segment_headroom_bytes) return is_intact(c.addresses_sum, front);
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
    part += packet.header_size() == 0 ? 1 : 0;
    if (part + 1 == end && front.size() == predicted_bytes) {
      sum.add_sum(wire::sum_words(part->bytes()));
    } else {
      for (; part != end; ++part) sum.add(part->bytes());
    }
  }
  return sum.is_whole();
}

}  // namespace

/// Asks all the questions; what it finds stays so until the ordinary way touches the connection
/// (tcb::disturb).
[[gnu::noinline]] bool machine::becomes_calm(tcb& c, std::uint8_t wanted) {
  auto const& chosen = *c.chosen;
  c.calm = 0;
  bool const quiet = c.synchronized() && c.phase == recovery_phase::open && c.terms.timestamps &&
                     !c.terms.ecn && !c.loss_probe_out && !c.syn_unacknowledged &&
                     (c.busy->flight.lost_bytes() | c.busy->flight.sacked_records()) == 0;
  if (!quiet) return false;
  if (c.has_recent_timestamp && !c.fin_beyond_gap && !c.busy->receive.has_gaps() && c.send_window != 0 &&
      (c.probes | c.duplicate_acks | c.backoff) == 0) {
    c.calm |= calm::hears;
    if (c.may_receive_data() && !c.fin_received && !c.released && c.parent == nullptr)
      c.calm |= calm::receives;
    // RACK has nothing to find then: what is still out was sent later than what arrived.
    auto const* const first = c.busy->flight.front();
    bool const is_newest =
        first == nullptr ||
        (c.busy->flight.is_in_order() &&
         !(first->at < c.rack_sent_at || (first->at == c.rack_sent_at && first->begin < c.rack_end)));
    if (c.terms.sack && !c.undo_possible && !c.mtu_probe_out && is_newest) c.calm |= calm::is_acknowledged;
  }
  bool const asks_nothing =
      chosen.no_delay && !chosen.hold_partial && !chosen.pacing && chosen.probe_mtu_from == 0;
  if (asks_nothing && !c.want_syn && !c.want_loss_probe && !c.want_window_probe && !c.more_follows &&
      !c.busy->receive.has_sack() && (c.terms.sack || c.duplicate_acks == 0)) {
    c.calm |= calm::speaks;
    c.busy->calm_buffer = c.receive_buffer();
    c.busy->calm_step = c.receive_step(c.busy->calm_buffer);
    if (c.terms.sack && chosen.loss_probe && c.backoff == 0 && c.trip.smoothed != 0s && !c.pacing_waits &&
        !chosen.keepalive && c.rare().keepalive_at == never && c.busy->end_at == never && chosen.user_timeout == 0s) {
      c.calm |= calm::waits;
    }
  }
  return (c.calm & wanted) == wanted;
}

/// New data of a calm connection is acknowledged, all of it sent once: a round trip, room in both windows,
/// the loss timer anew.
[[gnu::always_inline]] inline void machine::acknowledge_calm(tcb& c, sequence at, sequence ack,
                                                             std::uint32_t window, instant now) {
  auto const bytes = static_cast<std::uint32_t>(ack - c.send_una);
  auto& b = *c.busy;
  c.send_una = ack;
  made_progress(c, now);
  auto const last = b.flight.acknowledge_in_order(ack);
  b.send.acknowledge_to(std::min(ack, b.send.end()));
  acknowledged_calm(c, at, ack, window, bytes, last, b.send.size() != 0 || c.outstanding() != 0, now);
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
  if (c.busy == nullptr) [[unlikely]] {
    // What is broken on its way ends no rest.
    if (packet.checksum == checksum_state::unchecked) {
      if (!pieces_are_intact(c, bytes, packet)) return false;
      packet.checksum = checksum_state::valid;
    }
    engage(c, now);
  }
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
  // that closes now is not calm. Data may come where none can be any more, or that nobody will read.
  bool const brings = size != 0 || has_fin;
  std::uint8_t const needed = brings ? calm::hears | calm::receives : calm::hears;
  if (window == 0 || (!brings && acknowledged == c.send_una)) [[unlikely]]
    return false;
  if ((c.calm & needed) != needed && !becomes_calm(c, needed)) [[unlikely]]
    return false;
  if (packet.checksum == checksum_state::unchecked && !pieces_are_intact(c, bytes, packet)) [[unlikely]]
    return false;

  ++counters.predicted_in;
  ++c.segments_received;
  if (at <= c.acknowledged_to) {
    c.recent_timestamp = stamp.value;  // RFC 7323 4.3
  }
  c.last_received_at = now;
  if (acknowledged == c.send_una) {
    // An acknowledgment from beyond it may have come before it: then that one knew the window better.
    if (at >= c.window_sequence || acknowledged > c.window_acknowledgment) {
      c.window_sequence = at;
      c.window_acknowledgment = acknowledged;
      c.send_window = window;
      c.send_window_largest = std::max(c.send_window_largest, window);
    }
  } else if ((c.calm & calm::is_acknowledged) != 0 || becomes_calm(c, calm::is_acknowledged)) [[likely]] {
    acknowledge_calm(c, at, acknowledged, window, now);
  } else {
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
    auto const what = c.busy->receive.append(packet);
    if (what == receive_queue::outcome::in_order) [[likely]] {
      received_calm(c, size, static_cast<std::uint32_t>(c.receive_next() - before), now);
      // Those that follow tell of the window as this one did.
      if (in_run && !has_fin && (c.calm & needed) == needed && c.window_sequence == at) {
        run = {&c, raw32(bytes.data()), raw32(acknowledged.value), raw32(flags_and_window & ~run_ignores)};
      }
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

/// What input_predicted() comes to for a small message, in one piece, or none, that acknowledges all there is to
/// acknowledge, a single segment: where requests and answers take turns. When there is more to it, that does it.
[[gnu::noinline]] void machine::input_alone(addressing const& between, segment& packet, instant now) {
  std::span<std::byte const> const bytes = packet.header();
  auto const size = static_cast<std::uint32_t>(bytes.size() - predicted_bytes);
  if (packet.gso_size != 0 || raw32(bytes.data() + 20) != raw32(first_option_word)) [[unlikely]]
    return input_single(between, packet, now);
  auto* const found =
      flows.find_recent(between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0));
  if (found == nullptr || found->kind != flow_kind::connection) [[unlikely]] {
    if (found != nullptr && found->kind == flow_kind::half_open)
      return input_completing(static_cast<half_open&>(*found), between, packet, now);
    ++counters.segments_in;
    return input_unpredicted(between, packet, now);
  }
  auto& c = static_cast<tcb&>(*found);
  constexpr std::uint8_t needed = calm::hears | calm::receives | calm::is_acknowledged;
  if (c.busy == nullptr || ((c.calm & needed) != needed && (c.calm != 0 || !becomes_calm(c, needed)))) [[unlikely]]
    return c.current == state::last_ack ? input_last(c, between, packet, now) : input_single(between, packet, now);
  auto& b = *c.busy;
  sequence const at{wire::load32(bytes, 4)};
  sequence const ack{wire::load32(bytes, 8)};
  sequence const stamp{wire::load32(bytes, 24)};
  auto const window = std::uint32_t{wire::load16(bytes, 14)} << c.terms.send_scale;
  if (at != b.receive.next() || static_cast<std::int32_t>(size) > c.receive_edge - at || ack != c.send_next ||
      ack == c.send_una || b.flight.has_several() || ack != b.send.end() || stamp < sequence{c.recent_timestamp} ||
      window == 0 || c.writer_waits || c.fin_queued || !b.receive.ready().keeps(size)) [[unlikely]]
    return input_single(between, packet, now);
  if (packet.checksum == checksum_state::unchecked && !is_intact(c.addresses_sum, bytes)) [[unlikely]]
    return input_single(between, packet, now);

  ++counters.segments_in;
  ++counters.predicted_in;
  ++c.segments_received;
  if (at <= c.acknowledged_to) c.recent_timestamp = stamp.value;  // RFC 7323 4.3
  c.last_received_at = now;
  auto const acknowledged = static_cast<std::uint32_t>(ack - c.send_una);
  c.send_una = ack;
  auto const last = b.flight.acknowledge_only(ack);
  b.send.acknowledge_all(ack);
  acknowledged_calm(c, at, ack, window, acknowledged, last, false, now);
  if (size == 0) {
    made_progress(c, now);
  } else {
    c.last_data_at = now;
    c.received_segment_bytes = std::max(c.received_segment_bytes, static_cast<std::uint16_t>(size));
    b.receive.keep({bytes.data() + predicted_bytes, size});
    received_calm(c, size, size, now);
  }
  schedule(c);
}

/// The peer's FIN, behind what came with it.
[[gnu::noinline]] void machine::end_expected(tcb& c, sequence at, instant now) {
  c.fin_beyond_gap = true;
  c.fin_at = at;
  if (at != c.receive_next()) {
    c.disturb();
    c.acknowledge_now = true;
  } else if (!input_fin(c, now)) {
    return;
  }
  schedule(c);
}

bool machine::acknowledge_predicted(tcb& c, sequence at, sequence ack, std::uint32_t window, instant now) {
  if (c.phase != recovery_phase::open || c.loss_probe_out || !c.terms.sack || c.undo_possible ||
      c.mtu_probe_out) [[unlikely]]
    return false;
  if ((c.busy->flight.lost_bytes() | c.busy->flight.sacked_records()) != 0 || !c.busy->flight.is_in_order()) [[unlikely]]
    return false;
  auto const& first = *c.busy->flight.front();
  if (first.at < c.rack_sent_at || (first.at == c.rack_sent_at && first.begin < c.rack_end)) [[unlikely]]
    return false;
  c.backoff = c.probes = c.duplicate_acks = 0;
  acknowledge_calm(c, at, ack, window, now);
  return true;
}

/// The segments behind one that was expected: all that was asked for that one holds, and what it began, an event and a
/// place in the output pass, is there. None is larger than that one.
std::size_t machine::input_following(std::span<segment> packets, instant now) {
  auto& c = *run.to;
  auto& queue = c.busy->receive;
  auto const begin = c.receive_next();
  auto const largest = std::min<std::uint32_t>(c.received_segment_bytes, c.segment_bytes());
  bool is_dropped = false;
  auto packet = packets.begin();
  for (; packet != packets.end() && !is_dropped; ++packet) {
    auto const bytes = packet->front_piece();
    if (bytes.size() < predicted_bytes) break;
    sequence const at{wire::load32(bytes, 4)};
    sequence const stamp{wire::load32(bytes, 24)};
    auto const size = static_cast<std::uint32_t>(packet->size() - predicted_bytes);
    if (raw32(bytes.data()) != run.ports || raw32(bytes.data() + 8) != run.acknowledgment ||
        (raw32(bytes.data() + 12) & ~raw32(run_ignores)) != run.flags_and_window ||
        raw32(bytes.data() + 20) != raw32(first_option_word) || at != queue.next() ||
        stamp < sequence{c.recent_timestamp} || size == 0 || size > largest ||
        static_cast<std::int32_t>(size) > c.receive_edge - at || packet->gso_size != 0)
      break;
    if (packet->checksum == checksum_state::unchecked && !pieces_are_intact(c, bytes, *packet)) [[unlikely]]
      break;
    c.window_sequence = at;
    bool const is_apart = packet->header_size() == predicted_bytes;  // the payload lies in slices alone
    if (!is_apart) packet->drop_front(predicted_bytes);
    auto const what = is_apart ? queue.append_slices(*packet) : queue.append(*packet);
    if (what != receive_queue::outcome::in_order) [[unlikely]] {
      received(c, what, size, 0, now);
      is_dropped = true;
    }
  }
  auto const count = static_cast<std::uint32_t>(packet - packets.begin());
  counters.segments_in += count;
  counters.predicted_in += count;
  c.segments_received += count;
  c.bytes_received += static_cast<std::uint32_t>(c.receive_next() - begin);
  if (auto const kept = count - (is_dropped ? 1u : 0u); kept != 0) {
    // None of them is the first that waits for its acknowledgment.
    c.segments_unacknowledged = static_cast<std::uint8_t>(std::min(255u, c.segments_unacknowledged + kept));
    c.quick_acks = static_cast<std::uint8_t>(c.quick_acks - std::min<std::uint32_t>(c.quick_acks, kept));
    c.acknowledge_now = true;
  }
  return count;
}

[[gnu::noinline]] void machine::input_single(addressing const& between, segment& packet, instant now) {
  ++counters.segments_in;
  run.to = nullptr;
  if (may_predict() && input_predicted(between, packet.front_piece(), packet, now)) [[likely]]
    return;
  input_unpredicted(between, packet, now);
}

void machine::input(addressing const& between, segment&& packet, instant now) {
  input_single(between, packet, now);
}

void machine::input(addressing const& between, std::span<segment> packets, instant now) {
  if (packets.size() != 1) return input_run(between, packets, now);
  auto& one = packets.front();
  // All of it before its slices, and not more than has place.
  bool const is_small = one.header_size() - predicted_bytes <= receive_queue::kept_max && one.slices().empty();
  if (!is_small || !may_predict()) return input_single(between, one, now);
  // How many words of header there are, and the flags.
  auto const kind = wire::load16(one.header(), 12);
  constexpr std::uint16_t plain = 0x8000 | wire::tcp_ack;
  if ((kind & ~wire::tcp_psh) == plain) return input_alone(between, one, now);
  if (kind == (plain | wire::tcp_fin)) return input_end(between, one, now);
  constexpr std::uint16_t opening = 0xa000 | wire::tcp_syn;
  if (kind == opening) return input_syn(between, one, now);
  kind == (opening | wire::tcp_ack) ? input_syn_ack(between, one, now) : input_single(between, one, now);
}

[[gnu::noinline]] void machine::input_run(addressing const& between, std::span<segment> packets, instant now) {
  in_run = true;
  while (!packets.empty()) {
    input_single(between, packets.front(), now);
    packets = packets.subspan(1);
    if (features::prediction && run.to != nullptr) packets = packets.subspan(input_following(packets, now));
  }
  in_run = false;
}

}  // namespace morgana::net::tcp
