// What the fuzzers of the network read their choices from, and how they complain.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <span>

namespace fuzz {

/// Says where, since the optimiser joins the calls of abort.
inline void require(bool holds, std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: this does not hold\n", where.file_name(), where.line());
  std::abort();
}

/// Zeros once it is used up.
struct input {
  std::span<std::uint8_t const> bytes;

  [[nodiscard]] bool empty() const { return bytes.empty(); }
  std::uint8_t take() {
    if (bytes.empty()) return 0;
    auto const first = bytes.front();
    bytes = bytes.subspan(1);
    return first;
  }
  std::uint16_t take16() {
    auto const high = take();
    return static_cast<std::uint16_t>(high << 8 | take());
  }
  std::uint32_t take32() {
    auto const high = std::uint32_t{take16()};
    return high << 16 | take16();
  }
  std::span<std::byte const> take_bytes(std::size_t most) {
    auto const taken = bytes.first(std::min(most, bytes.size()));
    bytes = bytes.subspan(taken.size());
    return std::as_bytes(taken);
  }
};

}  // namespace fuzz
