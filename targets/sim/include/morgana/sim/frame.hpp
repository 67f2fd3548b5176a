// One Ethernet frame on its way through a simulated world: bytes of its own, not a reference to a host's
// buffers, because the host may be killed while the frame is under way.
//
// Between a node and its port a frame may be a super-packet or lack its checksum, as net::segment's may; the
// port cuts and completes it (offload.hpp), so that links carry ordinary frames only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::sim {

struct frame {
  std::vector<std::byte> bytes;  ///< from the Ethernet header on, without its checksum
  std::uint16_t gso_size = 0;    ///< as net::segment's
  net::segmentation gso_kind = net::segmentation::none;
  net::checksum_state checksum = net::checksum_state::unchecked;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
  bool is_corrupted = false;  ///< a link changed it; no other will, for two changes might hide from a checksum

  [[nodiscard]] std::size_t size() const { return bytes.size(); }
  void clear() { *this = frame(); }
};

/// Copies a packet out of its host's buffers; `into` keeps its memory.
void copy_from(frame& into, net::segment const& packet);
/// Copies a frame into buffers of `buffers`; false, and `into` empty, when there are not enough.
[[nodiscard]] bool copy_to(net::segment& into, frame const& from, net::buffer_pool& buffers);

}  // namespace morgana::sim
