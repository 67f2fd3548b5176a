// What lies in the slots of a block device's ring (io/blkif.h). The layout is that of a 64-bit processor or
// of an ARM, whose backends are told so by the key "protocol"; 32-bit x86 has another.
//
// Sectors in the ring have 512 bytes, whatever the disk's have.
#pragma once

#include <cstdint>

#include "interface.hpp"

namespace morgana::xen::block_wire {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::uint32_t page_sectors = grant_page_bytes / sector_bytes;

enum class operation : std::uint8_t {
  read = 0,
  write = 1,
  barrier = 2,
  flush = 3,
  discard = 5,
  indirect = 6
};

/// A page, or some sectors of it.
struct segment {
  grant_reference page;
  std::uint8_t first_sector, last_sector;
};
static_assert(sizeof(segment) == 8);
inline constexpr std::size_t page_segments = grant_page_bytes / sizeof(segment);

struct request {
  static constexpr std::size_t segments_max = 11;
  operation what;
  std::uint8_t segment_count;
  std::uint16_t device;
  alignas(8) std::uint64_t id;
  std::uint64_t sector;
  segment segments[segments_max];
};
static_assert(sizeof(request) == 112);

/// Its segments stand in pages of their own.
struct indirect_request {
  static constexpr std::size_t pages_max = 8;
  operation what, inner;
  std::uint16_t segment_count;
  alignas(8) std::uint64_t id;
  std::uint64_t sector;
  std::uint16_t device, reserved;
  grant_reference pages[pages_max];
};
static_assert(sizeof(indirect_request) == 64);

struct discard_request {
  operation what;
  std::uint8_t flags;
  std::uint16_t device;
  alignas(8) std::uint64_t id;
  std::uint64_t sector, sectors;
};
static_assert(sizeof(discard_request) == 32);

struct response {
  static constexpr std::int16_t okay = 0, failed = -1, not_supported = -2;
  alignas(8) std::uint64_t id;
  operation what;
  std::int16_t status;
};
static_assert(sizeof(response) == 16);

/// Bits of the backend's key "info".
inline constexpr std::uint32_t is_read_only = 4;

}  // namespace morgana::xen::block_wire
