// What is attached to the domain against what the image's manifest says: by number, since devices of Xen have
// no names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "morgana/core/boot.hpp"

namespace morgana::xen {

/// The first number in xenstore's directory of a kind (device/vif, device/vbd; names each ended by a NUL)
/// that is no device's of the manifest; nothing when all are. What is no number is passed over.
[[nodiscard]] std::optional<std::uint32_t> extra_device(std::span<manifest_entry const> manifest,
                                                        attachment kind, std::string_view directory);

/// The slot of a virtual block device: xvda is 0 (Xen's docs/man/xen-vbd-interface.7.pandoc). Nothing for a
/// partition or another kind of disk.
[[nodiscard]] std::optional<std::uint32_t> slot_of_disk(std::uint32_t number);

}  // namespace morgana::xen
