// The pcapng capture format (draft-ietf-opsawg-pcapng), as far as one interface of Ethernet frames needs it:
// a section header, an interface description, an enhanced packet block per frame. Times are nanoseconds,
// numbers little-endian whatever the machine, so that the same frames give the same bytes.
//
// A block is given as what stands before the frame's bytes and what stands behind them: the frame itself is
// not copied.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/time.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::net {

enum class capture_direction : std::uint8_t { unknown = 0, inbound = 1, outbound = 2 };

/// How a file begins: a section of one interface.
class pcapng_head {
 public:
  static constexpr std::size_t name_bytes_max = 64;  ///< of the interface; longer ones are cut

  pcapng_head(std::string_view interface_name, std::uint32_t snap_bytes);
  [[nodiscard]] std::span<std::byte const> bytes() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, 256> bytes_{};
  std::size_t size_ = 0;
};

/// One frame. A super-packet, and one whose checksum is left to the device, are written as they are, and a
/// comment says so.
class pcapng_packet {
 public:
  /// `kept` bytes of the frame will stand between before() and behind(); `at` counts from 1970.
  pcapng_packet(segment const& frame, std::size_t kept, capture_direction direction, duration at);
  [[nodiscard]] std::span<std::byte const> before() const { return before_; }
  [[nodiscard]] std::span<std::byte const> behind() const { return {behind_.data(), behind_size_}; }
  /// Of the whole block.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t comment_bytes_max = 96;
  std::array<std::byte, 28> before_{};
  std::array<std::byte, 3 + 8 + 4 + comment_bytes_max + 4 + 4> behind_{};
  std::size_t behind_size_ = 0, size_ = 0;
};

}  // namespace morgana::net
