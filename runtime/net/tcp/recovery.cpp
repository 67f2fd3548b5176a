// What an acknowledgment means for loss: RACK-TLP (RFC 8985), fast recovery with and without SACK (RFC 6675,
// 6582) under PRR (RFC 6937), F-RTO (RFC 5682), Eifel and DSACK against needless reductions (RFC 3522, 3708).
#include <algorithm>

#include "machine.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {
constexpr std::uint8_t duplicate_threshold = 3;
constexpr std::uint8_t reorder_rounds_kept = 16;  // RFC 8985, 6.2 step 4
}  // namespace

void machine::rack_update(tcb& c, acknowledged const& got, instant now) {
  if (got.duplicate_reported && c.send_una >= c.make_rare().reorder_round_end) {
    c.make_rare().reorder_round_end = c.send_next;
    c.make_rare().reorder_rounds = reorder_rounds_kept;
    c.make_rare().reorder_quarters = static_cast<std::uint8_t>(std::min(c.rare().reorder_quarters + 1, 16));
  }
  if (got.reordered) {
    c.reordering_seen = true;
    ++c.make_rare().reorderings;
    c.make_rare().reordering_bytes = std::max(c.rare().reordering_bytes, got.reordering_bytes);
  }
  if (got.rack_sent_at == instant::min()) return;
  c.rack_trip = now - got.rack_last_sent_at;
  if (got.rack_sent_at > c.rack_sent_at ||
      (got.rack_sent_at == c.rack_sent_at && got.rack_end > c.rack_end)) {
    c.rack_sent_at = got.rack_sent_at;
    c.rack_end = got.rack_end;
  }
}

/// Marks what was sent long enough before something delivered; says how long the next one still has.
duration machine::rack_detect(tcb& c, instant now) {
  if (c.rack_sent_at == instant::min()) return 0s;
  duration window = 0s;
  if (c.reordering_seen ||
      (c.phase == recovery_phase::open && c.busy->flight.sacked_records() < duplicate_threshold &&
       c.busy->flight.sacked_bytes() < duplicate_threshold * c.segment_bytes())) {
    window = std::min(c.trip.minimum * c.rare().reorder_quarters / 4, c.trip.smoothed);
  }
  duration longest = 0s;
  for (auto* one = c.busy->flight.oldest(); one != nullptr;) {
    auto* const next = c.busy->flight.next_sent(*one);
    if (!(one->at < c.rack_sent_at || (one->at == c.rack_sent_at && one->end < c.rack_end))) break;
    auto const left = one->at + c.rack_trip + window - now;
    if (left <= 0s) {
      c.busy->flight.mark_lost(*one);
    } else {
      longest = std::max(longest, left);
    }
    one = next;
  }
  return longest;
}

void machine::enter_recovery(tcb& c, instant now) {
  if (c.mtu_probe_out && mtu_probe_failed(c, now)) {
    c.phase = recovery_phase::mtu;
    c.make_rare().recovery_point = c.send_next;
    return;
  }
  c.control.reduce(c.chosen->control, c.outstanding() - c.busy->flight.sacked_bytes(), c.segment_bytes(), now);
  c.phase = recovery_phase::fast_recovery;
  c.make_rare().recovery_point = c.send_next;
  c.make_rare().flight_at_recovery = std::max(c.outstanding() - c.busy->flight.sacked_bytes(), c.segment_bytes());
  c.make_rare().delivered_in_recovery = c.make_rare().sent_in_recovery = 0;
  c.undo_possible = true;
  c.make_rare().retransmissions_to_undo = 0;
  c.make_rare().retransmitted_timestamp = 0;
  c.make_rare().ecn_point = c.send_next;
  if (c.rare().reorder_rounds != 0 && --c.make_rare().reorder_rounds == 0) c.make_rare().reorder_quarters = 1;
}

void machine::undo_reduction(tcb& c) {
  c.busy->flight.forget_losses();
  c.control.undo();
  c.phase = recovery_phase::open;
  c.undo_possible = false;
  c.make_rare().spurious_step = 0;
  c.duplicate_acks = 0;
}

void machine::congestion_mark(tcb& c, instant now) {
  if (c.phase != recovery_phase::open || c.send_una < c.make_rare().ecn_point)
    return;  // once per window (RFC 3168, 6.1.2)
  c.control.reduce(c.chosen->control, c.in_flight(), c.segment_bytes(), now);
  c.phase = recovery_phase::reduced;
  c.make_rare().recovery_point = c.make_rare().ecn_point = c.send_next;
  c.make_rare().flight_at_recovery = std::max(c.in_flight(), c.segment_bytes());
  c.make_rare().delivered_in_recovery = c.make_rare().sent_in_recovery = 0;
  c.undo_possible = false;
  c.ecn_reduced = true;
}

