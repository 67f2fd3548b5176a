// Arriving segments: RFC 9293 3.10.7, in its order, with the checks of RFC 5961 and RFC 7323.
#include <algorithm>
#include <array>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

/// The header in one piece, copied from several.
[[gnu::cold, gnu::noinline]] std::span<std::byte const> gathered_header(
    segment const& packet, std::array<std::byte, wire::tcp_header::header_bytes_max>& room) {
  auto const whole = std::span(room).first(std::min(packet.size(), room.size()));
  (void)packet.copy_out(0, whole);
  return whole;
}

bool checksum_is_right(addressing const& between, segment const& packet) {
  if (packet.checksum != checksum_state::unchecked) return true;
  wire::checksum sum;
  auto const size = static_cast<std::uint32_t>(packet.size());
  sum.add_sum(pseudo_header_sum(between.source, between.destination));
  sum.add16(static_cast<std::uint16_t>(size >> 16));
  sum.add16(static_cast<std::uint16_t>(size));
  if (packet.slices().empty()) {
    sum.add_sum(wire::sum_words(packet.header()));
  } else {
    sum.add(packet.header());
    for (auto const& part : packet.slices()) sum.add(part.bytes());
  }
  return sum.is_whole();
}

/// PAWS (RFC 7323 5): TS.Recent is not believed for longer than its clock takes to wrap.
constexpr duration timestamp_valid = 24h * 24;

bool is_too_old(tcb const& c, arrival const& a, instant now) {
  return c.has_recent_timestamp && a.header.options.timestamps &&
         sequence{a.header.options.timestamps->value} < sequence{c.recent_timestamp} &&
         now - c.last_received_at < timestamp_valid;
}

constexpr std::uint8_t quick_acks_at_start = 16;

}  // namespace

[[gnu::noinline]] void machine::input_unpredicted(addressing const& between, segment& packet, instant now) {
  if (!checksum_is_right(between, packet)) {
    ++counters.wrong_checksums;
    return;
  }
  std::array<std::byte, wire::tcp_header::header_bytes_max> room;
  auto bytes = packet.front_piece();
  if (bytes.size() < wire::tcp_header::size_bytes || bytes.size() < (wire::load8(bytes, 12) >> 4) * 4u) [[unlikely]]
    bytes = gathered_header(packet, room);
  arrival a;
  if (!wire::tcp_header::parse_into(a.header, bytes, packet.size())) {
    ++counters.malformed;
    return;
  }
  a.between = &between;
  a.key = {between.destination, between.source, a.header.destination_port, a.header.source_port};
  packet.drop_front(a.header.header_bytes);
  a.size = static_cast<std::uint32_t>(packet.size());

  auto* found = flows.find(a.key);
  if (found != nullptr && found->kind == flow_kind::connection) {
    return input_connection(static_cast<tcb&>(*found), a, packet, now);
  }
  if (found != nullptr && found->kind == flow_kind::half_open) {
    return input_half_open(static_cast<half_open&>(*found), a, packet, now);
  }
  if (found != nullptr && !input_time_wait(static_cast<time_wait&>(*found), a, now)) return;
  // What nobody may be is in no flow.
  if (a.header.source_port == 0 || between.source.is_multicast() || between.destination.is_multicast()) {
    ++counters.malformed;
    return;
  }

  auto* const where = find_port(a.key.local, a.key.local_port);
  auto const& h = a.header;
  if (where != nullptr && !h.has(wire::tcp_rst)) {
    if (h.has(wire::tcp_ack) && !h.has(wire::tcp_syn)) return input_cookie(*where, a, packet, now);
    if (h.has(wire::tcp_syn) && !h.has(wire::tcp_ack) && !h.has(wire::tcp_fin))
      return input_listening(*where, a, packet, now);
  }
  answer_stray(a);
}

/// RFC 9293 3.10.7.1: what belongs to nothing is answered by a reset, unless it is one.
void machine::answer_stray(arrival const& a) {
  auto const& h = a.header;
  if (h.has(wire::tcp_rst)) return;
  wire::tcp_header out;
  out.flags = wire::tcp_rst;
  if (h.has(wire::tcp_ack)) {
    out.sequence = h.acknowledgment;
  } else {
    out.flags |= wire::tcp_ack;
    out.acknowledgment = h.sequence + a.length();
  }
  if (send_reply(a.key, out)) ++counters.resets_sent;
}

bool machine::challenges_allowed(instant now) {
  if (challenge_second == instant::min() || now - challenge_second >= 1s) {
    challenge_second = now;
    // Not a fixed number: its use could be counted from outside (RFC 5961, 7; CVE-2016-5696).
    auto const all = limits.challenge_acks_per_s;
    challenges_left = all / 2 + static_cast<std::uint32_t>(jitter.below(all + 1u));
  }
  if (challenges_left == 0) {
    ++counters.challenge_acks_suppressed;
    return false;
  }
  --challenges_left;
  return true;
}

