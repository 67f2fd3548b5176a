// The hash by which values of key-value stores are told apart (entity tags). 64 bits, no secret, no security:
// whoever chooses the contents can make two that collide.
//
// FNV-1a over the bytes (Fowler, Noll, Vo: the 64-bit prime and offset), then the length, then the finalizer
// of MurmurHash3 (Appleby), so that short values spread over all bits. The driver computes it at build time
// for embedded files and includes this header too: it needs nothing of a runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace morgana::storage {

class content_hasher {
 public:
  constexpr void add(std::span<std::byte const> bytes) {
    for (auto const byte : bytes) step(static_cast<std::uint8_t>(byte));
    length_ += bytes.size();
  }
  constexpr void add(std::span<unsigned char const> bytes) {
    for (auto const byte : bytes) step(byte);
    length_ += bytes.size();
  }
  [[nodiscard]] constexpr std::uint64_t value() const {
    auto mixed = state_ ^ length_;
    mixed = (mixed ^ mixed >> 33) * 0xff51'afd7'ed55'8ccdu;
    mixed = (mixed ^ mixed >> 33) * 0xc4ce'b9fe'1a85'ec53u;
    return mixed ^ mixed >> 33;
  }

 private:
  constexpr void step(std::uint8_t byte) { state_ = (state_ ^ byte) * 0x0000'0100'0000'01b3u; }
  std::uint64_t state_ = 0xcbf2'9ce4'8422'2325u;
  std::uint64_t length_ = 0;
};

[[nodiscard]] constexpr std::uint64_t content_hash(std::span<std::byte const> bytes) {
  content_hasher hasher;
  hasher.add(bytes);
  return hasher.value();
}
[[nodiscard]] constexpr std::uint64_t content_hash(std::span<unsigned char const> bytes) {
  content_hasher hasher;
  hasher.add(bytes);
  return hasher.value();
}

}  // namespace morgana::storage
