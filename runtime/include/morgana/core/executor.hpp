// The executor: runs coroutines that are ready, and timers. It never blocks and never reads a clock:
// run_ready(now) runs what can run and says when to call it next; the loop that blocks belongs to the
// target. One executor per guest, one guest per executor, no threads.
//
// Everything that can be run is an intrusive node that lives in its coroutine's frame: making a coroutine
// ready or arming a timer allocates nothing (the timer heap's array grows to the most timers ever armed).
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "morgana/core/time.hpp"

namespace morgana {

class executor;

/// Something the executor can run once. Unlinks itself when destroyed, so a coroutine frame may be
/// destroyed at any time while it is suspended.
class ready_node {
 public:
  ready_node() = default;
  ready_node(ready_node const&) = delete;
  ready_node& operator=(ready_node const&) = delete;
  [[nodiscard]] bool is_ready() const { return previous_ != nullptr; }

 protected:
  ~ready_node() { unlink(); }
  void unlink() {
    if (previous_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }

 private:
  friend class executor;
  virtual void run() = 0;
  ready_node* next_ = nullptr;
  ready_node* previous_ = nullptr;
};

/// Something the executor runs when its time comes. Disarms itself when destroyed.
class timer_node {
 public:
  timer_node() = default;
  timer_node(timer_node const&) = delete;
  timer_node& operator=(timer_node const&) = delete;
  [[nodiscard]] bool is_armed() const { return owner_ != nullptr; }
  [[nodiscard]] instant deadline() const { return deadline_; }
  void disarm() {
    if (owner_ != nullptr) stop();
  }

 protected:
  ~timer_node() { disarm(); }

 private:
  friend class executor;
  virtual void expired() = 0;
  void stop();
  executor* owner_ = nullptr;
  instant deadline_ = never;
  std::uint64_t order_ = 0;  ///< timers of equal deadline expire in the order they were armed
  std::size_t index_ = 0;    ///< place in the heap
};

class executor {
 public:
  /// Nodes run in one call of run_ready before it returns to the platform for events.
  static constexpr std::size_t batch_nodes_max = 256;

  executor();
  executor(executor const&) = delete;
  executor& operator=(executor const&) = delete;
  ~executor();

  /// Puts a node at the end of the ready queue; no effect when it is there already.
  void make_ready(ready_node& node);

  /// Arms (or re-arms) a timer. A deadline of `never` disarms it. O(log armed timers).
  void arm(timer_node& timer, instant deadline);

  /// Runs expired timers, then ready nodes, in order, at most batch_nodes_max of them in all and at most half
  /// of that timers, so that neither starves the other. Returns when to be
  /// called next: `now` when something is still ready, the nearest timer's deadline, or `never`.
  [[nodiscard]] instant run_ready(instant now);

  /// The time given to the run_ready call that is running, or to the last one.
  [[nodiscard]] instant now() const { return now_; }

  [[nodiscard]] std::size_t armed_timers() const { return timer_count_; }
  /// Whether a node waits for its turn. Asked by one that runs, the others are meant.
  [[nodiscard]] bool has_ready() const { return ready_.next_ != &ready_; }

 private:
  friend class timer_node;
  [[nodiscard]] static bool is_before(timer_node const& a, timer_node const& b);
  struct list_head final : ready_node {
    void run() override {}
  };
  void make_room();
  void remove(timer_node& timer);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);

  list_head ready_;
  // A heap. Not a vector: a timer is armed for each wait.
  std::unique_ptr<timer_node*[]> timers_;
  std::size_t timer_count_ = 0, timer_room_ = 0;
  std::uint64_t next_order_ = 0;
  instant now_{};
};

}  // namespace morgana
