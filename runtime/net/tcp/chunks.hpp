// Bytes of a stream as a chain of slices: what a connection still has to send, what it received in order, and
// each range that it received out of order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "foreseen_sums.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/segment.hpp"
#include "slab.hpp"

namespace morgana::net::tcp {

struct chunk {
  slice memory;             ///< may be more than is used: the room behind is filled by what is appended next
  std::uint32_t begin = 0;  ///< of the used bytes, within memory
  std::uint32_t size = 0;
  chunk* next = nullptr;

  [[nodiscard]] std::span<std::byte const> bytes() const { return memory.bytes().subspan(begin, size); }
  [[nodiscard]] std::size_t room() const { return memory.size() - begin - size; }
};

/// Where the chains of one engine come from, what it sends and what it received each.
struct chunk_source {
  buffer_pool& buffers;
  std::size_t pieces_max = SIZE_MAX;
  slab<chunk> nodes{64};

  /// Each counts as a page, whatever device it came from.
  static constexpr std::size_t piece_bytes = 4096;
  [[nodiscard]] bool is_full() const { return nodes.used() >= pieces_max; }
  [[nodiscard]] bool is_crowded() const { return nodes.used() > pieces_max / 2; }
  [[nodiscard]] std::size_t bytes_left() const {
    return (pieces_max - std::min(pieces_max, nodes.used())) * piece_bytes;
  }
};

class chunk_list {
 public:
  explicit chunk_list(chunk_source& from) : from_(&from) {}
  chunk_list(chunk_list const&) = delete;
  chunk_list& operator=(chunk_list const&) = delete;
  ~chunk_list() { clear(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] chunk* front() const { return first_; }
  [[nodiscard]] chunk* back() const { return last_; }

  /// Copies into room at the end and into fresh buffers, with `sums` when there are some; says how much, less than all when
  /// the pool is empty.
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes, foreseen_sums* sums = nullptr);
  void append(slice part) { append_from(part); }
  /// The same, moved from where it is; left there when the source is full. What follows on the last piece in its buffer
  /// becomes one with it.
  [[gnu::always_inline]] void append_from(slice& part) {
    if (!join(part)) append_piece(part);
  }
  /// False, and nothing done, when it does not follow on the last piece.
  [[nodiscard, gnu::always_inline]] bool join(slice& part) {
    auto const size = static_cast<std::uint32_t>(part.size());
    if (last_ == nullptr || last_->room() != 0 || !last_->memory.join(part)) return false;
    last_->size += size;
    size_ += size;
    return true;
  }
  [[gnu::always_inline]] void append_piece(slice& part) {
    auto const size = static_cast<std::uint32_t>(part.size());
    if (size == 0) [[unlikely]]
      return part.reset();
    if (is_refused()) [[unlikely]]
      return;
    size_ += size;
    auto* const added = from_->nodes.take();
    added->size = size;
    added->memory = std::move(part);
    (last_ == nullptr ? first_ : last_->next) = added;
    last_ = added;
    ++count_;
  }
  /// Whether a further buffer of that size, with `bytes` in it, leaves this holding four times its bytes at most.
  [[nodiscard]] bool may_hold(std::size_t bytes) const {
    return (std::size_t{count_} + 1) * from_->buffers.buffer_bytes() <= 4 * (size_ + bytes);
  }
  /// In front of all: for a range that grows to the left.
  void prepend(slice part);
  /// All of `other` goes behind all of this.
  void append(chunk_list& other);
  void drop_front(std::size_t bytes);
  void clear();
  /// Copies from the front and drops what was copied; says how much.
  [[nodiscard]] std::size_t take_out(std::span<std::byte> into);

 private:
  /// Nobody is left with nothing: a few pieces of each are taken whatever there is.
  static constexpr std::uint32_t pieces_always = 2;
  [[nodiscard]] bool is_refused() const { return from_->is_full() && count_ >= pieces_always; }
  void drop_first() {
    auto* const gone = first_;
    first_ = gone->next;
    if (first_ == nullptr) last_ = nullptr;
    --count_;
    from_->nodes.give(gone);
  }
  chunk_source* from_;
  chunk* first_ = nullptr;
  chunk* last_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t count_ = 0;  ///< of pieces, each of which keeps a buffer from its pool
};

}  // namespace morgana::net::tcp
