// What the user of a connection calls (RFC 9293 3.10.1 to 3.10.5).
#include "tcb.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "machine.hpp"

namespace morgana::net::tcp {

tcb::tcb(machine& m, flow_key const& which, shared_settings const& with)
    : flow(which, flow_kind::connection),
      event_source(event_source::kind::connection),
      host(&m),
      chosen(&with),
      busy(m.busies.take(m)) {}

busy_part::busy_part(machine& host) : send(host.chunks), flight(host.records), receive(host.arrived) {}

unusual& tcb::made_rare() {
  rare_ = std::make_unique<unusual>();
  rare_->reorder_round_end = rare_->ecn_point = send_una;
  return *rare_;
}

std::uint32_t tcb::in_flight() const {
  auto out = outstanding();
  out -= std::min(out, busy->flight.sacked_bytes() + busy->flight.lost_bytes());
  // Without SACK every duplicate acknowledgment says that something arrived.
  if (!terms.sack && duplicate_acks != 0) out -= std::min(out, duplicate_acks * segment_bytes());
  return out;
}

std::uint32_t tcb::receive_buffer() const {
  auto const wanted = chosen->receive_buffer_bytes == receive_buffer_bytes_default
                          ? std::max(host->receive_buffer_first, receive_buffer_grown)
                          : chosen->receive_buffer_bytes;
  return std::min(wanted, host->receive_buffer_most);
}

/// Twice the congestion window, so that the next round trip's data is there before this one's is acknowledged; but not
/// while others may need the buffers more.
std::uint32_t tcb::send_buffer() const {
  auto const wanted = chosen->send_buffer_bytes == send_buffer_bytes_default && !host->chunks.buffers.is_scarce()
                          ? std::max(chosen->send_buffer_bytes, 2 * std::min(control.window, congestion::unlimited))
                          : chosen->send_buffer_bytes;
  return std::min(wanted, host->limits.send_buffer_bytes);
}

/// Dynamic right-sizing (M. Fisk and W. Feng, 2001): room for four times of what was read in the last round trip. A sender in
/// slow start sends twice of that in the next one, and twice of that again before our next look, which its rounds do not
/// wait for.
void tcb::tune_receive_buffer(instant now) {
  auto const read = std::exchange(read_bytes, 0u);
  bool const is_whole = tune_at != instant::min();
  tune_at = after(now, std::max<duration>(trip.smoothed, 1ms));
  auto const before = receive_buffer_grown;
  if (host->arrived.is_crowded()) {
    receive_buffer_grown = 0;
  } else if (is_whole && 4 * std::uint64_t{read} > receive_buffer()) {
    receive_buffer_grown = 4 * std::min(read, host->limits.receive_buffer_bytes / 4);
  }
  if (receive_buffer_grown != before) disturb();
}

std::uint32_t tcb::receive_space() const {
  auto const buffer = receive_buffer();
  auto const space = buffer - std::min(buffer, static_cast<std::uint32_t>(busy->receive.ready().size()));
  if (!host->arrived.is_crowded()) [[likely]]
    return space;
  // A share of what is left; and who holds nothing may always have two segments.
  constexpr std::uint32_t share = 64;
  auto const least = busy->receive.ready().empty() ? 2 * segment_bytes() : 0u;
  auto const left = static_cast<std::uint32_t>(std::min<std::size_t>(host->arrived.bytes_left() / share, UINT32_MAX));
  return std::min(space, std::max(left, least));
}

information tcb::info() const {
  if (busy == nullptr) {
    auto& self = const_cast<tcb&>(*this);
    host->engage(self);
    auto const all = info();
    host->rest(self);
    return all;
  }
  information all;
  all.state = current;
  all.maximum_segment_size = segment_bytes();
  all.smoothed_round_trip = trip.smoothed;
  all.retransmission_timeout = trip.timeout();
  all.congestion_window_bytes = control.window;
  all.slow_start_threshold_bytes = control.threshold;
  all.bytes_in_flight = in_flight();
  all.bytes_sent = bytes_sent;
  all.bytes_received = bytes_received;
  if (send_una != send_initial) {
    // All that was sent, or less: the sequence number says how much. A FIN counts as one.
    auto const most = bytes_sent + 1;
    all.bytes_acknowledged = most - (static_cast<std::uint32_t>(most) - (send_una.value - send_initial.value - 1));
  }
  all.segments_sent = segments_sent;
  all.segments_received = segments_received;
  all.segments_retransmitted = rare().segments_retransmitted;
  all.has_timestamps = terms.timestamps;
  all.has_sack = terms.sack;
  all.has_ecn = terms.ecn;
  all.send_window_scale = terms.send_scale;
  all.receive_window_scale = terms.receive_scale;
  all.send_unacknowledged = send_una.value;
  all.send_next = send_next.value;
  all.send_window_bytes = send_window;
  all.receive_next = busy->receive.next().value;
  if (current != tcp::state::closed && current != tcp::state::time_wait) {
    all.unsent_bytes = static_cast<std::uint32_t>(std::max(busy->send.end() - send_next, 0));
    if (fin_queued && !fin_sent()) ++all.unsent_bytes;
  }
  all.deadline = host->wakes.of(*this);
  all.round_trip_variation = trip.variation;
  all.minimum_round_trip = trip.minimum;
  describe_flight(all);
  all.received_segment_bytes = received_segment_bytes;
  all.advertised_segment_bytes = host->advertised_segment_bytes(*this);
  all.send_queue_bytes = static_cast<std::uint32_t>(busy->send.size());
  all.receive_queue_bytes = static_cast<std::uint32_t>(busy->receive.ready().size());
  all.retransmissions_in_a_row = backoff;
  all.window_probes = probes;
  all.last_data_received_at = last_data_at;
  all.peer_ended = fin_received;
  if (current != tcp::state::syn_sent && current != tcp::state::syn_received) all.fast_open_bytes = fast_open_bytes;
  return all;
}

settings& tcb::options() {
  // What is changed now is looked at in the next output pass: a keepalive or a timeout may begin.
  engage(last_received_at);
  disturb();
  if (in_table) host->schedule(*this);
  return own_settings();
}

settings& tcb::own_settings() {
  if (chosen->users != 1) {
    auto* const own = host->given.take(*chosen);
    own->users = 1;
    --chosen->users;
    chosen = own;
  }
  return const_cast<shared_settings&>(*chosen);
}

void tcb::describe_flight(information& all) const {
  auto const whole = std::max(segment_bytes(), 1u);
  auto const count = [&](std::uint32_t bytes) { return (bytes + whole - 1) / whole; };
  auto const* one = busy->flight.front();
  for (; one != nullptr; one = busy->flight.next(*one)) {
    auto const segments = count(one->size());
    all.segments_unacknowledged += segments;
    if (one->is_sacked) {
      all.segments_sacked += segments;
    } else if (one->is_lost || (one->was_retransmitted && phase != recovery_phase::open)) {
      all.segments_lost += segments;
    }
    if (one->was_retransmitted && !one->is_sacked && !one->is_lost) {
      all.segments_retransmitted_in_flight += segments;
    }
  }
  all.reordering_segments = std::max(all.reordering_segments, count(rare().reordering_bytes));
  all.reorderings = rare().reorderings;
  switch (phase) {
    case recovery_phase::open:
      all.phase = busy->flight.sacked_bytes() != 0 || duplicate_acks != 0 ? loss_phase::disorder : loss_phase::open;
      break;
    case recovery_phase::mtu:
    case recovery_phase::fast_recovery:
      all.phase = loss_phase::recovery;
      break;
    case recovery_phase::timeout:
      all.phase = loss_phase::loss;
      break;
    case recovery_phase::reduced:
      all.phase = loss_phase::reduced;
      break;
  }
}

void tcb::flush(instant now) {
  if (!more_follows && !chosen->hold_partial) return;
  more_follows = false;
  if (!may_send_data()) return;
  engage(now);
  if (busy->send.end() > send_next) flush_to = busy->send.end();
  host->schedule(*this);
  host->arm(*this, now);
}

[[gnu::always_inline]] inline void tcb::user_sent(instant now, more what) {
  more_follows = what == more::follows;
  if (more_follows) [[unlikely]]
    disturb();
  else
    push_point = busy->send.end();
  if (!may_send_data()) return;  // it goes when the handshake is done
  if (busy->stalled_since == never) busy->stalled_since = now;
  host->schedule(*this);
}

result<std::size_t> tcb::write(std::span<std::byte const> bytes, instant now, more what) {
  if (failed) return morgana::failure(*failed);
  if (fin_queued || current == tcp::state::closed) return morgana::failure(net_error::not_connected);
  engage(now);
  auto const least = std::min(chosen->send_buffer_bytes, host->limits.send_buffer_bytes);
  if (busy->send.keeps(bytes.size()) && busy->send.size() + bytes.size() <= least && !bytes.empty()) [[likely]] {
    // The bytes last: what is known of them need not be kept over a call.
    auto const room = busy->send.keep(bytes.size());
    user_sent(now, what);
    std::memcpy(room.data(), bytes.data(), bytes.size());
    return bytes.size();
  }
  return write_more(bytes, now, what);
}

[[gnu::noinline]] result<std::size_t> tcb::write_more(std::span<std::byte const> bytes, instant now, more what) {
  auto const limit = send_buffer();
  auto const room = limit - std::min<std::size_t>(limit, busy->send.size());
  auto const taken = bytes.first(std::min(bytes.size(), room));
  auto const done = taken.size() >= segment_bytes() && !partial_checksum
                        ? busy->send.append(taken, send_next, segment_bytes())
                        : busy->send.append(taken);
  if (done < bytes.size()) {
    writer_waits = true;
    ++host->counters.send_buffers_full;
    if (done < std::min(bytes.size(), room)) ++host->counters.buffers_exhausted;
    if (busy->send.size() == 0) host->wait_for_buffers(*this, now);
  }
  if (done != 0) user_sent(now, what);
  return done;
}

result<bool> tcb::write(std::span<slice> owned, instant now) {
  if (failed) return morgana::failure(*failed);
  if (fin_queued || current == tcp::state::closed) return morgana::failure(net_error::not_connected);
  engage(now);
  auto const limit = send_buffer();
  std::size_t total = 0;
  for (auto const& one : owned) total += one.size();
  // More than the whole buffer is taken when it is empty: it would never fit otherwise.
  if (busy->send.size() != 0 && busy->send.size() + total > limit) {
    writer_waits = true;
    return false;
  }
  for (auto& one : owned) busy->send.append(std::move(one));
  if (total != 0) user_sent(now);
  return true;
}

[[gnu::always_inline]] inline void tcb::was_read(std::size_t bytes, instant now) {
  read_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{read_bytes} + bytes, UINT32_MAX));
  if (now >= tune_at) tune_receive_buffer(now);
  // While there is calm, most often nothing opens: less than half of what was promised is new.
  if ((calm & calm::speaks) != 0 && !host->arrived.is_crowded()) {
    auto const promised = static_cast<std::uint32_t>(std::max(receive_edge - receive_next(), 0));
    if (busy->calm_buffer < 2 * promised) return;
  }
  host->window_may_open(*this);
}

