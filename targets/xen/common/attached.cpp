#include "attached.hpp"

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

// Once a boot: every image of Xen's carries this, so it is short rather than fast.
[[clang::minsize]] std::optional<std::uint32_t> extra_device(std::span<manifest_entry const> manifest,
                                                             attachment kind, std::string_view directory) {
  constexpr std::uint64_t number_max = UINT32_MAX;
  std::uint64_t number = 0;
  auto is_number = false;
  for (std::size_t i = 0; i <= directory.size(); ++i) {
    if (i < directory.size() && directory[i] != '\0') {
      auto const digit = static_cast<unsigned>(directory[i] - '0');
      is_number =
          (is_number || i == 0 || directory[i - 1] == '\0') && digit < 10 && number <= number_max / 10;
      number = number * 10 + digit;
      continue;
    }
    auto const name = static_cast<std::uint32_t>(number);
    auto const was_number = is_number && number <= number_max;
    number = 0;
    is_number = false;
    if (!was_number) continue;
    auto const slot = kind == attachment::disk ? slot_of_disk(name) : std::optional(name);
    if (!slot || name_of_slot(manifest, kind, *slot).empty()) return name;
  }
  return std::nullopt;
}

}  // namespace morgana::xen
