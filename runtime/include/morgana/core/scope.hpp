// Scopes: tasks that run side by side and end together.
//
//   scope children = co_await open_scope();
//   children.spawn(serve(connection));           // starts on the executor's next turn
//   auto ended = co_await children.join();       // all ended; or the first error, and the rest cancelled
//
// A child is task<> or task<result<void>>. A scope's destructor cancels what still runs, youngest first, so
// nothing outlives it. A child costs two allocations: its own frame and the scope's record of it.
//
// An accept loop that serves at most 512 connections at a time:
//
//   while (co_await children.below(512)) {
//     auto stream = co_await listener.accept(never);
//     if (!stream) break;
//     children.spawn(serve(std::move(*stream)));
//   }
#pragma once

#include <cstddef>
#include <optional>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

class scope final : private ready_node {
 public:
  explicit scope(context& in) : context_(&in) {}
  scope(scope const&) = delete;
  scope& operator=(scope const&) = delete;
  ~scope();

  void spawn(task<void> child);
  void spawn(task<result<void>> child);

  class wait_operation;

  /// Waits until no child runs. When a child ends in an error the others are cancelled and that error is
  /// given, once. May be awaited again after more spawns. One waiter at a time, join() or below().
  [[nodiscard]] wait_operation join();

  /// Waits until fewer than `most` (at least 1) children run: back-pressure for accept loops. Gives the
  /// error of a child as join() does.
  [[nodiscard]] wait_operation below(std::size_t most);

  /// Cancels every child that was spawned until now. May be called from anywhere, one of them included: it
  /// takes effect on the executor's next turn, when all of them are suspended. join() waits for that, and
  /// gives no error for a child that was cancelled.
  void cancel();

  /// Children that have not ended and are not about to be cancelled.
  [[nodiscard]] std::size_t running() const { return running_; }

 private:
  class child;
  template <class T>
  class child_of;

  void add(child& spawned);
  void reap(bool all);
  void child_ended(child& ended, std::optional<error> why) noexcept;
  void run() override;
  [[nodiscard]] bool is_settled(std::size_t most) const;

  context* context_;
  child* youngest_ = nullptr;
  std::size_t running_ = 0;
  std::size_t leaving_ = 0;  ///< ended or cancelled, not destroyed yet
  bool closing_ = false;
  std::optional<error> first_error_;
  wait_operation* waiting_ = nullptr;
};

class scope::wait_operation final : public operation {
 public:
  wait_operation(scope& on, std::size_t most) : on_(&on), most_(most) {}
  ~wait_operation() {
    if (on_->waiting_ == this) on_->waiting_ = nullptr;
  }
  bool await_ready() const { return on_->is_settled(most_); }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    suspend(parent);
    claim();
  }
  result<void> await_resume();

 private:
  friend class scope;
  void claim();
  scope* on_;
  std::size_t most_;
};

inline scope::wait_operation scope::join() {
  return {*this, 1};
}
inline scope::wait_operation scope::below(std::size_t most) {
  return {*this, most};
}

/// `scope children = co_await open_scope();` Does not suspend.
class open_scope : this_context {
 public:
  using this_context::await_ready;
  using this_context::await_suspend;
  scope await_resume() noexcept { return scope(*found); }
};

}  // namespace morgana
