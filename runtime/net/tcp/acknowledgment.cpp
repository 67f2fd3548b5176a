// The acknowledgment and window of an arriving segment (RFC 9293 3.10.7.4, fifth check), and its SACK blocks.
#include <algorithm>

#include "machine.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

/// RFC 2883, 4: the first block reports a duplicate when it lies below the acknowledgment or within the
/// second.
bool is_duplicate_report(wire::tcp_header const& h) {
  auto const& first = h.options.sack[0];
  if (first.left < h.acknowledgment) return true;
  return h.options.sack_count > 1 && first.left >= h.options.sack[1].left &&
         first.right <= h.options.sack[1].right;
}

}  // namespace

void machine::update_window(tcb& c, arrival const& a) {
  auto const& h = a.header;
  if (h.acknowledgment < c.send_una) return;
  // RFC 9293 3.10.7.4 lets a segment with an older sequence number say nothing about the window. But it may
  // be a retransmission that acknowledges more than any before it: then it is the newest, and were its window
  // passed over, the old one would be counted from the new SND.UNA, beyond what the peer ever offered.
  if (h.acknowledgment < c.window_acknowledgment ||
      (h.acknowledgment == c.window_acknowledgment && h.sequence < c.window_sequence)) {
    return;
  }
  auto const window = a.window(c.terms.send_scale);
  c.window_sequence = h.sequence;
  c.window_acknowledgment = h.acknowledgment;
  c.send_window_largest = std::max(c.send_window_largest, window);
  if (window == c.send_window) return;
  bool const opened = c.send_window == 0;
  c.send_window = window;
  if (opened) c.probes = 0;
}

bool machine::input_acknowledgment(tcb& c, arrival const& a, instant now) {
  auto const& h = a.header;
  auto const ack = h.acknowledgment;
  // RFC 5961, 5.2: beyond what was sent, or older than the largest window, is somebody guessing.
  if (ack > c.send_next || ack < c.send_una - std::max(c.send_window_largest, 65'535u)) {
    // Answered like data that may wait, so that what comes right behind it is answered with it.
    if (may_challenge(c, now)) c.busy->acknowledge_at = std::min(c.busy->acknowledge_at, after(now, acknowledge_delay));
    return false;
  }
  bool const advanced = ack > c.send_una;
  bool const says_more = h.options.sack_count != 0 || h.has(wire::tcp_ece);
  if (may_predict() && advanced && !says_more &&
      acknowledge_predicted(c, h.sequence, ack, a.window(c.terms.send_scale), now)) {
    schedule(c);
    return true;
  }
  c.disturb();
  if (c.probe_moves) settle_probe(c);
  bool const window_changed = a.window(c.terms.send_scale) != c.send_window;
  bool const was_outstanding = !c.busy->flight.empty();
  acknowledged got;
  got.ambiguous_after = now - c.trip.minimum;
  if (c.terms.sack && h.options.sack_count != 0) {
    std::size_t first = 0;
    if (is_duplicate_report(h)) {
      got.duplicate_reported = true;
      first = 1;
    }
    for (auto i = first; i < h.options.sack_count; ++i) {
      auto const& block = h.options.sack[i];
      if (block.left < block.right && block.left >= c.send_una && block.right <= c.send_next) {
        c.busy->flight.sack(block.left, block.right, c.segment_bytes(), limits.sack_ranges, got);
        if (got.ranges_full) ++counters.sack_ranges_full;
      }
    }
  }
  if (c.terms.ecn && h.has(wire::tcp_ece) && !h.has(wire::tcp_syn)) congestion_mark(c, now);
  if (advanced) {
    c.send_una = ack;
    made_progress(c, now);
    c.busy->flight.acknowledge_to(ack, got);
    c.busy->send.acknowledge_to(std::min(ack, c.busy->send.end()));
    c.backoff = 0;
    c.more_follows = false;
    if (c.mtu_probe_out && ack >= c.rare().mtu_probe_end) mtu_probe_arrived(c, now);
    c.busy->stalled_since = c.busy->send.size() != 0 || c.outstanding() != 0 ? now : never;
    if (c.writer_waits && c.busy->send.size() * 3 <= std::uint64_t{c.send_buffer()} * 2) {
      c.writer_waits = false;
      notify(c, ready_to_write);
    }
  }
  c.probes = 0;
  if (got.has_sample) {
    c.trip.sample(now - got.sample_sent_at);
    if (c.control.in_slow_start()) {
      c.chosen->leave_slow_start_slowly ? c.control.measure(c.trip.latest, c.send_una, c.send_next)
                                       : c.control.measure_at_once(c.trip.latest, c.trip.minimum, c.send_una,
                                                                   c.send_next, c.segment_bytes());
    }
  } else if (advanced && got.retransmission_delivered && c.terms.timestamps && h.options.timestamps) {
    // Which transmission it answers, the echo says (RFC 7323 4.1); good to a millisecond.
    auto const elapsed = timestamp(c.timestamp_offset, now) - h.options.timestamps->echo;
    if (elapsed < 1'000'000) c.trip.sample(std::max<duration>(1ms, elapsed * duration(1ms)));
  }
  update_window(c, a);
  bool const repeats =
      !advanced && a.length() == 0 && !window_changed && was_outstanding && ack == c.send_una;
  if (repeats && c.duplicate_acks < 255) ++c.duplicate_acks;
  if (!was_outstanding) {
    c.duplicate_acks = 0;
  } else if (advanced || repeats || got.sacked_bytes != 0 || got.duplicate_reported) {
    if (!c.terms.sack && repeats) got.sacked_bytes = c.segment_bytes();  // each stands for one that arrived
    after_acknowledgment(c, got, advanced, h, now);
  }
  schedule(c);
  return true;
}

}  // namespace morgana::net::tcp
