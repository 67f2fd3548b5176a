// Network byte order: loads and stores at an offset of a span that the caller has checked to be long enough.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace morgana::net::wire {

template <class Integer>
[[nodiscard]] inline Integer load(std::span<std::byte const> bytes, std::size_t offset) {
  Integer value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  if constexpr (std::endian::native == std::endian::little && sizeof value > 1) value = std::byteswap(value);
  return value;
}

template <class Integer>
inline void store(std::span<std::byte> bytes, std::size_t offset, Integer value) {
  if constexpr (std::endian::native == std::endian::little && sizeof value > 1) value = std::byteswap(value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

[[nodiscard]] inline std::uint8_t load8(std::span<std::byte const> bytes, std::size_t offset) {
  return load<std::uint8_t>(bytes, offset);
}
[[nodiscard]] inline std::uint16_t load16(std::span<std::byte const> bytes, std::size_t offset) {
  return load<std::uint16_t>(bytes, offset);
}
[[nodiscard]] inline std::uint32_t load32(std::span<std::byte const> bytes, std::size_t offset) {
  return load<std::uint32_t>(bytes, offset);
}
inline void store8(std::span<std::byte> bytes, std::size_t offset, std::uint8_t value) {
  store(bytes, offset, value);
}
inline void store16(std::span<std::byte> bytes, std::size_t offset, std::uint16_t value) {
  store(bytes, offset, value);
}
inline void store32(std::span<std::byte> bytes, std::size_t offset, std::uint32_t value) {
  store(bytes, offset, value);
}

template <std::size_t Size>
[[nodiscard]] inline std::array<std::uint8_t, Size> load_array(std::span<std::byte const> bytes,
                                                               std::size_t offset) {
  std::array<std::uint8_t, Size> value;
  std::memcpy(value.data(), bytes.data() + offset, Size);
  return value;
}
template <std::size_t Size>
inline void store_array(std::span<std::byte> bytes, std::size_t offset,
                        std::array<std::uint8_t, Size> const& value) {
  std::memcpy(bytes.data() + offset, value.data(), Size);
}

}  // namespace morgana::net::wire
