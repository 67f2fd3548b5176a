// What a PVH loader leaves for the guest (Xen's public header arch-x86/hvm/start_info.h).
#pragma once

#include <cstdint>

namespace morgana::xen {

inline constexpr std::uint32_t start_info_magic = 0x336ec578;

struct start_info {
  /// Of `flags` (xen.h, SIF_INITDOMAIN).
  static constexpr std::uint32_t initial_domain = 2;
  std::uint32_t magic, version, flags, module_count;
  std::uint64_t modules, command_line, acpi_root;
  std::uint64_t memory_map;  ///< from version 1 on
  std::uint32_t memory_map_entries, reserved;
};
static_assert(sizeof(start_info) == 56);

struct memory_map_entry {
  static constexpr std::uint32_t ram = 1;
  std::uint64_t address, bytes;
  std::uint32_t type, reserved;
};
static_assert(sizeof(memory_map_entry) == 24);

}  // namespace morgana::xen
