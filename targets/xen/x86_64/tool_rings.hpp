// The two rings of bytes in a page that Xen's tools gave the guest, and the port that tells of both: the console's and
// xenstore's. Private to targets/xen/x86_64.
#pragma once

#include "../common/byte_ring.hpp"
#include "hypervisor.hpp"

namespace morgana::xen {

struct tool_rings {
  byte_ring to, from;
  event_port port = 0;

  /// Events interrupt from here on.
  void open(byte_ring out, byte_ring in, event_port by) {
    to = out;
    from = in;
    port = by;
    hypervisor::unmask(by);
  }
  [[nodiscard]] bool is_open() const { return to.is_open(); }
  void notify() const { hypervisor::send_event(port); }
};

}  // namespace morgana::xen
