// What is said on the console channel "org.openmirage.entropy.1" (xentropyd's protocol): the guest greets,
// the other side answers with a fixed line, and every byte after that line is randomness. Without I/O: it
// moves bytes between two rings and its caller.
//
// The other side is not trusted to speak the protocol: before its line it may say a little else, as a
// terminal does that echoes the greeting; beyond `skipped_bytes_max` of that, or when a ring is broken,
// nothing is taken from it any more.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "byte_ring.hpp"

namespace morgana::xen {

class entropy_dialogue {
 public:
  static constexpr std::string_view channel_name = "org.openmirage.entropy.1";
  static constexpr std::string_view greeting = "Hello, may I have some entropy?\r\n";
  static constexpr std::string_view answer =
      "You may treat everything following this message as entropy.\r\n";
  static constexpr std::size_t skipped_bytes_max = 512;

  /// Says what is still to be said. True when the other side is to be told.
  [[nodiscard]] bool speak(byte_ring& output);
  /// Takes what has come: how many bytes of randomness of it are in `into` now. The other side is to be told
  /// that there is room again when `was_taken`.
  struct heard {
    std::size_t bytes = 0;
    bool was_taken = false;
  };
  [[nodiscard]] heard listen(byte_ring& input, std::span<std::byte> into);
  /// Nothing will come any more: the other side speaks otherwise, or broke a ring.
  [[nodiscard]] bool is_broken() const { return is_broken_; }

 private:
  std::size_t said_ = 0;     ///< of the greeting
  std::size_t matched_ = 0;  ///< of the answer
  std::size_t skipped_ = 0;
  bool is_broken_ = false;
};

}  // namespace morgana::xen
