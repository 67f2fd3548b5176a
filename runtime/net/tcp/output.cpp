// What a connection sends next: retransmissions, new data as the windows, Nagle and silly-window avoidance
// allow (RFC 9293 3.7, 3.8.6), probes, acknowledgments. One call of build() makes one segment.
#include <algorithm>
#include <cstring>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "output.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

constexpr std::size_t super_segment_bytes_max = 65'535 - 60 - 60;
constexpr std::uint32_t timestamps_bytes = 12;

/// The checksum over what is there, or the sum of the pseudo-header for a device that completes it.
[[gnu::noinline]] void put_checksum(segment& packet, std::uint64_t addresses_sum, bool partial) {
  wire::checksum sum;
  auto const size = static_cast<std::uint32_t>(packet.size());
  sum.add_sum(addresses_sum);
  sum.add16(static_cast<std::uint16_t>(size >> 16));
  sum.add16(static_cast<std::uint16_t>(size));
  constexpr std::size_t field = 16;
  if (!partial && packet.slices().empty()) [[likely]] {
    packet.checksum = checksum_state::valid;
    auto const header = packet.header();
    sum.add_sum(wire::sum_words(header));
    return wire::store16(header, field, sum.finish());
  }
  if (partial) {
    packet.checksum = checksum_state::partial;
    packet.checksum_start = 0;
    packet.checksum_offset = field;
    wire::store16(packet.header(), field, sum.partial());
    return;
  }
  packet.checksum = checksum_state::valid;
  sum.add(packet.header());
  for (auto const& part : packet.slices()) sum.add(part.bytes());
  wire::store16(packet.header(), field, sum.finish());
}

}  // namespace

/// How much may leave at once: what the path takes in a millisecond, but at least two segments and at most
/// half of the window, so that acknowledgments keep coming; near by, as much as a super-segment holds.
std::uint32_t machine::super_segment_bytes(tcb const& c) {
  auto const bytes = c.segment_bytes();
  auto const window_half = c.control.window / 2;
  auto most = std::min<std::uint32_t>(window_half, super_segment_bytes_max);
  if (c.trip.minimum >= 1ms || c.trip.smoothed >= 4ms) {
    auto const a_millisecond =
        std::uint64_t{c.control.window} * 2'000'000u / static_cast<std::uint64_t>(c.trip.smoothed.count());
    auto const least = std::uint64_t{c.chosen->super_segment_min} * bytes;
    most = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, std::max(a_millisecond, least)));
  }
  return std::max(most / bytes, 1u) * bytes;
}

std::uint16_t machine::advertised_segment_bytes(tcb const& c) const {
  auto const header = c.key.local.is_v4() ? 40u : 60u;
  return advertised_segment_bytes(*c.chosen, std::max(c.mtu_bytes, header + limits.mss_bytes_min) - header);
}

[[gnu::noinline]] routing::path const* machine::find_path(ip_address const& peer, std::uint64_t version) {
  known_path.version = 0;
  auto const found = below.find(peer);
  if (!found) return nullptr;
  known_path.peer = peer;
  known_path.found = *found;
  // Where the way is not known yet it will be.
  if (found->way != 0) known_path.version = version;
  return &known_path.found;
}

void machine::refresh_path(tcb& c) {
  c.disturb();
  auto const header = c.key.local.is_v4() ? 40u : 60u;
  if (auto const* const path = path_to(c.key.peer)) {
    c.mtu_bytes = path->mtu_bytes;
    c.super_segments = path->segmentation && path->checksum;
    c.partial_checksum = path->checksum;
    if (path->source == c.key.local) c.way = path->way;
  }
  auto const room = std::max(c.mtu_bytes, header + limits.mss_bytes_min) - header;
  auto const whole =
      std::min<std::uint32_t>(advertised_segment_bytes(*c.chosen, room), c.terms.peer_segment_bytes);
  c.segment_bytes_now = whole - (c.terms.timestamps ? timestamps_bytes : 0u);
}