/// An acknowledgment that tells a real peer what it needs and a blind attacker nothing (RFC 5961), so often
/// only.
bool machine::may_challenge(tcb& c, instant now) {
  if (c.rare().challenged_at != instant::min() && now - c.rare().challenged_at < limits.challenge_ack_interval) {
    ++counters.challenge_acks_suppressed;
    return false;
  }
  if (!challenges_allowed(now)) return false;
  ++counters.challenge_acks;
  c.make_rare().challenged_at = now;
  return true;
}

void machine::challenge(tcb& c, instant now) {
  if (!may_challenge(c, now)) return;
  c.acknowledge_now = true;
  schedule(c);
}

/// First and fifth check of RFC 9293 3.10.7.4: the segment is cut to the window. False: nothing of it counts.
bool machine::acceptable(tcb& c, arrival& a, segment& packet, instant now) {
  auto& h = a.header;
  auto const next = c.receive_next();
  // The advertised window is rounded up to its scale.
  auto const edge = c.receive_edge + ((1u << c.terms.receive_scale) - 1u);
  auto const answer = [&] {
    c.acknowledge_now = true;
    schedule(c);
  };
  if (c.terms.timestamps) {
    if (!h.options.timestamps) return false;  // RFC 7323 3.2
    if (is_too_old(c, a, now)) {
      ++counters.paws_dropped;
      if (a.size != 0 && c.terms.sack) c.busy->receive.report_duplicate(h.sequence, h.sequence + a.size);
      answer();
      return false;
    }
  }
  auto const end = h.sequence + a.length();
  if (a.length() == 0) {
    if (h.sequence < next || h.sequence > edge) {
      // A keepalive or window probe is one number below; other strays are answered seldom, lest two ends
      // answer each other for ever.
      if (h.sequence == next - 1) {
        answer();
      } else {
        challenge(c, now);
      }
      return false;
    }
  } else if (end <= next) {
    if (c.terms.sack) c.busy->receive.report_duplicate(h.sequence, end);
    // Its acknowledgment may still be news.
    bool const believed = input_acknowledgment(c, a, now);
    c.quick_acks = std::max<std::uint8_t>(c.quick_acks, 1);
    answer();
    if (believed) (void)pass_own_fin(c, now);
    return false;
  } else if (h.sequence >= edge || c.receive_edge == next) {
    if (!(a.size == 0 && h.sequence == next)) {  // a bare FIN needs no room
      answer();
      return false;
    }
  }
  if (h.options.timestamps && c.terms.timestamps && h.sequence <= c.acknowledged_to &&
      h.acknowledgment <= c.send_next) {  // what acknowledges the future is not believed in anything
    c.recent_timestamp = h.options.timestamps->value;  // RFC 7323 4.3
    c.has_recent_timestamp = true;
  }
  if (h.sequence < next) {
    auto const known = static_cast<std::uint32_t>(next - h.sequence);
    if (c.terms.sack) c.busy->receive.report_duplicate(h.sequence, next);
    packet.drop_front(std::min(known, a.size));
    a.size -= std::min(known, a.size);
    h.sequence = next;
  }
  if (a.size != 0 && h.sequence + a.size > edge) {
    auto const beyond = static_cast<std::uint32_t>(h.sequence + a.size - edge);
    packet.drop_back(beyond);
    a.size -= beyond;
    h.flags &= static_cast<std::uint8_t>(~wire::tcp_fin);
  }
  return true;
}

/// Moves on when our FIN is acknowledged; false: the connection ended, and may be gone.
bool machine::pass_own_fin(tcb& c, instant now) {
  if (!c.fin_sent() || c.send_una != c.send_next) return true;
  if (c.current == state::fin_wait_1) {
    c.current = state::fin_wait_2;
    after_user_left(c, now);
  } else if (c.current == state::closing) {
    enter_time_wait(c, now);
    return false;
  } else if (c.current == state::last_ack) {
    close(c);
    return false;
  }
  return true;
}

