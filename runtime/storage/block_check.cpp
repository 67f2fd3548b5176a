#include "morgana/storage/block_check.hpp"

namespace morgana::storage {

result<void> check_transfer(block_information const& device, transfer which, std::uint64_t sector,
                            std::size_t bytes) {
  if (which == transfer::write && device.read_only) return failure(storage_error::read_only);
  if (bytes % device.sector_bytes != 0) return failure(storage_error::misaligned, device.sector_bytes);
  auto const sectors = bytes / device.sector_bytes;
  if (sector > device.sectors || sectors > device.sectors - sector) {
    return failure(storage_error::out_of_range, static_cast<std::int64_t>(device.sectors));
  }
  return {};
}

}  // namespace morgana::storage