void machine::window_may_open(tcb& c) {
  if (!c.may_receive_data() || c.acknowledge_now) return;
  auto const promised = static_cast<std::uint32_t>(std::max(c.receive_edge - c.receive_next(), 0));
  // No more than the field of the header can say.
  auto const possible = std::min(c.receive_space(), 65'535u << c.terms.receive_scale);
  auto const step = c.receive_step();
  if (possible >= 2 * promised && possible - promised >= step) {
    c.acknowledge_now = true;
    schedule(c);
  }
}

/// Ports, acknowledgment, window, timestamps, SACK; then the bytes and their checksum.
void machine::finish(tcb& c, wire::tcp_header& h, addressing& between, segment& packet, instant now) {
  h.source_port = c.key.local_port;
  h.destination_port = c.key.peer_port;
  if (!h.has(wire::tcp_syn)) {
    h.flags |= wire::tcp_ack;
    if (c.terms.timestamps) {
      h.options.timestamps = wire::tcp_timestamps{timestamp(c.timestamp_offset, now), c.recent_timestamp};
    }
    if (packet.size() == 0 && c.terms.sack && c.busy->receive.has_sack()) {
      auto const most = c.terms.timestamps ? std::size_t{3} : std::size_t{4};
      h.options.sack_count = c.busy->receive.sack_blocks(std::span(h.options.sack).first(most));
    }
    if (h.options.sack_count != 0) c.busy->receive.reported();
    if (c.ecn_must_echo) h.flags |= wire::tcp_ece;
  }
  if (h.has(wire::tcp_ack)) {
    h.acknowledgment = c.receive_next();
    if (!h.has(wire::tcp_syn)) {
      h.window = window_to_advertise(c, c.receive_space(), c.receive_step());
    }
    c.acknowledged_to = h.acknowledgment;
    c.acknowledge_now = false;
    c.busy->acknowledge_at = never;
    c.segments_unacknowledged = 0;
  }
  between.traffic_class =
      static_cast<std::uint8_t>(between.traffic_class | c.chosen->differentiated_services << 2);
  between.source = c.key.local;
  between.destination = c.key.peer;
  between.way = &c.way;
  if (h.options.timestamps && h.options.sack_count == 0 && !h.has(wire::tcp_syn)) {
    h.emit_with_timestamps(packet.push_header(wire::tcp_header::size_bytes + timestamps_bytes));
  } else if (h.has_usual_syn_options()) {
    h.emit_usual_syn(packet.push_header(wire::tcp_header::usual_syn_bytes));
  } else {
    h.emit(packet.push_header(h.encoded_bytes()));
  }
  put_checksum(packet, c.addresses_sum, c.partial_checksum);
  ++counters.segments_out;
  ++c.segments_sent;
}

std::uint32_t machine::build_data(tcb& c, sequence from, std::uint32_t count, sent const* again,
                                  addressing& between, segment& packet, instant now) {
  bool const is_retransmission = again != nullptr;
  wire::tcp_header h;
  h.sequence = from;
  auto const end = from + count;
  bool const has_fin = c.fin_queued && end == c.busy->send.end() + 1;
  auto const payload = count - (has_fin ? 1u : 0u);
  auto per_segment = c.segment_bytes();
  if (c.terms.sack && c.busy->receive.has_sack()) {
    auto const sacks = c.busy->receive.sack_blocks(std::span(h.options.sack).first(c.terms.timestamps ? 3 : 4));
    auto const room = 4u + 8u * sacks;
    if (payload + room <= per_segment) {
      h.options.sack_count = sacks;
    } else if (!is_retransmission && per_segment > 2 * room) {
      h.options.sack_count = sacks;
      per_segment -= room;
    }
  }
  auto taken = static_cast<std::uint32_t>(c.busy->send.collect(from, payload, packet));
  if (taken < payload || taken > per_segment) {
    // More slices than a segment has, or SACK blocks in the way: whole segments of what there is.
    if (taken > per_segment && !(c.super_segments)) {
      packet.drop_back(taken - per_segment);
      taken = per_segment;
    } else if (taken < payload && taken > per_segment) {
      packet.drop_back(taken % per_segment);
      taken -= taken % per_segment;
    }
  }
  bool const complete = taken == payload;
  auto const covered = taken + (has_fin && complete ? 1u : 0u);
  if (covered == 0) return 0;
  if (has_fin && complete) h.flags |= wire::tcp_fin;
  bool const ends_write = is_retransmission ? again->has_push && from + taken >= again->end
                                            : taken != 0 && ends_a_write(c, from, from + taken);
  // A super-segment ends a burst: its receiver need not wait for what would be merged with it.
  if (ends_write || taken > per_segment) h.flags |= wire::tcp_psh;
  if (taken > per_segment) {
    packet.gso_size = static_cast<std::uint16_t>(per_segment);
    packet.gso_kind = c.key.local.is_v4() ? segmentation::tcp_v4 : segmentation::tcp_v6;
  }
  between.traffic_class = 0;
  if (c.terms.ecn && !is_retransmission && taken != 0) {
    between.traffic_class = static_cast<std::uint8_t>(wire::ecn::capable_0);
    if (c.ecn_reduced) h.flags |= wire::tcp_cwr;
    c.ecn_reduced = false;
  }
  if (is_retransmission) {
    ++c.make_rare().segments_retransmitted;
    ++counters.segments_retransmitted;
    ++c.make_rare().retransmissions_to_undo;
    if (c.rare().retransmitted_timestamp == 0) c.make_rare().retransmitted_timestamp = timestamp(c.timestamp_offset, now);
  } else {
    if (c.busy->stalled_since == never) c.busy->stalled_since = now;
    if (c.busy->flight.empty()) c.control.resume(now - c.last_sent_at, now);
    c.busy->flight.add(from, from + covered, now, ends_write);
    c.send_next = from + covered;
    c.sent_data = true;
    c.bytes_sent += taken;
    if (taken % per_segment != 0) c.small_until = from + taken;
  }
  if (c.phase == recovery_phase::fast_recovery || c.phase == recovery_phase::reduced)
    c.make_rare().sent_in_recovery += covered;
  c.last_sent_at = now;
  if (c.chosen->pacing) pace(c, covered, now);
  finish(c, h, between, packet, now);
  if (c.timer == timer_kind::none || c.timer == timer_kind::window_probe) {
    arm_loss_timer(c, now);
  } else if (c.timer == timer_kind::loss_probe && !is_retransmission) {
    c.probe_moves = true;  // with the last segment of this pass, by arm()
  }
  return covered;
}

/// When the next may go, that a window is spread over the round trip: twice as fast in slow start, a fifth
/// faster later, so that pacing is not what limits. Time that was not used counts for half of one segment's.
[[gnu::cold]] void machine::pace(tcb& c, std::uint32_t bytes, instant now) {
  constexpr std::uint32_t unpaced_segments = 10;
  if (c.bytes_sent < std::uint64_t{unpaced_segments} * c.segment_bytes() || c.trip.smoothed == 0s) return;
  auto const rate_percent = c.control.window < c.control.threshold / 2 ? 200u : 120u;
  auto const window = std::uint64_t{std::max(c.control.window, c.outstanding())};
  auto length = duration(static_cast<std::int64_t>(static_cast<std::uint64_t>(c.trip.smoothed / 1us) * bytes *
                                                   100'000u / (window * rate_percent)));
  if (c.rare().paced_until < now)
    length -= std::min(length / 2, c.rare().paced_until == instant::min() ? length : now - c.rare().paced_until);
  c.make_rare().paced_until = std::max(c.rare().paced_until, now) + length;
}

[[gnu::noinline]] bool machine::build(tcb& c, addressing& between, segment& packet, instant now) {
  packet.clear();
  between.traffic_class = 0;
  if (c.want_syn) {
    c.disturb();
    c.want_syn = false;
    if ((c.synchronized() && !c.syn_unacknowledged) || c.current == state::closed) return false;
    wire::tcp_header h;
    build_syn(c, h, packet, now);
    finish(c, h, between, packet, now);
    return true;
  }
  if (!c.synchronized()) return false;
  auto const bytes = c.segment_bytes();
  auto const largest = c.super_segments ? super_segment_bytes(c) : bytes;
  auto const in_flight = c.in_flight();
  c.pacing_waits = c.chosen->pacing && now < c.rare().paced_until;
  if (c.busy->flight.lost_bytes() != 0 && c.rare().spurious_step != 2 && !c.pacing_waits) {
    auto* const lost = c.busy->flight.next_lost();
    if (lost != nullptr &&
        (in_flight == 0 || in_flight + std::min(lost->size(), bytes) <= c.control.window)) {
      auto const allowed =
          std::max(in_flight == 0 ? bytes : (c.control.window - in_flight) / bytes * bytes, bytes);
      auto const most = std::min(largest, allowed);
      // A FIN rides on its last segment although it counts one.
      auto const fin = c.fin_queued && lost->end == c.busy->send.end() + 1 ? 1u : 0u;
      if (lost->size() - fin > most) c.busy->flight.split(*lost, lost->begin + most);
      if (build_retransmission(c, *lost, between, packet, now)) return true;
    }
  }
  if (c.want_loss_probe) {
    c.disturb();
    c.want_loss_probe = false;
    auto* const last = c.busy->flight.back();
    if (last != nullptr && c.phase == recovery_phase::open) {
      c.loss_probe_out = true;
      auto const pending = static_cast<std::uint32_t>(std::max(c.busy->send.end() - c.send_next, 0));
      auto const room = (c.send_una + c.send_window) - c.send_next;
      auto const fresh = std::min(pending, bytes);
      c.loss_probe_was_new = fresh != 0 && room >= static_cast<std::int32_t>(fresh);
      c.timer = timer_kind::retransmission;
      c.busy->timer_at = now + c.trip.timeout();
      if (c.loss_probe_was_new) {
        auto const made = build_data(c, c.send_next, fresh, nullptr, between, packet, now);
        c.make_rare().loss_probe_end = c.send_next;
        if (made != 0) return true;
      } else {
        auto const fin = c.fin_queued && last->end == c.busy->send.end() + 1 ? 1u : 0u;
        if (last->size() - fin > bytes) c.busy->flight.split(*last, last->end - (bytes + fin));
        auto* const probe = c.busy->flight.back();
        c.make_rare().loss_probe_end = c.send_next;
        if (build_retransmission(c, *probe, between, packet, now)) return true;
      }
    }
  }
  if (!c.pacing_waits && build_new(c, largest, between, packet, now)) return true;
  if (c.want_window_probe) {
    c.want_window_probe = false;
    // One number below what it expects: acknowledged with the window whatever that is (RFC
    // 9293 3.8.6.1, 3.8.4).
    wire::tcp_header h;
    h.sequence = c.send_una - 1;
    finish(c, h, between, packet, now);
    return true;
  }
  if (c.acknowledge_now) {
    wire::tcp_header h;
    h.sequence = c.send_next;
    finish(c, h, between, packet, now);
    return true;
  }
  return false;
}

bool machine::build_retransmission(tcb& c, sent& which, addressing& between, segment& packet, instant now) {
  c.disturb();
  bool const is_first = &which == c.busy->flight.front();
  if (is_first && c.timer != timer_kind::retransmission) c.timer = timer_kind::none;
  auto const covered = build_data(c, which.begin, which.size(), &which, between, packet, now);
  if (covered == 0) return false;
  if (covered < which.size()) c.busy->flight.split(which, which.begin + covered);
  c.busy->flight.retransmitted(which, now);
  if (c.timer == timer_kind::none) arm_loss_timer(c, now);
  return true;
}

bool machine::build_new(tcb& c, std::uint32_t largest, addressing& between, segment& packet, instant now) {
  auto const pending = static_cast<std::uint32_t>(std::max(c.busy->send.end() - c.send_next, 0));
  bool const fin_waits = c.fin_queued && !c.fin_sent();
  c.window_blocked = false;
  if (pending == 0 && !fin_waits) return false;
  auto const bytes = c.segment_bytes();
  if (c.chosen->probe_mtu_from != 0 && build_mtu_probe(c, pending, between, packet, now)) return true;
  auto const window_room = (c.send_una + c.send_window) - c.send_next;
  if (c.busy->flight.empty() && now - c.last_sent_at > c.trip.timeout() && c.chosen->restart_after_idle &&
      window_room > 0) {
    c.control.restart(bytes);
    if (c.super_segments) largest = super_segment_bytes(c);
  }
  auto const in_flight = c.in_flight();
  auto const congestion_room = c.control.window > in_flight ? c.control.window - in_flight : 0u;
  // An end without data fills no queue, so the congestion window does not hold it back.
  bool const only_fin = pending == 0;
  if (!only_fin && (congestion_room == 0 || (congestion_room < std::min(bytes, pending) && in_flight != 0))) {
    c.window_blocked = true;
    return false;
  }
  auto count = std::min(pending, largest);
  count = std::min(count, std::max(congestion_room, bytes));
  bool forced = false;
  if (window_room < static_cast<std::int32_t>(count)) {
    count = static_cast<std::uint32_t>(std::max(window_room, 0));
    // The override of RFC 9293 3.8.6.2.1: a window that stays small is used when the probe's time has come.
    forced = c.want_window_probe && count != 0;
  }
  // What was held back for more of it has waited long enough, too.
  bool const held = (c.chosen->hold_partial || c.more_follows) && c.busy->send.end() > c.flush_to && !c.fin_queued;
  if (held && c.want_window_probe && count == pending && count < bytes) {
    forced = true;
    c.push_point = c.busy->send.end();
  }
  // Nagle's algorithm as Minshall has it: one segment that is not full may be out, not only none at all.
  bool const nagle = !c.chosen->no_delay && !c.fin_queued && c.small_until > c.send_una;
  if (count > bytes && (count != pending || held || nagle)) count -= count % bytes;
  bool const all = count == pending;
  if (count < bytes && !forced) {
    bool const half = count != 0 && count >= c.send_window_largest / 2;
    if (!(half && !held) && !(all && (count != 0 || fin_waits) && !nagle && !held)) return false;
  }
  c.want_window_probe = c.want_window_probe && !forced;
  auto const fin = all && fin_waits && window_room > static_cast<std::int32_t>(count) ? 1u : 0u;
  if (count + fin == 0) return false;
  if (fin == 0 && all && fin_waits && count == 0) return false;
  return build_data(c, c.send_next, count + fin, nullptr, between, packet, now) != 0;
}

void machine::build_syn(tcb& c, wire::tcp_header& h, segment& packet, instant now) {
  bool const answers = c.current != state::syn_sent;
  refresh_path(c);
  c.busy->syn_sent_at = now;
  c.timer = timer_kind::none;
  h.sequence = c.send_initial;
  h.flags = wire::tcp_syn;
  h.options.maximum_segment_size = advertised_segment_bytes(c);
  c.receive_edge = c.receive_next() + std::min(c.receive_space(), 65'535u);
  h.window = static_cast<std::uint16_t>(std::min(c.receive_space(), 65'535u));
  if (answers ? c.terms.timestamps : c.chosen->timestamps) {
    h.options.timestamps =
        wire::tcp_timestamps{timestamp(c.timestamp_offset, now), answers ? c.recent_timestamp : 0u};
  }
  h.options.sack_permitted = !answers || c.terms.sack;
  if (!answers || c.terms.receive_scale != 0) h.options.window_scale = receive_scale();
  if (answers) {
    h.flags |= wire::tcp_ack;
    if (c.terms.ecn) h.flags |= wire::tcp_ece;
  } else if (c.ecn_offered) {
    h.flags |= wire::tcp_ece | wire::tcp_cwr;
  }
  if (features::fast_open && !answers && c.chosen->fast_open != fast_open::no) put_fast_open(c, h, packet);
  if (c.backoff != 0) {
    ++c.make_rare().segments_retransmitted;
    ++counters.segments_retransmitted;
  }
}

[[gnu::noinline]] bool machine::transmit_reply(addressing& between, segment& packet) {
  auto const& one = *replies.front();
  packet.clear();
  between = one.between;
  std::memcpy(packet.push_header(one.room.size()).data(), one.room.data(), one.room.size());
  packet.drop_front(one.room.size() - one.size);
  packet.checksum = checksum_state::valid;
  ++counters.segments_out;
  replies.pop();
  return true;
}

bool machine::send_reply(flow_key const& flow, wire::tcp_header& header, std::uint64_t way) {
  auto const size = header.encoded_bytes();
  auto* const out = add_reply(flow, size, way);
  if (out == nullptr) return false;
  header.source_port = flow.local_port;
  header.destination_port = flow.peer_port;
  header.emit(out->header());
  finish(*out, pseudo_header_sum(flow.local, flow.peer) + wire::sum_words(out->header()));
  return true;
}

}  // namespace morgana::net::tcp
