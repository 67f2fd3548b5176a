// Bytes of a stream as a chain of slices: what a connection still has to send, what it received in order, and
// each range that it received out of order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

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

/// Where the chains of one engine come from.
struct chunk_source {
  buffer_pool& buffers;
  slab<chunk> nodes{64};
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

  /// Copies into room at the end and into fresh buffers; says how much, less than all when the pool is empty.
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes);
  void append(slice part) {
    if (part.size() == 0) return;
    auto* const added = from_->nodes.take();
    added->size = static_cast<std::uint32_t>(part.size());
    added->memory = std::move(part);
    (last_ == nullptr ? first_ : last_->next) = added;
    last_ = added;
    size_ += added->size;
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
  chunk_source* from_;
  chunk* first_ = nullptr;
  chunk* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace morgana::net::tcp