void machine::input_connection(tcb& c, arrival& a, segment& packet, instant now) {
  auto const& h = a.header;
  c.engage(now);
  c.disturb();
  ++c.segments_received;
  if (c.current == state::syn_sent) return (this->*input_opening)(c, a, packet, now);
  if (h.has(wire::tcp_rst)) {
    // RFC 5961, 3: only the exact number resets; within the window it is asked about.
    if (h.sequence == c.receive_next()) {
      ++counters.resets_received;
      return fail(c, c.current == state::syn_received ? net_error::refused : net_error::reset);
    }
    ++counters.resets_refused;
    if (h.sequence > c.receive_next() && h.sequence < c.receive_edge) challenge(c, now);
    return;
  }
  if (h.has(wire::tcp_syn)) {
    if (c.current == state::syn_received && h.sequence == c.receive_initial) {
      // Simultaneous open: the peer's SYN once more, or its SYN-ACK, which acknowledges ours.
      if (!h.has(wire::tcp_ack) || h.acknowledgment <= c.send_initial ||
          h.acknowledgment > c.send_initial + 1u + c.fast_open_bytes) {
        c.want_syn = true;
        return schedule(c);
      }
      a.header.sequence += 1;
      a.header.flags &= static_cast<std::uint8_t>(~wire::tcp_syn);
      a.had_syn = true;
    } else if (features::fast_open && c.syn_unacknowledged && h.sequence == c.receive_initial) {
      c.want_syn = true;
      return schedule(c);
    } else {
      return challenge(c, now);  // RFC 5961, 4
    }
  }
  if (!acceptable(c, a, packet, now)) return;  // and c may be gone
  c.last_received_at = now;
  if (!h.has(wire::tcp_ack)) return;
  if (c.current == state::syn_received) {
    if (h.acknowledgment <= c.send_initial || h.acknowledgment > c.send_initial + 1u + c.fast_open_bytes) {
      return answer_stray(a);
    }
    c.send_window = a.window(c.terms.send_scale);
    c.window_sequence = h.sequence;
    c.window_acknowledgment = h.acknowledgment;
    syn_acknowledged(c, h.acknowledgment, now);
    became_established(c, now);
  } else if (features::fast_open && c.syn_unacknowledged && h.acknowledgment > c.send_initial && h.acknowledgment <= c.send_next) {
    fast_open_ended(c);
    syn_acknowledged(c, c.send_initial + 1, now);
  }
  if (!input_acknowledgment(c, a, now)) return arm(c, now);
  if (!pass_own_fin(c, now)) return;
  if (a.size != 0 && c.may_receive_data()) {
    if (c.released) {
      // Nobody will read it (RFC 1122, 4.2.2.13).
      answer_stray(a);
      return fail(c, net_error::reset);
    }
    input_data(c, a, packet, now);
  }
  if (h.has(wire::tcp_fin) && !c.fin_received) {
    c.fin_beyond_gap = true;
    c.fin_at = h.sequence + a.size;
  }
  if (c.fin_beyond_gap && !c.fin_received && c.fin_at == c.receive_next()) {
    if (!input_fin(c, now)) return;
  } else if (h.has(wire::tcp_fin)) {
    c.acknowledge_now = true;
  }
  schedule(c);
}