void machine::proportional_reduction(tcb& c, std::uint32_t delivered, bool advanced) {
  c.make_rare().delivered_in_recovery += delivered;
  auto const pipe = c.in_flight();
  auto const threshold = c.control.threshold;
  std::int64_t count = 0;
  if (pipe > threshold) {
    auto const share = (std::uint64_t{c.rare().delivered_in_recovery} * threshold + c.rare().flight_at_recovery - 1) /
                       c.rare().flight_at_recovery;
    count = static_cast<std::int64_t>(share) - c.rare().sent_in_recovery;
  } else {
    auto const behind = std::int64_t{c.rare().delivered_in_recovery} - c.rare().sent_in_recovery;
    auto const limit = std::max<std::int64_t>(behind, delivered) + (advanced ? c.segment_bytes() : 0);
    count = std::min<std::int64_t>(threshold - pipe, limit);
  }
  count = std::max<std::int64_t>(count, 0);
  // The first retransmission goes in any case (RFC 6937, 3).
  if (c.rare().sent_in_recovery == 0) count = std::max<std::int64_t>(count, c.segment_bytes());
  c.control.window = pipe + static_cast<std::uint32_t>(count);
}

void machine::detect_losses(tcb& c, acknowledged const& got, bool advanced, instant now) {
  if (c.terms.sack) {
    rack_update(c, got, now);
    auto const wait = rack_detect(c, now);
    if (wait > 0s) {
      c.timer = timer_kind::reordering;
      c.busy->timer_at = now + wait;
    } else if (c.timer == timer_kind::reordering) {
      c.timer = timer_kind::none;
    }
    return;
  }
  auto* const front = c.busy->flight.front();
  if (front == nullptr) return;
  bool const partial = advanced && c.phase == recovery_phase::fast_recovery && c.send_una < c.rare().recovery_point;
  bool const enough = c.phase == recovery_phase::open && c.duplicate_acks >= duplicate_threshold;
  if (partial || enough) {
    if (front->size() > c.segment_bytes() && !front->is_lost)
      c.busy->flight.split(*front, front->begin + c.segment_bytes());
    c.busy->flight.mark_lost(*front);
  }
}

