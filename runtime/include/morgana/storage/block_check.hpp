// What every block device checks before it moves anything.
#pragma once

#include "morgana/storage/block_device.hpp"

namespace morgana::storage {

enum class transfer : std::uint8_t { read, write };

/// misaligned: `bytes` is no multiple of the sector. out_of_range: the span ends after the last sector.
/// read_only: a write to a device that is. A span of no bytes is allowed up to the end.
[[nodiscard]] result<void> check_transfer(block_information const& device, transfer which, std::uint64_t sector,
                                          std::size_t bytes);

}  // namespace morgana::storage