result<std::optional<std::size_t>> tcb::read(std::span<std::byte> into, instant now) {
  if (busy == nullptr) return fin_received ? std::optional(std::size_t{0}) : std::nullopt;
  auto& ready = busy->receive.ready();
  if (auto const all = ready.kept_alone(); !all.empty() && all.size() <= into.size()) [[likely]] {
    ready.drop_all_kept();   // they lie there still
    was_read(all.size(), now);
    std::memcpy(into.data(), all.data(), all.size());
    return all.size();
  }
  if (auto const piece = ready.piece_alone(); !piece.empty() && piece.size() <= into.size()) {
    std::memcpy(into.data(), piece.data(), piece.size());
    auto const size = piece.size();
    ready.clear();
    was_read(size, now);
    return size;
  }
  return read_more(into, now);
}

[[gnu::noinline]] result<std::optional<std::size_t>> tcb::read_more(std::span<std::byte> into, instant now) {
  if (auto const count = busy->receive.ready().take_out(into); count != 0) {
    was_read(count, now);
    return count;
  }
  if (failed) return morgana::failure(*failed);
  if (!busy->receive.ready().empty()) return std::optional<std::size_t>();  // `into` has no room
  if (fin_received) return std::size_t{0};
  if (current == tcp::state::closed || current == tcp::state::time_wait)
    return morgana::failure(net_error::not_connected);
  return std::optional<std::size_t>();
}

