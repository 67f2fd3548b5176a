// How connections end: failures, orderly closes, TIME-WAIT, and giving memory back.
#include "output.hpp"
#include "predicted.hpp"

namespace morgana::net::tcp {

using wire::sequence;

void machine::send_reset(tcb& c, instant now) {
  wire::tcp_header h;
  h.sequence = c.send_next;
  h.flags = wire::tcp_rst;
  if (c.current != state::syn_sent) {
    h.flags |= wire::tcp_ack;
    h.acknowledgment = c.receive_next();
  }
  if (c.terms.timestamps) {  // RFC 7323 3.2: in a reset, too
    h.options.timestamps = wire::tcp_timestamps{timestamp(c.timestamp_offset, now), c.recent_timestamp};
  }
  if (send_reply(c.key, h)) ++counters.resets_sent;
}

/// Out of all tables; the handle stays until its user gives it up.
void machine::close(tcb& c) {
  run.to = nullptr;
  if (features::fast_open && c.syn_unacknowledged) fast_open_ended(c);
  if (c.in_table) {
    flows.erase(c);
    --live;
  }
  wakes.remove(c);
  if (!without_buffers.empty()) std::erase(without_buffers, &c);
  if (c.released) return destroy(c);   // and all that is left of it
  c.disturb();
  static_cast<hook<output_tag>&>(c).unlink();
  c.timer = timer_kind::none;
  c.probe_moves = false;
  c.busy->timer_at = c.busy->acknowledge_at = c.busy->end_at = c.busy->stalled_since = never;
  if (c.rare().keepalive_at != never) c.make_rare().keepalive_at = never;
  c.want_syn = c.acknowledge_now = c.want_loss_probe = c.want_window_probe = false;
  c.busy->flight.clear();
  c.busy->send.clear();
  if (c.current != state::time_wait) c.current = state::closed;
  closed.push_back(c);  // also one whose place in the table TIME-WAIT has now; twice is once
  notify(c, static_cast<std::uint8_t>(ready_closed | ready_to_read | ready_to_write |
                                      (c.failed ? ready_connected : 0)));
}

void machine::fail(tcb& c, net_error why) {
  if (!c.failed) c.failed = why;
  if (c.current == state::syn_sent) c.fast_open_bytes = 0;
  c.current = state::closed;
  // What came in order before it had a user is there for whoever accepts it, as the failure is.
  if (c.parent == nullptr) c.busy->receive.clear();
  close(c);
}

void machine::destroy(tcb& c) {
  leave(*c.chosen);
  if (c.busy != nullptr) busies.give(c.busy);
  blocks.give(&c);
}

void machine::enter_time_wait(tcb& c, instant now) {
  if (c.current == state::time_wait) return;
  if (time_waits.entries.used() >= limits.time_wait) {
    if (auto* const oldest = time_waits.queue.front()) {
      ++counters.time_wait_evicted;
      flows.erase(*oldest);
      static_cast<hook<time_wait_tag>&>(*oldest).unlink();
      time_waits.entries.give(oldest);
    }
  }
  if (limits.time_wait != 0) {
    auto* const entry = time_waits.entries.take(c.key);
    entry->send_next = c.send_next;
    entry->receive_next = c.receive_next();
    entry->recent_timestamp = c.recent_timestamp;
    entry->timestamp_offset = c.timestamp_offset;
    entry->timestamps = c.terms.timestamps;
    entry->window = (c.calm & calm::speaks) != 0
                        ? window_to_advertise(c, c.calm_receive_space(), c.busy->calm_step)
                        : window_to_advertise(c, c.receive_space(), c.receive_step());
    entry->end = now + limits.time_wait_length;
    flows.replace(c, *entry);
    --live;
    time_waits.queue.push_back(*entry);
    acknowledge_late(*entry, now, c.way);
  }
  c.current = state::time_wait;
  close(c);
}

/// What TIME-WAIT says to whatever it does not accept.
void machine::acknowledge_late(time_wait const& w, instant now, std::uint64_t way) {
  auto const say = [&](wire::tcp_header& h) {
    h.sequence = w.send_next;
    h.acknowledgment = w.receive_next;
    h.flags = wire::tcp_ack;
    h.window = w.window;
  };
  if (!w.timestamps) {
    wire::tcp_header h;
    say(h);
    return (void)send_reply(w.key, h, way);
  }
  // As nearly always, and written where it is to be.
  auto* const out = add_reply(w.key, predicted_bytes, way);
  if (out == nullptr) return;
  wire::tcp_header h;
  say(h);
  h.source_port = w.key.local_port;
  h.destination_port = w.key.peer_port;
  h.options.timestamps = wire::tcp_timestamps{timestamp(w.timestamp_offset, now), w.recent_timestamp};
  h.emit_with_timestamps(out->header());
  finish(*out, pseudo_header_sum(w.key.local, w.key.peer) + wire::sum_words<predicted_bytes>(out->header().data()));
}

namespace {

/// RFC 6191, 2: a SYN that is surely newer than the connection that ended. Within one tick of the peer's clock, which a
/// client that opens thousands a second reuses a port in, the sequence numbers decide.
bool is_newer(time_wait const& w, wire::tcp_header const& syn) {
  if (w.timestamps && syn.options.timestamps) {
    auto const value = sequence{syn.options.timestamps->value};
    auto const recent = sequence{w.recent_timestamp};
    if (value != recent) return value > recent;
  }
  return syn.sequence > w.receive_next;
}

}  // namespace

bool machine::input_time_wait(time_wait& w, arrival const& a, instant now) {
  auto const& h = a.header;
  if (h.has(wire::tcp_rst)) {
    ++counters.resets_refused;  // RFC 1337: an old reset would end the wait too soon
    return false;
  }
  bool const syn = h.has(wire::tcp_syn) && !h.has(wire::tcp_ack);
  if (syn && is_newer(w, h) && find_port(a.key.local, a.key.local_port) != nullptr) {
    flows.erase(w);
    static_cast<hook<time_wait_tag>&>(w).unlink();
    time_waits.entries.give(&w);
    return true;
  }
  if (h.has(wire::tcp_fin)) {  // our last acknowledgment was lost; the wait begins anew
    w.end = now + limits.time_wait_length;
    static_cast<hook<time_wait_tag>&>(w).unlink();
    time_waits.queue.push_back(w);
  }
  if (a.length() != 0 || h.sequence != w.receive_next) {
    if (challenges_allowed(now)) acknowledge_late(w, now);
  }
  return false;
}

}  // namespace morgana::net::tcp
