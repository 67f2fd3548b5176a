// ICMP errors, believed only as far as RFC 5927 allows: they must quote a number that is in flight, and none
// ends an established connection.
#include <algorithm>

#include "machine.hpp"

namespace morgana::net::tcp {

bool machine::on_icmp(addressing const& quoted, std::uint16_t source_port, std::uint16_t destination_port,
                      std::uint32_t number, engine::soft_error what, std::uint32_t mtu_bytes, instant now) {
  auto* const found = flows.find({quoted.source, quoted.destination, source_port, destination_port});
  if (found == nullptr || found->kind != flow_kind::connection) return false;
  auto& c = static_cast<tcb&>(*found);
  wire::sequence const at{number};
  if (at < c.send_una || at >= c.send_next) return false;  // so that something is under way
  if (what == engine::soft_error::too_big) {
    set_mtu(c, mtu_bytes, now);
    return true;
  }
  // RFC 1122 4.2.3.9 and RFC 5461: hard only while nothing is established; later the timers decide.
  if (c.current != state::syn_sent && c.current != state::syn_received && !c.syn_unacknowledged) return true;
  fail(c, what == engine::soft_error::refused ? net_error::refused : net_error::unreachable);
  return true;
}

void machine::set_mtu(tcb& c, std::uint32_t mtu_bytes, instant now) {
  auto const least = c.key.local.is_v4() ? std::uint32_t{limits.path_mtu_v4_min} : 1'280u;
  auto const mtu = std::max(mtu_bytes, least);
  if (mtu < c.mtu_bytes && c.current == state::syn_sent && c.fast_open_bytes != 0 &&
      c.chosen->fast_open != fast_open::no) {
    // The SYN's data was too much: it goes without, at once (RFC 7413 4.2.1).
    c.own_settings().fast_open = fast_open::no;
    c.want_syn = true;
    return schedule(c);
  }
  if (mtu >= c.mtu_bytes || !c.synchronized()) return;
  c.disturb();
  auto const header = c.key.local.is_v4() ? 40u : 60u;
  c.mtu_bytes = mtu;
  auto const whole = std::min<std::uint32_t>(mtu - header, c.terms.peer_segment_bytes);
  c.segment_bytes_now = whole - (c.terms.timestamps ? 12u : 0u);
  // What was too big is gone, and says nothing of congestion.
  for (auto* one = c.busy->flight.front(); one != nullptr; one = c.busy->flight.next(*one)) {
    if (one->size() > c.segment_bytes()) c.busy->flight.mark_lost(*one);
  }
  if (c.busy->flight.lost_bytes() != 0 && c.phase == recovery_phase::open) {
    c.phase = recovery_phase::mtu;
    c.make_rare().recovery_point = c.send_next;
  }
  schedule(c);
  arm(c, now);
}

}  // namespace morgana::net::tcp
