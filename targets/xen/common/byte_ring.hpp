// One direction of a ring of bytes in memory that another domain can write, too: the console's and xenstore's
// (io/console.h, io/xs_wire.h).
//
// The other side is not trusted. Its index is read once for each operation and checked; ours is kept here and
// never read back. An index that cannot be breaks the ring for good: nothing is read from it or written to it
// any more.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace morgana::xen {

class byte_ring {
 public:
  constexpr byte_ring() = default;

  /// `bytes` is a power of two long; `ours` and `theirs` count bytes since the ring was made.
  byte_ring(std::span<std::byte> bytes, std::uint32_t& ours, std::uint32_t& theirs)
      : bytes_(bytes),
        ours_(&ours),
        theirs_(&theirs),
        index_(std::atomic_ref(ours).load(std::memory_order_relaxed)) {}

  /// Bytes that were put; fewer than given when the ring is full, 0 when it is broken.
  [[nodiscard]] std::size_t write(std::span<std::byte const> from) {
    auto const used = distance(index_, their_index());
    auto const size = static_cast<std::uint32_t>(std::min<std::size_t>(from.size(), bytes_.size() - used));
    if (is_broken_ || size == 0) return 0;
    copy_pieces(size, [&](std::size_t at, std::size_t done, std::size_t piece) {
      std::memcpy(bytes_.data() + at, from.data() + done, piece);
    });
    advance(size);
    return size;
  }

  /// Bytes that were taken; 0 when there are none, or the ring is broken.
  [[nodiscard]] std::size_t read(std::span<std::byte> into) {
    auto const ready = distance(their_index(), index_);
    auto const size = static_cast<std::uint32_t>(std::min<std::size_t>(into.size(), ready));
    if (is_broken_ || size == 0) return 0;
    copy_pieces(size, [&](std::size_t at, std::size_t done, std::size_t piece) {
      std::memcpy(into.data() + done, bytes_.data() + at, piece);
    });
    advance(size);
    return size;
  }

  [[nodiscard]] bool is_open() const { return ours_ != nullptr; }
  /// Of one that is read: nothing was put since the last look.
  [[nodiscard]] bool is_empty() const { return their_index() == index_; }
  /// The other side's index was impossible.
  [[nodiscard]] bool is_broken() const { return is_broken_; }

 private:
  [[nodiscard]] std::uint32_t their_index() const {
    return std::atomic_ref(*theirs_).load(std::memory_order_acquire);
  }

  std::uint32_t distance(std::uint32_t put, std::uint32_t taken) {
    auto const bytes = put - taken;
    is_broken_ = is_broken_ || bytes > bytes_.size();
    return is_broken_ ? 0 : bytes;
  }

  template <class Copy>
  void copy_pieces(std::uint32_t size, Copy copy) const {
    auto const at = index_ & (bytes_.size() - 1);
    auto const first = std::min<std::size_t>(size, bytes_.size() - at);
    copy(at, 0, first);
    if (first < size) copy(0, first, size - first);
  }

  void advance(std::uint32_t size) {
    index_ += size;
    std::atomic_ref(*ours_).store(index_, std::memory_order_release);
  }

  std::span<std::byte> bytes_;
  std::uint32_t* ours_ = nullptr;
  std::uint32_t* theirs_ = nullptr;
  std::uint32_t index_ = 0;
  bool is_broken_ = false;
};

}  // namespace morgana::xen
