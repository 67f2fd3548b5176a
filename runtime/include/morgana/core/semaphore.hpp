// A number of permits that tasks share: at most so many requests to a back end, so many open files.
//
//   semaphore slots(8);
//   auto permit = co_await slots.acquire(here.now() + 1s);      // result<semaphore::permit>
//   if (!permit) ...                                            // core_error::timed_out
//   // given back when `permit` is destroyed
#pragma once

#include <cstddef>
#include <utility>

#include "morgana/core/result.hpp"
#include "morgana/core/wait_queue.hpp"

namespace morgana {

class semaphore {
 public:
  explicit semaphore(std::size_t permits) : free_(permits) {}
  semaphore(semaphore const&) = delete;
  semaphore& operator=(semaphore const&) = delete;

  class permit {
   public:
    explicit permit(semaphore& of) : of_(&of) {}
    permit(permit&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      std::swap(of_, other.of_);
      return *this;
    }
    ~permit() {
      if (of_ != nullptr) of_->release();
    }

   private:
    semaphore* of_;
  };

  class acquire_operation final : public waiter {
   public:
    acquire_operation(semaphore& of, instant deadline) : of_(&of), deadline_(deadline) {}
    ~acquire_operation() {
      if (granted_) of_->release();  // cancelled after it was woken
    }
    bool await_ready() {
      if (of_->free_ == 0) return false;
      --of_->free_;
      granted_ = true;
      return true;
    }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, of_->waiters_, deadline_);
    }
    result<permit> await_resume() {
      if (!std::exchange(granted_, false)) return failure(core_error::timed_out);
      return permit(*of_);
    }

   private:
    friend class semaphore;
    semaphore* of_;
    instant deadline_;
    bool granted_ = false;
  };

  /// Waits for a permit, first come, first served. Error: core_error::timed_out.
  [[nodiscard]] acquire_operation acquire(instant deadline = never) { return {*this, deadline}; }
  [[nodiscard]] std::size_t free() const { return free_; }

 private:
  void release() {
    if (auto* next = static_cast<acquire_operation*>(waiters_.first())) {
      next->granted_ = true;
      next->complete();
    } else {
      ++free_;
    }
  }

  std::size_t free_;
  wait_queue waiters_;
};

}  // namespace morgana
