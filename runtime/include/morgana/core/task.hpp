// task<T>: a coroutine that starts when it is awaited and gives a T.
//
//   task<result<int>> answer(net::stack auto& network) {
//     auto stream = co_await network.connect(peer, deadline);
//     if (!stream) co_return failure(std::move(stream.error()));
//     ...
//   }
//
// A task belongs to whoever holds the task object; destroying the object of a suspended task cancels it:
// its frame is destroyed, innermost first, and every destructor in it runs. That is the only form of
// cancellation. It is immediate, it cannot be ignored, and code that holds its resources in objects needs
// nothing more. So no task outlives its scope (scope.hpp), and with_deadline (deadline.hpp) always ends.
//
// A task that is awaited where it is called (`co_await f()`) has its frame inside its caller's, without an
// allocation: clang's coro_await_elidable, when optimising, where f's body is seen and f is not noinline.
// with_deadline(t, f()), race(f(), g()) and all(f(), g()) hand that on to their arguments. A virtual call or
// a coroutine of another translation unit (without ThinLTO) costs one allocation.
#pragma once

#include <concepts>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/platform.hpp"

namespace morgana {

template <class T>
class task;

/// Is told that a task ended: what scope, race, all and the main loop wait with, where no coroutine does.
class completion {
 public:
  completion() = default;
  completion(completion const&) = delete;
  completion& operator=(completion const&) = delete;

 protected:
  ~completion() = default;

 private:
  friend class promise_base;
  /// Called while the task stands at its end. Gives what to run next: std::noop_coroutine() for the caller.
  /// Must not destroy the task.
  virtual std::coroutine_handle<> ended() noexcept = 0;
};

/// What every coroutine of ours knows: its context and who waits for it.
class promise_base {
 public:
  [[nodiscard]] morgana::context& context() const { return *context_; }
  void set_context(morgana::context& from) { context_ = &from; }
  void set_continuation(std::coroutine_handle<> to) { continuation_ = to; }
  void set_completion(completion& told) { completion_ = &told; }

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct final_awaiter {
    bool await_ready() noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) noexcept {
      promise_base& self = finished.promise();
      return self.completion_ == nullptr ? self.continuation_ : self.completion_->ended();
    }
    void await_resume() noexcept {}
  };
  final_awaiter final_suspend() noexcept { return {}; }

  /// There are no exceptions of ours; a library's end at its own border.
  [[noreturn]] void unhandled_exception() noexcept {
    platform::crash(platform::crash_reason::assertion, "an exception left a coroutine");
  }

 private:
  morgana::context* context_ = nullptr;
  std::coroutine_handle<> continuation_;
  completion* completion_ = nullptr;
};

namespace detail {

template <class T>
class task_promise : public promise_base {
 public:
  task<T> get_return_object() noexcept;
  template <class U = T>
    requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  [[nodiscard]] T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class task_promise<void> : public promise_base {
 public:
  task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard, clang::coro_await_elidable]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task() = default;
  task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~task() {
    if (handle_) handle_.destroy();
  }

  [[nodiscard]] bool is_done() const { return !handle_ || handle_.done(); }
  [[nodiscard]] explicit operator bool() const { return handle_ != nullptr; }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> of) : child_(of) {}
    bool await_ready() noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      child_.promise().set_context(parent.promise().context());
      child_.promise().set_continuation(parent);
      return child_;
    }
    T await_resume() { return child_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> child_;
  };
  awaiter operator co_await() && noexcept { return awaiter{handle_}; }
  awaiter operator co_await() & noexcept { return awaiter{handle_}; }

  /// For awaiters that wait for more than this task: makes `parent` its continuation and gives what to run.
  template <std::derived_from<promise_base> Promise>
  [[nodiscard]] std::coroutine_handle<> begin(std::coroutine_handle<Promise> parent) {
    handle_.promise().set_context(parent.promise().context());
    handle_.promise().set_continuation(parent);
    return handle_;
  }

  /// For scope, race and the main loop: starts it without a parent coroutine; `done` is told of its end,
  /// maybe before start() returns.
  void start(morgana::context& in, completion& done) {
    handle_.promise().set_context(in);
    handle_.promise().set_completion(done);
    handle_.resume();
  }
  [[nodiscard]] T take() { return handle_.promise().take(); }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {
template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise<T>>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise<void>>::from_promise(*this));
}
}  // namespace detail

/// `co_await this_context()` gives the context of the coroutine that says so; it does not suspend.
struct this_context {
  context* found = nullptr;
  bool await_ready() noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
    found = &self.promise().context();
    return false;
  }
  context& await_resume() noexcept { return *found; }
};

/// Base of every awaiter that waits for something outside coroutines (a socket, a grant, a queue): the one
/// who completes it calls complete(). Lives in the waiting coroutine's frame. A derived class removes
/// itself from whatever would complete it in its destructor, because the frame may be destroyed while it
/// waits.
class operation : public ready_node {
 public:
  /// Makes the waiting coroutine ready to go on; the executor resumes it later, in order.
  void complete() { context_->executor().make_ready(*this); }
  [[nodiscard]] morgana::context& context() const { return *context_; }

 protected:
  template <std::derived_from<promise_base> Promise>
  void suspend(std::coroutine_handle<Promise> waiting) {
    context_ = &waiting.promise().context();
    waiting_ = waiting;
  }
  ~operation() = default;

 private:
  void run() override { waiting_.resume(); }
  morgana::context* context_ = nullptr;
  std::coroutine_handle<> waiting_;
};

/// An expression of type A can be awaited in a task and gives exactly T.
template <class A>
using await_result_t = decltype([]<class B>(B&& a) -> decltype(auto) {
  if constexpr (requires { std::forward<B>(a).operator co_await(); }) {
    return std::forward<B>(a).operator co_await().await_resume();
  } else {
    return a.await_resume();
  }
}(std::declval<A>()));

template <class A, class T>
concept awaitable_of = std::same_as<await_result_t<A>, T>;

}  // namespace morgana
