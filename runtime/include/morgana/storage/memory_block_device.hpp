// The "memory" block device: a disk of zeroes that is gone when the guest ends. For tests and scratch space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/block_device.hpp"
#include "morgana/storage/immediate.hpp"

namespace morgana {

class memory_block_device {
 public:
  /// `bytes` is rounded down to whole sectors; a sector is a power of two from 512 to 65536.
  explicit memory_block_device(std::uint64_t bytes, std::uint32_t sector_bytes = 512)
      : sector_bytes_(sector_bytes), bytes_(static_cast<std::size_t>(bytes - bytes % sector_bytes)) {}

  [[nodiscard]] block_information information() const {
    return {.sector_bytes = sector_bytes_, .sectors = bytes_.size() / sector_bytes_, .read_only = read_only_};
  }
  [[nodiscard]] storage::immediate<result<void>> read(std::uint64_t sector, std::span<std::byte> into);
  [[nodiscard]] storage::immediate<result<void>> write(std::uint64_t sector, std::span<std::byte const> from);
  [[nodiscard]] storage::immediate<result<void>> flush() { return result<void>(); }

  /// From now on write() is storage_error::read_only.
  void make_read_only() { read_only_ = true; }

 private:
  std::uint32_t sector_bytes_;
  bool read_only_ = false;
  std::vector<std::byte> bytes_;
};

/// The catalogue's form: the size is a configure choice.
template <std::uint64_t Bytes, std::uint32_t SectorBytes = 512>
class sized_memory_block_device : public memory_block_device {
 public:
  static_assert(SectorBytes >= 512 && SectorBytes <= 65536 && (SectorBytes & (SectorBytes - 1)) == 0,
                "a sector is a power of two from 512 to 65536 bytes");
  sized_memory_block_device() : memory_block_device(Bytes, SectorBytes) {}
  [[nodiscard]] static task<result<sized_memory_block_device>> connect(context&) {
    co_return sized_memory_block_device();
  }
};

}  // namespace morgana
