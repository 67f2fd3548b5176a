// Packetization-layer path-MTU discovery (RFC 4821): one segment of data at a time is larger than what is
// known to pass. When it is acknowledged, all are that large; when it alone is lost, it was too large, and
// the window stays as it is (7.6). No ICMP is needed, and none is believed here.
#include <algorithm>

#include "machine.hpp"

namespace morgana::net::tcp {

namespace {
constexpr std::uint32_t search_step_min_bytes = 8;  // nearer than that the search ends (7.3)
constexpr std::uint32_t segments_behind = 4;        // so many follow it, that its loss is found by them
}  // namespace

bool machine::build_mtu_probe(tcb& c, std::uint32_t pending, addressing& between, segment& packet,
                              instant now) {
  if (c.mtu_probe_out || c.phase != recovery_phase::open || c.busy->flight.sacked_bytes() != 0) return false;
  auto const header = (c.key.local.is_v4() ? 40u : 60u) + (c.terms.timestamps ? 12u : 0u);
  auto const path = below.find(c.key.peer);
  if (!path) return false;
  auto const most = std::min<std::uint32_t>(
      path->mtu_bytes, c.terms.peer_segment_bytes + (header - (c.terms.timestamps ? 12u : 0u)));
  auto const high = c.rare().mtu_limit == 0 ? most : std::min(most, c.rare().mtu_limit);
  auto const low = c.rare().mtu_proven == 0 ? c.chosen->probe_mtu_from + header : c.rare().mtu_proven;
  if (high < low + search_step_min_bytes) return false;
  auto const mtu = (low + high) / 2;
  auto const bytes = mtu - header;
  auto const needed = bytes + segments_behind * c.segment_bytes();
  auto const room = (c.send_una + c.send_window) - c.send_next;
  if (bytes <= c.segment_bytes() || pending < needed || room < static_cast<std::int32_t>(needed) ||
      c.in_flight() + bytes > c.control.window) {
    return false;
  }
  auto const ordinary = std::exchange(c.segment_bytes_now, bytes);
  c.make_rare().mtu_probe_begin = c.send_next;
  auto const sent = build_data(c, c.send_next, bytes, nullptr, between, packet, now);
  c.segment_bytes_now = ordinary;
  c.make_rare().mtu_probe_end = c.send_next;
  c.mtu_probe_out = sent == bytes;
  c.disturb();
  c.small_until = c.send_una;
  return sent != 0;
}

/// The search has ended: others that go there need not search again.
void machine::mtu_search_step(tcb& c, instant now) {
  if (c.rare().mtu_proven != 0 && c.rare().mtu_limit != 0 && c.rare().mtu_limit < c.rare().mtu_proven + search_step_min_bytes) {
    below.limit_mtu(c.key.peer, c.rare().mtu_proven, now);
  }
}

void machine::mtu_probe_arrived(tcb& c, instant now) {
  c.mtu_probe_out = false;
  auto const header = (c.key.local.is_v4() ? 40u : 60u) + (c.terms.timestamps ? 12u : 0u);
  auto const bytes = c.rare().mtu_probe_end.value - c.rare().mtu_probe_begin.value;
  c.make_rare().mtu_proven = bytes + header;
  if (c.mtu_bytes < c.rare().mtu_proven) c.mtu_bytes = c.rare().mtu_proven;
  c.segment_bytes_now = std::max(c.segment_bytes_now, bytes);
  mtu_search_step(c, now);
}

bool machine::mtu_probe_failed(tcb& c, instant now) {
  auto const* const front = c.busy->flight.front();
  if (!c.mtu_probe_out || front == nullptr || front->begin != c.rare().mtu_probe_begin || !front->is_lost ||
      c.busy->flight.lost_bytes() != front->size()) {
    return false;
  }
  auto const header = (c.key.local.is_v4() ? 40u : 60u) + (c.terms.timestamps ? 12u : 0u);
  c.make_rare().mtu_limit = (c.rare().mtu_probe_end.value - c.rare().mtu_probe_begin.value) + header - 1;
  c.mtu_probe_out = false;
  mtu_search_step(c, now);
  return true;
}

}  // namespace morgana::net::tcp
