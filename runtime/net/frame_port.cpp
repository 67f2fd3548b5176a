#include "morgana/net/frame_port.hpp"

namespace morgana::net {

void frame_port::frames_came() {
  while (auto* const first = static_cast<frame_receive*>(readers.first())) {
    if (!first->attempt()) return;
    first->complete();
  }
}

[[gnu::noinline]] bool frame_port::can_send_unusual(segment const& frame) {
  auto good = frame.size() >= ethernet_bytes && (frame.checksum != checksum_state::partial || as.transmit_checksum);
  switch (frame.gso_kind) {
    case segmentation::none: good = good && frame.size() <= as.mtu_bytes + ethernet_bytes + vlan_bytes; break;
    case segmentation::tcp_v4: good = good && as.segmentation_tcp_v4; break;
    case segmentation::tcp_v6: good = good && as.segmentation_tcp_v6; break;
    case segmentation::udp: good = good && as.segmentation_udp; break;
  }
  if (!good) ++counters.dropped_sent;
  return good;
}

}  // namespace morgana::net
