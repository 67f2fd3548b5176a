// To wait in a queue until somebody wakes it.
#pragma once

#include <concepts>
#include <coroutine>

#include "morgana/core/task.hpp"
#include "morgana/core/wait_queue.hpp"

namespace morgana::xen {

/// Gives false when nobody woke the queue in time.
class queue_wait final : public waiter {
 public:
  queue_wait(wait_queue& in, instant deadline) : in_(&in), deadline_(deadline) {}
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, *in_, deadline_);
  }
  bool await_resume() const { return !timed_out(); }

 private:
  wait_queue* in_;
  instant deadline_;
};

}  // namespace morgana::xen
