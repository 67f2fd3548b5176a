// Domain names (RFC 1035 3.1) in wire form: labels with their lengths, ending in the root. They compare
// without regard to case (RFC 4343); the case itself is kept, because a resolver checks it (0x20).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "morgana/core/text.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::dns {

class name {
 public:
  static constexpr std::size_t wire_bytes_max = 255;
  static constexpr std::size_t label_bytes_max = 63;
  /// Jumps followed in one name. Every jump goes back, so that a message cannot make a loop; this bounds the
  /// work.
  static constexpr std::size_t pointers_max = 32;

  name() = default;  ///< the root

  /// "www.example.org", with or without the last dot: letters, digits, '-' and '_'. Names in other scripts
  /// come in their ASCII form (RFC 5891). Nothing for anything else.
  [[nodiscard]] static std::optional<name> parse(std::string_view text);
  /// Reads a name of `message` at `offset`, following compression pointers (RFC 1035 4.1.4), and moves
  /// `offset` behind it. Errors: too_short, wrong_length (over 255 bytes), wrong_option (a pointer that does
  /// not go back, too many of them, or a label type of the past).
  [[nodiscard]] static wire::parsed<name> read(std::span<std::byte const> message, std::size_t& offset);

  [[nodiscard]] std::span<std::byte const> wire_bytes() const {
    return std::as_bytes(std::span(bytes_).first(size_));
  }
  /// For changing the case of letters, and nothing else.
  [[nodiscard]] std::span<std::uint8_t> letters() { return std::span(bytes_).first(size_); }
  [[nodiscard]] bool is_root() const { return size_ == 1; }
  [[nodiscard]] std::size_t labels() const;
  /// Equal to `other` or below it.
  [[nodiscard]] bool is_within(name const& other) const;
  /// Every byte the same, case included.
  [[nodiscard]] bool is_identical(name const& other) const;
  /// The same with small letters.
  [[nodiscard]] name folded() const;

  friend bool operator==(name const& a, name const& b);

 private:
  [[nodiscard]] bool append(std::span<std::byte const> label);
  std::array<std::uint8_t, wire_bytes_max> bytes_{};
  std::uint8_t size_ = 1;
};

/// With the escapes of RFC 1035 5.1; the root is ".".
void write_text(text_writer& out, name const& value);

}  // namespace morgana::net::dns
