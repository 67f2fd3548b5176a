// A heap in memory that its owner gives it: what malloc is made of on targets that have no system below them.
//
// Two-level segregated fit (Masmano, Ripoll, Crespo and Real, ECRTS 2004): free blocks stand in lists by size
// class, 16 classes in each power of two; two levels of bitmaps find a list that holds a block large enough.
// Every operation is bounded, neighbours are joined, and a block costs 16 bytes. The last few blocks that were given back are
// kept as they are, because who takes and gives all the time asks for the same sizes again. Memory is touched
// only as it is handed out, from low addresses on, and how far is known: who may hand out what was never touched
// need not clear it (take_aligned).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "morgana/core/platform.hpp"

namespace morgana {

namespace segregated_heap_detail {

inline constexpr std::size_t alignment = 16;
inline constexpr std::size_t header_bytes = 16;
inline constexpr std::size_t payload_bytes_min = 16;
inline constexpr unsigned second_bits = 4;
inline constexpr unsigned classes = 1u << second_bits;
/// Below this size each class is one size: 16, 32, ... 240.
inline constexpr std::size_t small_bytes = alignment * classes;
inline constexpr unsigned small_bits = 8;
inline constexpr unsigned levels = 40;

inline constexpr std::size_t is_free = 1;
/// Given back, and in no list yet.
inline constexpr std::size_t is_kept = 2;
inline constexpr std::size_t kept_blocks = 6;

/// In front of every payload. The blocks of the arena are gapless; the last one has size 0 and is in use.
struct block {
  std::size_t size_and_state;  ///< of the payload; a multiple of 16, and is_free or is_kept
  block* below;                ///< the block before this one in memory
  block* next;                 ///< of a free one only: in its list
  block* previous;

  /// Of the arena's last one, in place of `next`: from here to it nothing was written since the arena was added.
  [[nodiscard]] std::byte*& untouched() { return *reinterpret_cast<std::byte**>(payload()); }
  [[nodiscard]] bool is_last() const { return size_and_state == 0; }

  [[nodiscard]] std::size_t size() const { return size_and_state & ~(alignment - 1); }
  [[nodiscard]] bool free() const { return (size_and_state & is_free) != 0; }
  [[nodiscard]] bool was_given() const { return (size_and_state & (is_free | is_kept)) != 0; }
  [[nodiscard]] std::byte* payload() { return reinterpret_cast<std::byte*>(this) + header_bytes; }
  [[nodiscard]] block* above() { return reinterpret_cast<block*>(payload() + size()); }
  [[nodiscard]] static block* of(void* payload) {
    return reinterpret_cast<block*>(static_cast<std::byte*>(payload) - header_bytes);
  }
};

struct size_class {
  unsigned level, second;
};

inline size_class class_of(std::size_t size) {
  if (size < small_bytes) return {.level = 0, .second = static_cast<unsigned>(size / alignment)};
  auto const width = static_cast<unsigned>(std::bit_width(size));
  return {.level = width - small_bits,
          .second = static_cast<unsigned>(size >> (width - 1 - second_bits)) & (classes - 1)};
}

/// The smallest class whose every block has `size`.
inline size_class class_for(std::size_t size) {
  if (size >= small_bytes) {
    auto const width = static_cast<unsigned>(std::bit_width(size));
    size += (std::size_t{1} << (width - 1 - second_bits)) - 1;
  }
  return class_of(size);
}

}  // namespace segregated_heap_detail

/// `Usage` has members used_bytes and peak_bytes, which the heap keeps up to date for whoever watches.
template <class Usage>
class segregated_heap {
 public:
  static constexpr std::size_t alignment = segregated_heap_detail::alignment;
  using block = segregated_heap_detail::block;

  constexpr segregated_heap() = default;
  segregated_heap(segregated_heap const&) = delete;
  segregated_heap& operator=(segregated_heap const&) = delete;

  /// `usage` lives as long as the heap.
  void start(Usage* usage) { usage_ = usage; }

  /// Adds memory: aligned to 16 bytes, 64 bytes or more, and next to none that was added before.
  void add(void* arena, std::size_t bytes) {
    bytes &= ~(alignment - 1);
    limit_ += bytes;
    auto* const first = static_cast<block*>(arena);
    first->below = nullptr;
    first->size_and_state = bytes - sizeof(block) - header_bytes;
    auto* const last = first->above();
    last->size_and_state = 0;
    last->below = first;
    last->untouched() = reinterpret_cast<std::byte*>(first + 1);
    insert(first);
  }

  /// All memory that was added.
  [[nodiscard]] std::size_t limit() const { return limit_; }

  /// Null when no free block is large enough.
  [[nodiscard]] void* take(std::size_t bytes) {
    if (bytes > limit_) return nullptr;
    auto const size =
        bytes < payload_bytes_min ? payload_bytes_min : (bytes + alignment - 1) & ~(alignment - 1);
    if (auto* const kept = take_kept(size, alignment); kept != nullptr) return kept->payload();
    auto const wanted = segregated_heap_detail::class_for(size);
    auto* found = find(wanted);
    if (found == nullptr) {
      let_go();
      found = find(wanted);
      if (found == nullptr) return nullptr;
    }
    hand_out(found, size);
    return found->payload();
  }

