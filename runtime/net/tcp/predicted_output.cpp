// The output pass, and the short way of what goes out: a whole segment, the last one or an acknowledgment of
// a connection with which nothing is going on. It does what output.cpp and timers.cpp would do
// (prediction.cpp).
#include <algorithm>

#include "output.hpp"
#include "predicted.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

/// A header while it is written: each word goes into the sum as it goes into memory.
class summed_header {
 public:
  explicit summed_header(std::byte* bytes, std::uint64_t sum) : bytes_(bytes), sum_(sum) {}
  void put32(std::size_t offset, std::uint32_t value) {
    auto const word = std::endian::native == std::endian::little ? std::byteswap(value) : value;
    std::memcpy(bytes_ + offset, &word, sizeof word);
    sum_ += word;
  }
  /// The finished checksum, as it lies in memory, and the two zero bytes behind it.
  void put_checksum(std::size_t offset, std::uint16_t checksum) {
    std::uint16_t const both[2]{checksum, 0};
    std::memcpy(bytes_ + offset, both, sizeof both);
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  std::byte* bytes_;
  std::uint64_t sum_;
};

}  // namespace

[[gnu::always_inline]] inline bool machine::build_predicted(tcb& c, addressing& between, segment& packet,
                                                            instant now) {
  if ((c.calm & calm::speaks) == 0 && !becomes_calm(c, calm::speaks)) [[unlikely]]
    return false;
  auto const from = c.send_next;
  auto pending = static_cast<std::uint32_t>(c.busy->send.end() - from);
  bool has_fin = false;
  if (c.fin_queued) [[unlikely]] {
    has_fin = !c.fin_sent();
    if (!has_fin) pending = 0;
  }
  auto const whole = c.segment_bytes();
  // What a device cuts is made by build(): how much of it, and where it ends.
  if (pending > whole && c.super_segments) return false;
  auto const count = std::min(pending, whole);
  auto const fin = has_fin && count == pending ? 1u : 0u;
  auto const covered = count + fin;
  if (covered == 0) {
    if (!c.acknowledge_now) return false;
  } else {
    auto const in_flight = c.outstanding();
    // No timeout is shorter than the least.
    bool const was_idle =
        in_flight == 0 && now - c.last_sent_at > timeout_min && now - c.last_sent_at > c.trip.timeout();
    auto const window_room = (c.send_una + c.send_window) - from;
    if (was_idle || c.control.window < in_flight + covered ||
        window_room < static_cast<std::int32_t>(covered)) [[unlikely]]
      return false;
  }
  packet.clear();
  if (count != 0 && c.busy->send.collect(from, count, packet) != count) [[unlikely]]
    return false;
  c.window_blocked = c.pacing_waits = false;
  std::uint32_t flags = wire::tcp_ack;
  if (covered != 0) {
    auto const end = from + covered;
    bool const ends_write = count != 0 && ends_a_write(c, from, from + count);
    if (ends_write) flags |= wire::tcp_psh;
    if (fin != 0) flags |= wire::tcp_fin;
    if (c.busy->stalled_since == never) c.busy->stalled_since = now;
    if (c.busy->flight.empty()) c.control.resume(now - c.last_sent_at, now);
    c.busy->flight.add(from, end, now, ends_write);
    c.send_next = end;
    c.sent_data = true;
    c.bytes_sent += count;
    if (count != 0 && count != whole) c.small_until = from + count;
    c.last_sent_at = now;
    if (c.timer == timer_kind::none || c.timer == timer_kind::window_probe) {
      // Of a calm connection arm() sets it at the end of this pass.
      if ((c.calm & calm::waits) == 0) {
        arm_loss_timer(c, now);
      } else {
        c.timer = timer_kind::loss_probe;
        c.probe_moves = true;
      }
    } else if (c.timer == timer_kind::loss_probe) {
      c.probe_moves = true;  // with the last segment of this pass, by arm()
    }
  }
  between.source = c.key.local;
  between.destination = c.key.peer;
  between.traffic_class = static_cast<std::uint8_t>(c.chosen->differentiated_services << 2);
  between.way = &c.way;
  auto const bytes = packet.push_header(predicted_bytes);
  auto const size = static_cast<std::uint32_t>(predicted_bytes + count);
  summed_header header(bytes.data(), c.addresses_sum + wire::network_order(static_cast<std::uint16_t>(size)));
  auto const next = c.receive_next();
  header.put32(0, std::uint32_t{c.key.local_port} << 16 | c.key.peer_port);
  header.put32(4, from.value);
  header.put32(8, next.value);
  header.put32(12, 0x8000'0000u | flags << 16 | window_to_advertise(c, c.calm_receive_space(), c.busy->calm_step));
  header.put32(20, first_option_word);
  header.put32(24, timestamp(c.timestamp_offset, now));
  header.put32(28, c.recent_timestamp);
  c.acknowledged_to = next;
  c.acknowledge_now = false;
  c.busy->acknowledge_at = never;
  c.segments_unacknowledged = 0;
  if (c.partial_checksum) {
    wire::checksum sum;
    sum.add_sum(c.addresses_sum);
    sum.add16(static_cast<std::uint16_t>(size));
    packet.checksum = checksum_state::partial;
    packet.checksum_start = 0;
    packet.checksum_offset = 16;
    wire::store32(bytes, 16, std::uint32_t{sum.partial()} << 16);
  } else {
    auto all = header.sum();
    auto const parts = packet.slices();
    auto const kept = std::span<std::byte const>(bytes.data() + predicted_bytes, count - packet.slices_bytes());
    if (parts.empty()) {
      if (!kept.empty()) all += wire::sum_words(kept);
    } else if (auto const known = c.busy->send.foreseen(from, count)) {
      all += *known;
    } else if (parts.size() == 1 && kept.empty()) {
      all += wire::sum_words(parts[0].bytes());
    } else {
      wire::checksum sum;
      sum.add(kept);
      for (auto const& part : parts) sum.add(part.bytes());
      all += wire::network_order(sum.partial());
    }
    packet.checksum = checksum_state::valid;
    header.put_checksum(16, static_cast<std::uint16_t>(~wire::fold_checksum(all)));
  }
  ++counters.segments_out;
  ++counters.predicted_out;
  ++c.segments_sent;
  return true;
}

/// The same as arm() at the end of a pass that was predicted: only loss and a delayed acknowledgment are
/// waited for.
[[gnu::always_inline]] inline void machine::arm_calm(tcb& c, instant now) {
  if (c.probe_moves) {
    if (c.timer == timer_kind::loss_probe) {
      auto const* const front = c.busy->flight.front();
      if (front == nullptr) [[unlikely]]
        return arm_loss_timer(c, now), arm(c, now);
      // One alone has at least as long as its acknowledgment may be delayed: who is woken before that asks then.
      auto const soon = c.last_sent_at + delayed_acknowledgment_max;
      if (front->at == c.last_sent_at && front->end == c.send_next && front->size() <= c.segment_bytes() &&
          wakes.has(c, soon) && !(c.released && after(c.busy->stalled_since, limits.abandoned_stall) < soon)) {
        if (c.busy->acknowledge_at != never) wakes.at_latest(c, c.busy->acknowledge_at);
        return;
      }
      c.busy->timer_at = loss_probe_time(c, *front, c.outstanding(), c.last_sent_at);
    }
    c.probe_moves = false;
  } else if (c.timer != timer_kind::loss_probe && c.timer != timer_kind::retransmission) {
    return arm(c, now);
  }
  if (c.released) [[unlikely]]
    return arm(c, now);  // which knows how long it may wait
  auto const first = std::min(c.busy->timer_at, c.busy->acknowledge_at);
  if (first != never) wakes.at_latest(c, first);
}

/// Where it never is, it is not asked here and then once more.
[[gnu::always_inline]] inline bool machine::is_alone_calm(tcb& c) {
  constexpr std::uint8_t wanted = calm::speaks | calm::waits;
  if (c.calm == 0) [[unlikely]]
    return !c.terms.ecn && becomes_calm(c, wanted);
  return (c.calm & wanted) == wanted;
}

/// What build_predicted(), leave_output() and what they call come to, for a message that lies in the connection's own
/// place, goes whole, ends a write and follows on nothing that is out; or for a FIN with nothing before it.
template <machine::alone What>
[[gnu::always_inline]] inline bool machine::transmit_small(tcb& c, addressing& between, segment& packet, instant now) {
  constexpr bool is_end = What == alone::end;
  auto& b = *c.busy;
  auto const from = c.send_next;
  auto const message = is_end ? std::span<std::byte const>() : b.send.kept_alone();
  auto const count = static_cast<std::uint32_t>(message.size());
  auto const covered = is_end ? 1 : count;
  auto const end = from + covered;
  auto const silent = now - c.last_sent_at;
  bool const is_it = is_end ? c.fin_queued && b.send.size() == 0 && b.send.end() == from : c.push_point == end && !c.fin_queued;
  if (!is_it || !b.flight.empty() || c.timer != timer_kind::none || count > c.segment_bytes() ||
      c.control.window < covered || c.send_window < covered || silent > timeout_min || arrived.is_crowded() ||
      !is_alone_calm(c)) [[unlikely]]
    return transmit(between, packet, now);
  packet.clear();
  auto const bytes = packet.push_header(predicted_bytes + count);
  if constexpr (!is_end) std::memcpy(bytes.data() + predicted_bytes, message.data(), count);
  wire::store32(bytes, 24, timestamp(c.timestamp_offset, now));

  c.pacing_waits = c.window_blocked = false;
  if (!is_end) c.pushed_to = end;
  if (b.stalled_since == never) b.stalled_since = now;
  c.control.resume(silent, now);
  b.flight.add_first(from, end, now, !is_end);
  c.send_next = end;
  c.bytes_sent += count;
  if (!is_end && count != c.segment_bytes()) c.small_until = end;
  c.last_sent_at = now;
  c.timer = timer_kind::loss_probe;
  between.source = c.key.local;
  between.destination = c.key.peer;
  between.traffic_class = static_cast<std::uint8_t>(c.chosen->differentiated_services << 2);
  between.way = &c.way;
  auto const next = b.receive.next();
  auto const held = static_cast<std::uint32_t>(b.receive.ready().size());
  auto const space = b.calm_buffer - std::min(b.calm_buffer, held);
  constexpr std::uint32_t flags = wire::tcp_ack | (is_end ? wire::tcp_fin : wire::tcp_psh);
  wire::store32(bytes, 0, std::uint32_t{c.key.local_port} << 16 | c.key.peer_port);
  wire::store32(bytes, 4, from.value);
  wire::store32(bytes, 8, next.value);
  wire::store32(bytes, 12, 0x8000'0000u | flags << 16 | window_of(c, next, space, b.calm_step));
  wire::store32(bytes, 16, 0);
  wire::store32(bytes, 20, first_option_word);
  wire::store32(bytes, 28, c.recent_timestamp);
  c.acknowledged_to = next;
  c.acknowledge_now = false;
  b.acknowledge_at = never;
  c.segments_unacknowledged = 0;
  auto sum = c.addresses_sum + wire::network_order(static_cast<std::uint16_t>(bytes.size()));
  packet.checksum = c.partial_checksum ? checksum_state::partial : checksum_state::valid;
  if (c.partial_checksum) {
    packet.checksum_offset = 16;
    sum = static_cast<std::uint16_t>(~wire::fold_checksum(sum));   // it is there as it is, not turned round
  } else {
    sum += is_end ? wire::sum_words<predicted_bytes>(bytes.data()) : wire::sum_words(bytes);
  }
  auto const finished = static_cast<std::uint16_t>(~wire::fold_checksum(sum));
  std::memcpy(bytes.data() + 16, &finished, sizeof finished);
  ++counters.segments_out;
  ++counters.predicted_out;
  ++c.segments_sent;

  turn = 0;
  static_cast<hook<output_tag>&>(c).unlink();
  // validate_window():
  c.sent_data = false;
  bool const limited = covered >= c.control.window;
  if (from >= c.flight_round_end || limited || (!c.window_limited && covered > c.flight_largest)) {
    c.window_limited = limited;
    c.flight_largest = covered;
    c.flight_round_end = end;
  }
  // arm_calm():
  c.probe_moves = true;
  if ((is_end && c.released) || !wakes.has(c, now + delayed_acknowledgment_max)) [[unlikely]]
    arm_calm(c, now);
  return true;
}

[[gnu::noinline]] bool machine::transmit_alone(tcb& c, addressing& between, segment& packet, instant now) {
  return transmit_small<alone::message>(c, between, packet, now);
}

[[gnu::noinline]] bool machine::transmit_end(tcb& c, addressing& between, segment& packet, instant now) {
  return transmit_small<alone::end>(c, between, packet, now);
}

/// It has nothing more to say now.
[[gnu::always_inline]] inline void machine::leave_output(tcb& c, instant now) {
  turn = 0;
  static_cast<hook<output_tag>&>(c).unlink();
  if (c.busy->flight.empty() && has_nothing_to_await(c)) return rest_soon(c, now);
  validate_window(c);
  (c.calm & calm::waits) != 0 ? arm_calm(c, now) : arm(c, now);
}

bool machine::transmit(addressing& between, segment& packet, instant now) {
  while (auto* const c = output.front()) {
    if (!c->acknowledge_now && c->has_said_all()) {
      // It is here because something arrived. What build() would note on its way:
      c->pacing_waits = c->chosen->pacing && now < c->rare().paced_until;
      c->window_blocked = false;
    } else if ((may_predict() && !c->want_syn && build_predicted(*c, between, packet, now)) ||
               build(*c, between, packet, now)) {
      // Calm, it wants nothing but to send what is there.
      bool const is_done = (c->calm & calm::speaks) != 0 ? c->has_sent_all() : c->has_said_all();
      if (is_done) {
        c->window_blocked = false;
        leave_output(*c, now);
      } else if (++turn >= segments_per_turn) {
        // Others have their turn.
        turn = 0;
        static_cast<hook<output_tag>&>(*c).unlink();
        output.push_back(*c);
      } else {
        between.has_following = may_predict();
        following = c;
      }
      return true;
    }
    leave_output(*c, now);
  }
  return false;
}

}  // namespace morgana::net::tcp
