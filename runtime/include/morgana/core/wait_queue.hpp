// Waiting with a deadline, in a queue: what event, channel, semaphore and a target's devices are made of.
//
// A waiter is an awaiter that lives in the waiting coroutine's frame. It stands in at most one wait_queue;
// whoever owns the queue takes the first waiter out and calls complete(). When its deadline comes first it
// leaves the queue and timed_out() is true. When its frame is destroyed it leaves the queue too, so nobody
// can complete a waiter that is gone.
#pragma once

#include <coroutine>

#include "morgana/core/task.hpp"
#include "morgana/core/time.hpp"

namespace morgana {

class wait_queue;

class waiter : public operation, private timer_node {
 public:
  waiter() = default;

  /// Leaves its queue, disarms its deadline and makes the coroutine ready to go on.
  void complete();
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] bool is_waiting() const { return in_ != nullptr; }

 protected:
  /// Waits at the end of `queue`. A deadline that has passed still goes through the ready queue once.
  template <std::derived_from<promise_base> Promise>
  void wait(std::coroutine_handle<Promise> waiting, wait_queue& queue, instant deadline) {
    operation::suspend(waiting);
    enter(queue, deadline);
  }
  ~waiter() { leave(); }

 private:
  friend class wait_queue;
  friend class timed_wait_queue;
  void enter(wait_queue& queue, instant deadline);
  void leave();
  void expired() override;

  wait_queue* in_ = nullptr;
  waiter* next_ = nullptr;
  waiter* previous_ = nullptr;
  instant until_ = never;  ///< in a queue that has the timer
  bool timed_out_ = false;
};

/// First come, first served. Must outlive its waiters, or be emptied: its destructor does not resume them.
class wait_queue {
 public:
  wait_queue() = default;
  wait_queue(wait_queue const&) = delete;
  wait_queue& operator=(wait_queue const&) = delete;
  ~wait_queue();

  [[nodiscard]] bool is_empty() const { return first_ == nullptr; }
  [[nodiscard]] waiter* first() const { return first_; }
  /// Completes the first waiter; false when there is none.
  bool complete_first();
  /// Completes those that wait now.
  void complete_all();

 protected:
  explicit wait_queue(timer_node& shared) : shared_timer_(&shared) {}

 private:
  friend class waiter;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
  timer_node* shared_timer_ = nullptr;
};

/// One timer for all that wait in it. It stays armed when they go, and is moved on when it goes off too early: for who waits
/// again and again with a deadline that only moves away, as a connection's reader does, waiting costs no timer then.
/// Where many wait at once, each deadline that comes looks at all of them.
class timed_wait_queue final : public wait_queue, private timer_node {
 public:
  timed_wait_queue() : wait_queue(static_cast<timer_node&>(*this)) {}
  /// When nobody waits, and nobody will for long.
  void rest() { disarm(); }

 private:
  void expired() override;
};

}  // namespace morgana
