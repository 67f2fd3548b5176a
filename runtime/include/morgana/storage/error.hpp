// Errors of block devices and key-value stores.
#pragma once

#include <cstdint>

#include "morgana/core/result.hpp"

namespace morgana::storage {

enum class storage_error : std::uint8_t {
  not_found,          ///< no such key
  out_of_range,       ///< past the end of the device or value
  misaligned,         ///< length or offset is no multiple of the sector
  read_only,
  input_output,       ///< the device said so; detail is the platform's number
  invalid_key,        ///< empty, too long, or with a component "." or ".."
};
[[nodiscard]] error_domain const& domain_of(storage_error);

}  // namespace morgana::storage
