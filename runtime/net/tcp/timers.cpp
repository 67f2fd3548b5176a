// Time: one deadline per connection, the least of its timers (RFC 6298, RFC 8985 7, RFC 9293 3.8).
#include <algorithm>
#include <utility>

#include "machine.hpp"
#include "output.hpp"

namespace morgana::net::tcp {

namespace {
constexpr duration fin_wait_2_max = 60s;
constexpr duration device_retry = 500ms;
/// Between looks at a pool that was empty: it tells nobody when a buffer comes back.
constexpr duration buffers_interval = 10ms;

duration backed_off(duration timeout, std::uint8_t times) {
  return std::min<duration>(timeout * (1 << std::min<int>(times, 10)), timeout_max);
}
}  // namespace

/// Data waits although the peer has room and nothing is out: our own device takes nothing. It is asked again
/// twice a second, and the user timeout is looked at only then.
bool machine::is_blocked_here(tcb const& c) {
  return c.timer == timer_kind::window_probe && c.send_window != 0 && c.busy->send.end() > c.send_next;
}

void machine::arm_loss_timer(tcb& c, instant now) {
  c.timer = timer_kind::none;
  c.busy->timer_at = never;
  c.probe_moves = false;
  if (c.current == state::syn_sent || c.current == state::syn_received || c.syn_unacknowledged) {
    c.timer = timer_kind::retransmission;
    c.busy->timer_at = c.busy->syn_sent_at + backed_off(timeout_initial, c.backoff);
    return;
  }
  if (!c.synchronized() || c.current == state::time_wait) return;
  if (auto const* front = c.busy->flight.front()) {
    if (c.phase == recovery_phase::open && c.terms.sack && c.chosen->loss_probe && !c.loss_probe_out &&
        c.backoff == 0 && c.busy->flight.sacked_bytes() == 0 && c.trip.smoothed != 0s) {
      c.timer = timer_kind::loss_probe;
      c.busy->timer_at = loss_probe_time(c, *front, c.in_flight(), now);
    } else {
      auto const timeout = c.backoff == 0 ? c.trip.timeout() : backed_off(c.trip.timeout(), c.backoff);
      c.timer = timer_kind::retransmission;
      c.busy->timer_at = now + timeout;
    }
    return;
  }
  // Nothing is out, and something waits for the peer's window.
  if (c.busy->send.end() > c.send_next || (c.fin_queued && !c.fin_sent())) {
    c.timer = timer_kind::window_probe;
    c.busy->timer_at = now + std::min(backed_off(c.trip.timeout(), c.probes), limits.zero_window_probe);
    if (c.probes != 0 && is_blocked_here(c)) c.busy->timer_at = now + device_retry;
  }
}

/// As arm_loss_timer() would have set it when the last segment went: nothing came since that says anything of losses.
void machine::settle_probe(tcb& c) {
  if (c.timer == timer_kind::loss_probe) {
    arm_loss_timer(c, c.last_sent_at);
  } else {
    c.probe_moves = false;
  }
}

void machine::arm(tcb& c, instant now) {
  if (!c.in_table) return;
  if (c.probe_moves) settle_probe(c);
  if (c.timer == timer_kind::none || c.timer == timer_kind::window_probe) {
    auto const wants_probe = c.busy->flight.empty() && c.synchronized() &&
                             (c.busy->send.end() > c.send_next || (c.fin_queued && !c.fin_sent()));
    bool const is_due = c.timer == timer_kind::window_probe
                            ? !wants_probe
                            : !c.want_loss_probe && (!c.busy->flight.empty() || wants_probe || !c.synchronized() ||
                                                     c.syn_unacknowledged);
    if (is_due) arm_loss_timer(c, now);
  }
  if (c.rare().keepalive_at == never && c.chosen->keepalive) start_keepalive(c, now);
  auto first = std::min(std::min(c.busy->timer_at, c.busy->acknowledge_at), std::min(c.rare().keepalive_at, c.busy->end_at));
  if (c.busy->stalled_since != never) {
    if (auto const limit = stall_limit(c); limit != 0s && !is_blocked_here(c)) {
      first = std::min(first, after(c.busy->stalled_since, limit));
    }
  }
  if (c.pacing_waits) first = std::min(first, c.rare().paced_until);
  if (first != never) wakes.at_latest(c, first);
}

void machine::start_keepalive(tcb& c, instant) {
  auto const at = c.chosen->keepalive && c.synchronized() ? after(c.last_received_at, c.chosen->keepalive_idle) : never;
  if (at != c.rare().keepalive_at) c.make_rare().keepalive_at = at;
}

/// One of its timers may have come; those that have not stay.
void machine::wake(tcb& c, instant now) {
  if (c.busy == nullptr) engage(c);
  c.disturb();
  if (c.probe_moves) settle_probe(c);
  if (c.busy->end_at <= now) return close(c);
  if (c.busy->stalled_since != never && stall_limit(c) != 0s && now - c.busy->stalled_since >= stall_limit(c) &&
      (!is_blocked_here(c) || c.busy->timer_at <= now)) {
    ++counters.timeouts;
    if (c.released) ++counters.abandoned;
    send_reset(c, now);
    return fail(c, net_error::timed_out);
  }
  if (c.pacing_waits && c.rare().paced_until <= now) {
    c.pacing_waits = false;
    schedule(c);
  }
  if (c.busy->acknowledge_at <= now) {
    c.busy->acknowledge_at = never;
    c.acknowledge_now = true;
    schedule(c);
  }
  if (c.busy->timer_at <= now) {
    auto const what = c.timer;
    c.timer = timer_kind::none;
    c.busy->timer_at = never;
    switch (what) {
      case timer_kind::none:
        break;
      case timer_kind::retransmission:
        if (!c.synchronized() || c.syn_unacknowledged) {
          if (c.backoff >= (c.chosen->syn_retries != 0 ? c.chosen->syn_retries : limits.syn_retries)) return fail(c, net_error::timed_out);
          if (++c.backoff == timeouts_to_suspect) suspect(c, now);
          c.ecn_offered = false;  // RFC 3168, 6.1.1.1: something on the way may not like it
          c.want_syn = true;
          schedule(c);
          break;
        }
        if (c.backoff >= limits.retransmissions) {
          send_reset(c, now);
          return fail(c, net_error::timed_out);
        }
        on_retransmission_timeout(c, now);
        break;
      case timer_kind::loss_probe:
        c.want_loss_probe = true;
        schedule(c);
        break;
      case timer_kind::reordering: {
        auto const wait = rack_detect(c, now);
        if (c.busy->flight.lost_bytes() != 0) {
          if (c.phase == recovery_phase::open) enter_recovery(c, now);
          if (c.phase == recovery_phase::fast_recovery) proportional_reduction(c, 0, false);
        }
        if (wait > 0s) {
          c.timer = timer_kind::reordering;
          c.busy->timer_at = now + wait;
        }
        schedule(c);
        break;
      }
      case timer_kind::window_probe:
        // Without an answer it is as dead as after so many retransmissions; an answer sets the count to zero.
        if (c.probes >= limits.retransmissions) {
          send_reset(c, now);
          return fail(c, net_error::timed_out);
        }
        ++c.probes;
        c.want_window_probe = true;
        schedule(c);
        break;
    }
  }
  if (c.rare().keepalive_at <= now) {
    if (!c.chosen->keepalive || !c.busy->flight.empty() || c.busy->send.size() != 0) {
      start_keepalive(c, now);
      if (c.rare().keepalive_at <= now) c.make_rare().keepalive_at = after(now, c.chosen->keepalive_idle);
    } else {
      auto const silent = now - c.last_received_at;
      auto const interval = std::max<duration>(c.chosen->keepalive_interval, 1ms);
      if (silent < c.chosen->keepalive_idle) {
        start_keepalive(c, now);
      } else {
        // By the clock, not by count: when time has jumped, probes that were due are not made up for.
        auto const due = (silent - c.chosen->keepalive_idle) / interval + 1;
        if (due > c.chosen->keepalive_probes) {
          ++counters.timeouts;
          send_reset(c, now);
          return fail(c, net_error::timed_out);
        }
        c.want_window_probe = true;
        c.make_rare().keepalive_at = c.last_received_at + c.chosen->keepalive_idle + due * interval;
        schedule(c);
      }
    }
  }
  arm(c, now);
  rest(c);
}

void machine::rest(tcb& c) {
  auto const& b = *c.busy;
  bool const is_open = c.current == state::established || c.current == state::close_wait;
  bool const is_quiet = is_open && c.parent == nullptr && !static_cast<hook<output_tag>&>(c).linked() &&
                        !c.acknowledge_now && b.flight.empty() && b.send.size() == 0 && c.send_una == c.send_next &&
                        b.receive.ready().empty() && !b.receive.has_sack() && c.timer == timer_kind::none &&
                        b.acknowledge_at == never && b.stalled_since == never;
  if (!is_quiet) return;
  c.receive_rested = b.receive.next();
  busies.give(std::exchange(c.busy, nullptr));
}

void machine::engage(tcb& c) {
  c.busy = busies.take(*this);
  c.busy->send.start_at(c.send_next);
  c.busy->receive.start_at(c.receive_rested);
}

[[gnu::cold, gnu::noinline]] void machine::engage(tcb& c, instant now) {
  engage(c);
  // Whatever begins now, there is a look whether it has ended.
  wakes.at_latest(c, after(now, rest_interval));
}

duration machine::stall_limit(tcb const& c) const {
  auto const chosen = c.chosen->user_timeout;
  if (!c.released) return chosen;
  // A peer that acknowledges probes of its closed window for ever would keep it (RFC 6429 2 allows to end
  // it).
  return chosen == 0s ? limits.abandoned_stall : std::min(chosen, limits.abandoned_stall);
}

void machine::wait_for_buffers(tcb& c, instant now) {
  if (std::ranges::find(without_buffers, &c) == without_buffers.end()) without_buffers.push_back(&c);
  buffers_at = std::min(buffers_at, after(now, buffers_interval));
}

void machine::on_deadline(instant now) {
  if (buffers_at <= now) {
    buffers_at = never;
    if (chunks.buffers.has_room()) {
      for (auto* const one : std::exchange(without_buffers, {})) notify(*one, ready_to_write);
    } else if (!without_buffers.empty()) {
      buffers_at = after(now, buffers_interval);
    }
  }
  while (auto* const one = wakes.pop(now)) wake(static_cast<tcb&>(*one), now);
  if (half_opens.entries.used() != 0) retransmit_half_opens(now);
  while (auto* const one = time_waits.queue.front()) {
    if (one->end > now) break;
    flows.erase(*one);
    static_cast<hook<time_wait_tag>&>(*one).unlink();
    time_waits.entries.give(one);
  }
}

instant machine::next_deadline() const {
  auto first = std::min({wakes.next(), half_opens.next(), buffers_at});
  if (auto const* one = time_waits.queue.front()) first = std::min(first, one->end);
  return first;
}

void machine::after_user_left(tcb& c, instant now) {
  if (c.released && c.current == state::fin_wait_2) {
    c.busy->end_at = after(now, fin_wait_2_max);
    arm(c, now);
  }
}

}  // namespace morgana::net::tcp