void machine::input_data(tcb& c, arrival const& a, segment& packet, instant now) {
  if (c.fin_received) return;
  if (c.terms.ecn) {
    // RFC 3168, 6.1.3
    if (a.header.has(wire::tcp_cwr)) c.ecn_must_echo = false;
    if ((a.between->traffic_class & 3u) == static_cast<std::uint8_t>(wire::ecn::congestion)) {
      c.ecn_must_echo = true;
      c.acknowledge_now = true;
    }
  }
  c.last_data_at = now;
  auto const part = packet.gso_size != 0 ? std::uint32_t{packet.gso_size} : a.size;
  if (part > c.received_segment_bytes)
    c.received_segment_bytes = static_cast<std::uint16_t>(std::min(part, 65'535u));
  auto const before = c.receive_next();
  auto const what = c.busy->receive.insert(a.header.sequence, packet, limits.out_of_order_ranges);
  received(c, what, a.size, static_cast<std::uint32_t>(c.receive_next() - before), now);
}

void machine::received(tcb& c, receive_queue::outcome what, std::uint32_t size, std::uint32_t added,
                       instant now) {
  c.bytes_received += added;
  switch (what) {
    case receive_queue::outcome::dropped:
      ++counters.out_of_order_dropped;
      [[fallthrough]];
    case receive_queue::outcome::duplicate:
    case receive_queue::outcome::out_of_order:
    case receive_queue::outcome::filled_gap:
      // RFC 5681, 4.2: at once, so that the sender's fast retransmission is fed.
      c.acknowledge_now = true;
      break;
    case receive_queue::outcome::in_order:
      received_in_order(c, size, now);
  }
  if (added != 0) {
    made_progress(c, now);
    notify(c, ready_to_read);
  }
}

bool machine::input_fin(tcb& c, instant now) {
  c.unlearn(calm::receives);
  c.busy->receive.pass_fin();
  c.receive_edge = std::max(c.receive_edge, c.receive_next());
  c.fin_received = true;
  c.fin_beyond_gap = false;
  // Who answered what came is likely to answer the end with its own, which acknowledges both, as in Linux.
  bool const answers = c.bytes_sent != 0 && c.bytes_received != 0 && c.last_sent_at >= c.last_data_at &&
                       c.last_sent_at - c.last_data_at < acknowledge_delay;
  if (c.current == state::established && answers && c.segments_unacknowledged == 0 && !c.acknowledge_now) {
    c.busy->acknowledge_at = std::min(c.busy->acknowledge_at, after(now, acknowledge_delay));
  } else {
    c.acknowledge_now = true;
  }
  notify(c, ready_to_read);
  switch (c.current) {
    case state::established:
      c.current = state::close_wait;
      break;
    case state::fin_wait_1:
      c.current = state::closing;  // its acknowledgment of our FIN would have moved us to FIN-WAIT-2 before
      break;
    case state::fin_wait_2:
      enter_time_wait(c, now);
      return false;
    default:
      break;
  }
  return true;
}

void machine::input_syn_sent(tcb& c, arrival& a, segment& packet, instant now) {
  auto const& h = a.header;
  bool const acknowledges = h.has(wire::tcp_ack);
  if (acknowledges && (h.acknowledgment <= c.send_initial ||
                       h.acknowledgment > c.send_initial + 1u + c.fast_open_bytes)) {
    return answer_stray(a);  // which says nothing to a reset: a blind one is ignored
  }
  if (h.has(wire::tcp_rst)) {
    if (!acknowledges) return;
    ++counters.resets_received;
    return fail(c, net_error::refused);
  }
  if (!h.has(wire::tcp_syn)) return;
  apply_syn(c, h, acknowledges, now);
  if (features::fast_open && acknowledges && c.chosen->fast_open != fast_open::no) learn_cookie(c, h);
  if (!acknowledges) {
    c.current = state::syn_received;  // simultaneous open
    c.want_syn = true;
    return schedule(c);
  }
  syn_acknowledged(c, h.acknowledgment, now);
  c.send_window = h.window;  // that of a SYN is never scaled (RFC 7323 2.2)
  c.window_sequence = h.sequence;
  c.window_acknowledgment = h.acknowledgment;
  became_established(c, now);
  c.acknowledge_now = true;
  a.header.sequence += 1;
  if (a.size != 0) input_data(c, a, packet, now);
  if (h.has(wire::tcp_fin) && a.header.sequence + a.size == c.receive_next())
    (void)input_fin(c, now);  // not in FIN-WAIT-2
  schedule(c);
}

/// What the peer's SYN or SYN-ACK says, on the active side.
void machine::apply_syn(tcb& c, wire::tcp_header const& h, bool is_answer, instant now) {
  auto& t = c.terms;
  t.peer_segment_bytes = peer_segment_bytes(h);
  t.timestamps = c.chosen->timestamps && h.options.timestamps.has_value();
  t.sack = h.options.sack_permitted;
  t.send_scale = h.options.window_scale.value_or(std::uint8_t{0});
  t.receive_scale = h.options.window_scale ? receive_scale() : std::uint8_t{0};
  // RFC 3168, 6.1.1: a SYN-ACK has ECE without CWR, a SYN has both.
  auto const bits = h.flags & (wire::tcp_ece | wire::tcp_cwr);
  t.ecn = c.ecn_offered && bits == (is_answer ? wire::tcp_ece : wire::tcp_ece | wire::tcp_cwr);
  if (h.options.timestamps) {
    c.recent_timestamp = h.options.timestamps->value;
    c.has_recent_timestamp = true;
  }
  c.receive_initial = h.sequence;
  c.busy->receive.start_at(h.sequence + 1);
  c.receive_edge = c.acknowledged_to = h.sequence + 1;
  c.last_received_at = now;
}

void machine::became_established(tcb& c, instant now) {
  c.current = c.fin_queued ? state::fin_wait_1 : state::established;
  refresh_path(c);
  c.send_window_largest = c.send_window;
  c.pushed_to = c.small_until = c.flush_to = c.send_una;
  c.push_point = c.busy->send.end();
  // RFC 6298, 5.7: a handshake that needed the timer starts data with a timeout of three seconds.
  if (c.backoff != 0 && c.trip.smoothed == 0s) c.trip.variation = 0s;
  bool const was_lost = c.backoff > 1;
  c.backoff = 0;
  c.timer = timer_kind::none;
  c.busy->timer_at = never;
  c.control.start(c.segment_bytes());
  if (was_lost) c.control.window = c.segment_bytes();  // RFC 5681, 3.1
  c.quick_acks = quick_acks_at_start;
  c.last_sent_at = now;
  c.last_received_at = c.last_data_at = now;
  start_keepalive(c, now);
  notify(c, static_cast<std::uint8_t>(ready_connected | ready_to_write));
  schedule(c);
}

}  // namespace morgana::net::tcp