void machine::after_acknowledgment(tcb& c, acknowledged const& got, bool advanced, wire::tcp_header const& h,
                                   instant now) {
  auto delivered = got.cumulative_bytes + got.sacked_bytes;
  if (!c.terms.sack && advanced && c.duplicate_acks != 0) {
    // The duplicates stood for some of it; the hole that is filled now was not among them.
    auto const whole = c.segment_bytes();
    delivered -= std::min(delivered - std::min(delivered, whole), c.duplicate_acks * whole);
  }
  if (got.duplicate_reported && c.rare().retransmissions_to_undo != 0) {
    if (--c.make_rare().retransmissions_to_undo == 0 && c.undo_possible) undo_reduction(c);
  }
  // Loss probe, RFC 8985 7.4.2.
  if (c.loss_probe_out && (c.send_una >= c.rare().loss_probe_end || got.sacked_bytes != 0)) {
    if (!c.loss_probe_was_new && c.send_una >= c.rare().loss_probe_end && !got.duplicate_reported &&
        c.phase == recovery_phase::open && got.retransmission_delivered) {
      congestion_mark(c, now);  // the probe repaired a loss: that counts as one
      c.ecn_reduced = false;
    }
    c.loss_probe_out = false;
  }
  // Eifel: the echo is older than the first retransmission, so the original arrived.
  if (advanced && c.undo_possible && c.rare().retransmitted_timestamp != 0 && c.terms.timestamps &&
      h.options.timestamps && sequence{h.options.timestamps->echo} < sequence{c.rare().retransmitted_timestamp}) {
    undo_reduction(c);
  }
  if (c.phase == recovery_phase::timeout && c.rare().spurious_step != 0) {
    // Only new data can tell (RFC 5682, 2.1 step 2b); without any, what is lost is sent again at once.
    bool const has_new = c.busy->send.end() > c.send_next && c.send_una + c.send_window > c.send_next;
    if (c.rare().spurious_step == 1 && advanced && c.send_una < c.rare().recovery_point && has_new) {
      c.make_rare().spurious_step = 2;
      c.control.window = c.in_flight() + 2 * c.segment_bytes();
    } else if (c.rare().spurious_step == 2 && advanced && got.original_delivered) {
      undo_reduction(c);
    } else {
      c.make_rare().spurious_step = 0;
    }
  }
  if (c.phase != recovery_phase::open) {
    // Without SACK one more is waited for, lest old duplicates begin another recovery (RFC 6582, 6).
    bool const done =
        c.terms.sack || c.busy->flight.empty() ? c.send_una >= c.rare().recovery_point : c.send_una > c.rare().recovery_point;
    if (done) {
      if (c.phase == recovery_phase::fast_recovery || c.phase == recovery_phase::reduced)
        c.control.window = c.control.threshold;
      c.phase = recovery_phase::open;
      c.undo_possible = c.undo_possible && c.rare().retransmissions_to_undo != 0;
      c.duplicate_acks = 0;
      c.make_rare().spurious_step = 0;
    }
  }
  detect_losses(c, got, advanced, now);
  if (c.phase == recovery_phase::open && c.busy->flight.lost_bytes() != 0) enter_recovery(c, now);
  // One reduction per window: the mark's serves the loss, too.
  if (c.phase == recovery_phase::reduced && c.busy->flight.lost_bytes() != 0)
    c.phase = recovery_phase::fast_recovery;
  switch (c.phase) {
    case recovery_phase::fast_recovery:
      proportional_reduction(c, delivered, advanced);
      break;
    case recovery_phase::reduced:
      proportional_reduction(c, delivered, false);  // nothing is missing that would have to be made up for
      break;
    case recovery_phase::timeout:
      if (c.rare().spurious_step == 0 && advanced) {
        c.control.acknowledged(c.chosen->control, delivered, c.segment_bytes(), c.trip.minimum, now);
      }
      break;
    case recovery_phase::mtu:
      break;
    case recovery_phase::open:
      if (advanced) c.duplicate_acks = 0;
      // Only a window that is used is known to be too small (RFC 7661). Where the network reorders, what is
      // acknowledged beyond a gap is progress, too.
      if ((advanced || c.reordering_seen) &&
          (c.window_limited || (c.control.in_slow_start() && c.control.window < 2 * c.flight_largest))) {
        c.control.acknowledged(c.chosen->control, delivered, c.segment_bytes(), c.trip.minimum, now);
      }
      break;
  }
  if (!c.terms.sack && advanced && c.phase == recovery_phase::fast_recovery) {
    auto const passed = got.cumulative_bytes / c.segment_bytes();
    c.duplicate_acks =
        static_cast<std::uint8_t>(c.duplicate_acks - std::min<std::uint32_t>(c.duplicate_acks, passed));
  }
  if (advanced || c.timer == timer_kind::none) {
    if (c.timer != timer_kind::reordering) {
      c.timer = timer_kind::none;
      arm_loss_timer(c, now);
    }
  }
}

void machine::on_retransmission_timeout(tcb& c, instant now) {
  ++counters.timeouts;
  c.loss_probe_out = c.mtu_probe_out = false;
  // A peer that acknowledged by SACK what it then threw away has its front record sacked (RFC 2018, 8).
  bool const reneged = c.busy->flight.front() != nullptr && c.busy->flight.front()->is_sacked;
  bool const first = c.phase != recovery_phase::timeout || c.backoff == 0;
  if (first) {
    if (c.phase != recovery_phase::fast_recovery && c.phase != recovery_phase::timeout) {
      c.control.reduce(c.chosen->control, c.in_flight(), c.segment_bytes(), now);
      c.control.time_out();
      c.undo_possible = true;
      c.make_rare().retransmissions_to_undo = 0;
      c.make_rare().retransmitted_timestamp = 0;
    }
    c.make_rare().spurious_step = !reneged && c.phase != recovery_phase::timeout ? 1 : 0;
    c.make_rare().recovery_point = c.send_next;
  } else {
    c.make_rare().spurious_step = 0;
  }
  c.phase = recovery_phase::timeout;
  c.duplicate_acks = 0;
  c.control.window = c.segment_bytes();
  c.busy->flight.mark_all_lost(reneged);
  if (++c.backoff == timeouts_to_suspect) suspect(c, now);
  refresh_path(c);
  schedule(c);
}

}  // namespace morgana::net::tcp
