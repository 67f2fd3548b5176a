// What lies in the slots of a network device's two rings (io/netif.h), the same for 32 and 64 bits.
#pragma once

#include <cstdint>

#include "interface.hpp"

namespace morgana::xen::net_wire {

/// Of a transmit request.
inline constexpr std::uint16_t sends_blank_checksum = 1, sends_validated = 2, sends_more = 4, sends_extra = 8;
/// Of a receive response.
inline constexpr std::uint16_t came_validated = 1, came_blank_checksum = 2, came_more = 4, came_extra = 8;

/// Largest frame or super-packet: its size is 16 bits of the first request.
inline constexpr std::size_t frame_bytes_max = 65'535;
/// Slots of one frame that every backend takes (XEN_NETIF_NR_SLOTS_MIN), extra information not counted.
inline constexpr std::size_t frame_slots_max = 18;

struct transmit_request {
  grant_reference page;
  std::uint16_t offset, flags, id, size;
};
struct transmit_response {
  static constexpr std::int16_t dropped = -2, failed = -1, okay = 0, none = 1;
  std::uint16_t id;
  std::int16_t status;
};
static_assert(sizeof(transmit_request) == 12 && sizeof(transmit_response) == 4);

struct receive_request {
  std::uint16_t id, reserved;
  grant_reference page;
};
struct receive_response {
  std::uint16_t id, offset, flags;
  std::int16_t status;  ///< size, or an error below 0
};
static_assert(sizeof(receive_request) == 8 && sizeof(receive_response) == 8);

/// In the place of a request or response.
struct extra {
  static constexpr std::uint8_t segmentation = 1, last_kind = 4;
  static constexpr std::uint8_t more = 1;
  static constexpr std::uint8_t tcp_v4 = 1, tcp_v6 = 2;
  std::uint8_t kind, flags;
  // Of segmentation; other kinds are skipped.
  std::uint16_t segment_bytes;
  std::uint8_t protocol, reserved;
  std::uint16_t features;
};
static_assert(sizeof(extra) == 8);

}  // namespace morgana::xen::net_wire
