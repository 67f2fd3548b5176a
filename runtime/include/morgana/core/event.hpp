// An event: a flag that tasks wait for.
//
//   event ready;
//   ready.set();                                        // lets everyone through who waits, now and later
//   auto in_time = co_await ready.wait(here.now() + 1s);    // or core_error::timed_out
//
// And the one every guest has: `co_await stop_requested()` waits until the host asks for an orderly stop,
// so that start() can drain. It has --shutdown-grace to do so, then it is cancelled.
#pragma once

#include <optional>

#include "morgana/core/result.hpp"
#include "morgana/core/wait_queue.hpp"

namespace morgana {

class event {
 public:
  [[nodiscard]] bool is_set() const { return set_; }
  void set() {
    set_ = true;
    waiters_.complete_all();
  }
  void clear() { set_ = false; }
  /// Lets those through who wait now, and nobody later.
  void pulse() { waiters_.complete_all(); }

  class wait_operation final : public waiter {
   public:
    wait_operation(event& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const noexcept { return on_->set_; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->waiters_, deadline_);
    }
    result<void> await_resume() const {
      if (timed_out()) return failure(core_error::timed_out);
      return {};
    }

   private:
    event* on_;
    instant deadline_;
  };
  [[nodiscard]] wait_operation wait(instant deadline = never) { return {*this, deadline}; }

 private:
  bool set_ = false;
  wait_queue waiters_;
};

/// `co_await stop_requested();` Never ends where there is no boot session.
class stop_requested {
 public:
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    event* stop = waiting.promise().context().events().stop;
    if (stop == nullptr) return true;
    if (stop->is_set()) return false;
    inner_.emplace(*stop, never);
    inner_->await_suspend(waiting);
    return true;
  }
  void await_resume() const noexcept {}

 private:
  std::optional<event::wait_operation> inner_;
};

}  // namespace morgana