  /// A block whose payload begins at a multiple of `align`, a power of two. `touched`, where somebody asks: how many of
  /// its first bytes may have been written since add(); those behind them never were.
  [[nodiscard]] void* take_aligned(std::size_t align, std::size_t bytes, std::size_t* touched = nullptr) {
    if (align < alignment) align = alignment;
    if (align > limit_ || bytes > limit_) return nullptr;
    auto const size =
        bytes < payload_bytes_min ? payload_bytes_min : (bytes + alignment - 1) & ~(alignment - 1);
    if (auto* const kept = take_kept(size, align); kept != nullptr) {
      if (touched != nullptr) *touched = bytes;
      return kept->payload();
    }
    // Room in front for a block of its own, which stays free.
    auto const spare = align == alignment ? 0 : align + header_bytes;
    auto const wanted = segregated_heap_detail::class_for(size + spare);
    auto* found = find(wanted);
    if (found == nullptr) {
      let_go();
      found = find(wanted);
      if (found == nullptr) return nullptr;
    }
    auto const begin = reinterpret_cast<std::uintptr_t>(found->payload());
    if (begin % align != 0) {
      auto const in_front = (begin + header_bytes + payload_bytes_min + align - 1) / align * align - begin;
      auto const whole = found->size();
      remove(found);
      auto* const aligned = block::of(found->payload() + in_front);
      found->size_and_state = in_front - header_bytes;
      insert(found);
      aligned->below = found;
      aligned->size_and_state = whole - in_front;
      aligned->above()->below = aligned;
      insert(aligned);
      found = aligned;
    }
    auto const before = untouched_from(found);
    hand_out(found, size);
    auto* const payload = found->payload();
    if (touched != nullptr) {
      auto const used = before <= payload ? sizeof(block) - header_bytes : static_cast<std::size_t>(before - payload);
      *touched = used < bytes ? used : bytes;
    }
    return payload;
  }

  /// Takes a block back; platform::crash() when it is free already.
  void give(void* payload) {
    auto* one = block::of(payload);
    if (one->was_given()) {
      platform::crash(platform::crash_reason::assertion, "free() of memory that is free already");
    }
    usage_->used_bytes -= one->size() + header_bytes;
    // In place of the one that was kept longest.
    auto& place = kept_[kept_next_];
    kept_next_ = kept_next_ + 1 == segregated_heap_detail::kept_blocks ? 0 : kept_next_ + 1;
    if (place != nullptr) release(place);
    one->size_and_state |= segregated_heap_detail::is_kept;
    place = one;
  }

  /// What a block can hold, which may be more than was asked for.
  [[nodiscard]] static std::size_t size_of(void* payload) { return block::of(payload)->size(); }

  /// Grows or shrinks in place; false when there is no room above.
  [[nodiscard]] bool resize(void* payload, std::size_t bytes) {
    auto* const one = block::of(payload);
    if (bytes > limit_) return false;
    auto const size =
        bytes < payload_bytes_min ? payload_bytes_min : (bytes + alignment - 1) & ~(alignment - 1);
    if (one->size() < size) {
      auto* const above = one->above();
      if ((above->size_and_state & segregated_heap_detail::is_kept) != 0) let_go();
      if (!above->free() || one->size() + header_bytes + above->size() < size) return false;
      remove(above);
      auto const before = one->size();
      one->size_and_state = one->size() + header_bytes + above->size();
      one->above()->below = one;
      count(one->size() - before);
      touch(one->above(), one->payload() + size + sizeof(block));
    }
    trim(one, size);
    return true;
  }

 private:
  static constexpr auto header_bytes = segregated_heap_detail::header_bytes;
  static constexpr auto payload_bytes_min = segregated_heap_detail::payload_bytes_min;
  static constexpr auto levels = segregated_heap_detail::levels;
  static constexpr auto classes = segregated_heap_detail::classes;
  static constexpr auto is_free = segregated_heap_detail::is_free;

  /// One of that size, at a multiple of `align`, that was given back lately; or null.
  [[nodiscard]] block* take_kept(std::size_t size, std::size_t align) {
    for (auto& kept : kept_) {
      if (kept == nullptr || kept->size_and_state != (size | segregated_heap_detail::is_kept)) continue;
      if (reinterpret_cast<std::uintptr_t>(kept->payload()) % align != 0) continue;
      auto* const found = kept;
      kept = nullptr;
      found->size_and_state = size;
      count(size + header_bytes);
      return found;
    }
    return nullptr;
  }
  /// Makes a block that is kept one that is free.
  void release(block* kept) {
    kept->size_and_state = kept->size();
    insert(join(kept));
  }
  /// All that is kept, for who needs it whole.
  void let_go() {
    for (auto& kept : kept_) {
      if (kept != nullptr) release(kept);
      kept = nullptr;
    }
  }

