#include "morgana/storage/memory_block_device.hpp"

#include <cstring>

#include "morgana/storage/block_check.hpp"

namespace morgana {

storage::immediate<result<void>> memory_block_device::read(std::uint64_t sector, std::span<std::byte> into) {
  auto checked = storage::check_transfer(information(), storage::transfer::read, sector, into.size());
  if (checked && !into.empty()) std::memcpy(into.data(), bytes_.data() + sector * sector_bytes_, into.size());
  return checked;
}

storage::immediate<result<void>> memory_block_device::write(std::uint64_t sector,
                                                            std::span<std::byte const> from) {
  auto checked = storage::check_transfer(information(), storage::transfer::write, sector, from.size());
  if (checked && !from.empty()) std::memcpy(bytes_.data() + sector * sector_bytes_, from.data(), from.size());
  return checked;
}

}  // namespace morgana
