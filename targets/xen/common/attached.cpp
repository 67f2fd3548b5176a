#include "attached.hpp"

#include <algorithm>
#include <charconv>

namespace morgana::xen {

std::optional<std::uint32_t> slot_of_disk(std::uint32_t number) {
  constexpr std::uint32_t many = 1u << 28, first = 202 << 8, first_many = 16;
  if ((number & many) != 0) {
    auto const slot = (number & (many - 1)) >> 8;
    return (number & 0xff) == 0 && slot >= first_many ? std::optional(slot) : std::nullopt;
  }
  if ((number & ~std::uint32_t{0xff}) != first || number % 16 != 0) return std::nullopt;
  return (number - first) / 16;
}

std::optional<std::uint32_t> extra_device(std::span<manifest_entry const> manifest, attachment kind,
                                          std::string_view directory) {
  while (!directory.empty()) {
    auto const name = directory.substr(0, std::min(directory.find('\0'), directory.size()));
    directory.remove_prefix(std::min(name.size() + 1, directory.size()));
    std::uint32_t number = 0;
    auto const [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    auto const slot = kind == attachment::disk ? slot_of_disk(number) : std::optional(number);
    if (!slot || name_of_slot(manifest, kind, *slot).empty()) return number;
  }
  return std::nullopt;
}

}  // namespace morgana::xen
