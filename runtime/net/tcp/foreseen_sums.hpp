// The sums of segments that have not been made yet.
//
// Who writes much writes what will leave in whole segments, the first of which begins where the last one that was made
// ended. So the copy into our buffers sums each of them on its way (wire::copy_and_sum), and output needs no pass over the
// payload. Where it comes otherwise, with a smaller window, another size of segments, or nothing to foresee, the sum is
// made when the segment is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

class foreseen_sums {
 public:
  /// What is copied next begins at `end`, what has not been sent at `unsent`, and leaves in segments of that size. False:
  /// no sums will be kept of it.
  [[nodiscard]] bool foresee(wire::sequence unsent, wire::sequence end, std::uint32_t segment_bytes);
  /// After foresee(), in order.
  void copy(std::byte* to, std::span<std::byte const> from);
  /// The words of a segment, as they lie in memory, when they were summed; and forgets them and what lies before. New data
  /// alone, in order.
  [[nodiscard]] std::optional<std::uint16_t> take(wire::sequence from, std::uint32_t bytes) {
    if (is_empty() || from < begin_) return std::nullopt;
    if (from == begin_ && whole_ != 0 && bytes == segment_bytes_) [[likely]] {
      auto const sum = sums_[first_];
      first_ = first_ + 1u == sums_.size() ? std::uint8_t{0} : static_cast<std::uint8_t>(first_ + 1);
      --whole_;
      begin_ += bytes;
      return sum;
    }
    return take_last(from, bytes);
  }

 private:
  [[nodiscard]] bool is_empty() const { return (whole_ | last_bytes_) == 0; }
  [[nodiscard]] std::optional<std::uint16_t> take_last(wire::sequence from, std::uint32_t bytes);

  wire::sequence begin_;             ///< of the first that is known
  std::uint32_t segment_bytes_ = 0;
  std::uint32_t before_ = 0;         ///< bytes in front of begin_ that are still to be copied
  std::uint32_t last_bytes_ = 0;     ///< of the one that is not whole yet, behind the whole ones
  std::uint32_t last_sum_ = 0;
  std::uint8_t first_ = 0, whole_ = 0;
  /// For 64 KiB that wait; of what is written beyond them no sums are kept.
  std::array<std::uint16_t, 46> sums_;
};

}  // namespace morgana::net::tcp
