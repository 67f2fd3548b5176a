// Block devices: sectors by number. One behaviour on every target: any length that is a multiple of the
// sector, any alignment of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/error.hpp"

namespace morgana {

struct block_information {
  std::uint32_t sector_bytes = 512;
  std::uint64_t sectors = 0;
  bool read_only = false;
};

/// read() and write() move whole spans from `sector` on: storage_error::out_of_range and misaligned are said
/// before anything is moved. flush() returns when all that was written before is on stable storage.
template <class D>
concept block_device = requires(D& device, std::uint64_t sector, std::span<std::byte> into,
                                std::span<std::byte const> from) {
  { device.information() } -> std::same_as<block_information>;
  { device.read(sector, into) } -> awaitable_of<result<void>>;
  { device.write(sector, from) } -> awaitable_of<result<void>>;
  { device.flush() } -> awaitable_of<result<void>>;
};

}  // namespace morgana
