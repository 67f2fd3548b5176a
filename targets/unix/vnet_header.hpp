// The virtio-net header (Virtual I/O Device 1.2, 5.1.6) as it stands before each frame of a tap interface, in
// native byte order, without its later extensions. Linux's own header is C that C++ cannot read.
#pragma once

#include <cstdint>

namespace morgana::hosted {

struct vnet_header {
  static constexpr std::uint8_t needs_checksum = 1;   ///< flags: complete the sum at checksum_start
  static constexpr std::uint8_t data_valid = 2;       ///< flags: the sum was verified
  static constexpr std::uint8_t segments_none = 0;    ///< segmentation kinds
  static constexpr std::uint8_t segments_tcp_v4 = 1;
  static constexpr std::uint8_t segments_tcp_v6 = 4;
  static constexpr std::uint8_t segments_udp = 5;
  static constexpr std::uint8_t segments_ecn = 0x80;  ///< or-ed to a kind: the flow uses ECN

  std::uint8_t flags = 0;
  std::uint8_t segmentation_kind = 0;
  std::uint16_t header_bytes = 0;
  std::uint16_t segment_bytes = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(vnet_header) == 10);

}  // namespace morgana::hosted