  void count(std::size_t bytes) {
    usage_->used_bytes += bytes;
    if (usage_->used_bytes > usage_->peak_bytes) usage_->peak_bytes = usage_->used_bytes;
  }

  [[nodiscard]] block* find(segregated_heap_detail::size_class wanted) {
    if (wanted.level >= levels) return nullptr;
    auto seconds = second_map_[wanted.level] & (~0u << wanted.second);
    if (seconds == 0) {
      auto const above =
          wanted.level + 1 >= levels ? 0 : first_map_ & (~std::uint64_t{0} << (wanted.level + 1));
      if (above == 0) return nullptr;
      wanted.level = static_cast<unsigned>(std::countr_zero(above));
      seconds = second_map_[wanted.level];
    }
    return lists_[wanted.level][std::countr_zero(seconds)];
  }

  /// Makes a free block one in use; what is left of it stays free.
  void hand_out(block* one, std::size_t size) {
    auto const whole = one->size();
    auto* const end = one->above();
    if (whole - size < header_bytes + payload_bytes_min) {
      remove(one);
      touch(end, reinterpret_cast<std::byte*>(end));
    } else {
      auto const rest_size = whole - size - header_bytes;
      auto const [level, second] = segregated_heap_detail::class_of(whole);
      auto const [rest_level, rest_second] = segregated_heap_detail::class_of(rest_size);
      auto const stays = level == rest_level && second == rest_second;
      if (!stays) remove(one);
      auto* const rest = reinterpret_cast<block*>(one->payload() + size);
      rest->size_and_state = rest_size;
      rest->below = one;
      end->below = rest;
      if (stays) {
        // In the same place of the same list.
        rest->size_and_state |= is_free;
        rest->next = one->next;
        rest->previous = one->previous;
        if (rest->next != nullptr) rest->next->previous = rest;
        (rest->previous == nullptr ? lists_[level][second] : rest->previous->next) = rest;
      } else {
        insert(rest);
      }
      one->size_and_state = size;
      touch(end, reinterpret_cast<std::byte*>(rest + 1));
    }
    count(one->size() + header_bytes);
  }

  /// Memory below `to` is written by whom it is handed out to; `above` is behind the block that it is of.
  static void touch(block* above, std::byte* to) {
    if (!above->is_last()) return;
    auto* const end = reinterpret_cast<std::byte*>(above);
    if (to > end) to = end;
    if (to > above->untouched()) above->untouched() = to;
  }

  /// From where on nothing was ever written, of a free block with what free() needs in it.
  [[nodiscard]] static std::byte* untouched_from(block* one) {
    auto* const above = one->above();
    return above->is_last() ? above->untouched() : reinterpret_cast<std::byte*>(above);
  }

  void insert(block* one) {
    auto const [level, second] = segregated_heap_detail::class_of(one->size());
    one->size_and_state |= is_free;
    one->previous = nullptr;
    one->next = lists_[level][second];
    if (one->next != nullptr) one->next->previous = one;
    lists_[level][second] = one;
    second_map_[level] |= 1u << second;
    first_map_ |= std::uint64_t{1} << level;
  }

  void remove(block* one) {
    auto const [level, second] = segregated_heap_detail::class_of(one->size());
    one->size_and_state &= ~is_free;
    if (one->next != nullptr) one->next->previous = one->previous;
    if (one->previous != nullptr) {
      one->previous->next = one->next;
      return;
    }
    lists_[level][second] = one->next;
    if (one->next != nullptr) return;
    second_map_[level] &= ~(1u << second);
    if (second_map_[level] == 0) first_map_ &= ~(std::uint64_t{1} << level);
  }

  /// Joins a block that stands in no list with its free neighbours.
  block* join(block* one) {
    if (auto* const below = one->below; below != nullptr && below->free()) {
      remove(below);
      below->size_and_state = below->size() + header_bytes + one->size();
      one = below;
    }
    if (auto* const above = one->above(); above->free()) {
      remove(above);
      one->size_and_state = one->size() + header_bytes + above->size();
    }
    one->above()->below = one;
    return one;
  }

  /// Keeps `size` of a block; what is left, if a block fits there, becomes free. Gives how much that was.
  std::size_t cut(block* one, std::size_t size) {
    auto const left = one->size() - size;
    if (left < header_bytes + payload_bytes_min) return 0;
    one->size_and_state = size;
    auto* const rest = one->above();
    rest->below = one;
    rest->size_and_state = left - header_bytes;
    rest->above()->below = rest;
    insert(join(rest));
    return left;
  }

  void trim(block* one, std::size_t bytes) {
    auto const size =
        bytes < payload_bytes_min ? payload_bytes_min : (bytes + alignment - 1) & ~(alignment - 1);
    usage_->used_bytes -= cut(one, size);
  }

  std::size_t limit_ = 0;
  Usage* usage_ = nullptr;
  std::uint64_t first_map_ = 0;
  unsigned second_map_[levels]{};
  block* lists_[levels][classes]{};
  block* kept_[segregated_heap_detail::kept_blocks]{};
  unsigned kept_next_ = 0;
};

}  // namespace morgana