bool tcb::is_readable() const {
  if (busy == nullptr) return fin_received;
  return !busy->receive.ready().empty() || failed || fin_received || current == tcp::state::closed ||
         current == tcp::state::time_wait;
}

std::span<std::byte const> tcb::peek() const {
  if (busy == nullptr) return {};
  return busy->receive.ready().front();
}

void tcb::consume(std::size_t bytes, instant now) {
  if (busy == nullptr) return;
  bytes = std::min(bytes, busy->receive.ready().size());
  busy->receive.ready().drop_front(bytes);
  was_read(bytes, now);
}

void tcb::shutdown(instant now) {
  if (fin_queued || current == tcp::state::closed) return;
  engage(now);
  if (current == tcp::state::syn_sent && busy->send.size() == 0) {
    // Nothing was said yet: there is nothing to end in order (RFC 9293 3.10.4).
    failed = net_error::not_connected;
    return host->fail(*this, net_error::not_connected);
  }
  fin_queued = true;
  if (current == tcp::state::established) current = tcp::state::fin_wait_1;
  if (current == tcp::state::close_wait) current = tcp::state::last_ack;
  if (busy->stalled_since == never) busy->stalled_since = now;
  if (synchronized()) host->schedule(*this);
}

void tcb::abort(instant now) {
  if (current == tcp::state::closed || current == tcp::state::time_wait) return;
  engage(now);
  if (current != tcp::state::syn_sent) host->send_reset(*this, now);
  host->fail(*this, net_error::not_connected);
}

void tcb::release(instant now) {
  if (released) return;
  engage(now);
  user = nullptr;
  static_cast<hook<event_tag>&>(*this).unlink();
  if (!busy->receive.ready().empty() && in_table) abort(now);
  released = true;
  unlearn(calm::receives);
  busy->receive.clear();
  if (!in_table) return host->destroy(*this);
  if (!fin_queued)
    shutdown_released(now);
  else
    host->after_user_left(*this, now);
}

void tcb::shutdown_released(instant now) {
  // fail() destroys what is released, so a connection without a handshake ends before it is told so.
  if (current == tcp::state::syn_sent) return host->fail(*this, net_error::not_connected);
  shutdown(now);
}

}  // namespace morgana::net::tcp
