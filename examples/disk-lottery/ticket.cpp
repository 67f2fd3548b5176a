#include "ticket.hpp"

#include <algorithm>
#include <array>

namespace lottery {
namespace {

constexpr std::array<std::byte, 4> magic = {std::byte{'L'}, std::byte{'O'}, std::byte{'T'}, std::byte{'O'}};

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? value >> 1 ^ 0xedb88320u : value >> 1;
    table[i] = value;
  }
  return table;
}();

void put(std::span<std::byte> into, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) into[i] = static_cast<std::byte>(value >> (24 - 8 * i));
}

std::uint32_t get(std::span<std::byte const> from) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint32_t>(from[i]);
  return value;
}

}  // namespace

std::uint32_t crc32(std::span<std::byte const> bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (auto const one : bytes) crc = crc >> 8 ^ crc_table[(crc ^ static_cast<std::uint32_t>(one)) & 0xff];
  return ~crc;
}

void write_ticket(std::span<std::byte> sector, std::uint32_t score) {
  std::ranges::fill(sector, std::byte{0});
  std::ranges::copy(magic, sector.begin());
  put(sector.subspan(4), score);
  put(sector.subspan(8), crc32(sector.first(8)));
}

std::expected<std::uint32_t, slot_error> read_ticket(std::span<std::byte const> sector) {
  auto const is_zero = [](std::byte one) { return one == std::byte{0}; };
  if (std::ranges::all_of(sector, is_zero)) return 0;
  if (!std::ranges::equal(sector.first(4), magic) || !std::ranges::all_of(sector.subspan(ticket_bytes), is_zero)) {
    return std::unexpected(slot_error::not_a_ticket);
  }
  if (get(sector.subspan(8)) != crc32(sector.first(8))) return std::unexpected(slot_error::wrong_checksum);
  return get(sector.subspan(4));
}

}  // namespace lottery
