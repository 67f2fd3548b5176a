// When each connection wants to be woken: a binary heap with one entry per connection. Moving a deadline
// later costs nothing: the entry stays, and when it comes up the connection says when it really wants to be
// woken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "morgana/core/time.hpp"

namespace morgana::net::tcp {

struct timed {
  static constexpr std::uint32_t not_waiting = UINT32_MAX;
  std::uint32_t heap_index = not_waiting;
};

class deadlines {
 public:
  /// Wakes `one` at `when` or earlier.
  [[gnu::always_inline]] void at_latest(timed& one, instant when) {
    // Asked for each segment, and hardly ever earlier than before.
    if (one.heap_index >= heap_.size() || when < heap_.data()[one.heap_index].when) [[unlikely]]
      move_up(one, when);
  }
  /// Whether it will be woken then or before.
  [[nodiscard]] bool has(timed const& one, instant when) const {
    return one.heap_index < heap_.size() && heap_.data()[one.heap_index].when <= when;
  }
  void remove(timed& one) {
    if (one.heap_index == timed::not_waiting) return;
    auto const hole = one.heap_index;
    one.heap_index = timed::not_waiting;
    auto const last = heap_.back();
    heap_.pop_back();
    if (hole == heap_.size()) return;
    put(hole, last);
    sink(hole);
    rise(last.who->heap_index);
  }
  /// When it will be woken at the latest.
  [[nodiscard]] instant of(timed const& one) const {
    return one.heap_index == timed::not_waiting ? never : heap_[one.heap_index].when;
  }
  [[nodiscard]] instant next() const { return heap_.empty() ? never : heap_.front().when; }
  /// Takes out one whose time has come, or null.
  [[nodiscard]] timed* pop(instant now) {
    if (heap_.empty() || heap_.front().when > now) return nullptr;
    auto* const first = heap_.front().who;
    remove(*first);
    return first;
  }

 private:
  struct entry {
    instant when;
    timed* who;
  };
  [[gnu::noinline]] void move_up(timed& one, instant when) {
    if (one.heap_index == timed::not_waiting) {
      one.heap_index = static_cast<std::uint32_t>(heap_.size());
      heap_.push_back({when, &one});
    }
    heap_[one.heap_index].when = when;
    rise(one.heap_index);
  }
  void put(std::size_t at, entry const& what) {
    heap_[at] = what;
    what.who->heap_index = static_cast<std::uint32_t>(at);
  }
  void rise(std::size_t at) {
    auto const moving = heap_[at];
    while (at > 0 && moving.when < heap_[(at - 1) / 2].when) {
      put(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(at, moving);
  }
  void sink(std::size_t at) {
    auto const moving = heap_[at];
    for (;;) {
      auto child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1].when < heap_[child].when) ++child;
      if (!(heap_[child].when < moving.when)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, moving);
  }
  std::vector<entry> heap_;
};

}  // namespace morgana::net::tcp
