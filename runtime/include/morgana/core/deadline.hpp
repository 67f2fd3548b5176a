// Waiting with an end.
//
//   co_await sleep_for(1s);   co_await sleep_until(when);
//   auto reply = co_await with_deadline(here.now() + 2s, ask(server));       // core_error::timed_out
//   auto first = co_await race(ask(a), ask(b));                              // the loser is cancelled
//   auto [x, y] = co_await all(f(), g());
//   co_await yield();                                                        // lets other ready tasks run
//
// None of these allocates: what waits lives in the waiting coroutine's frame, and the frames of tasks called
// in their arguments do too, when optimising.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

/// Lets everything that is ready now run first.
class yield final : public operation {
 public:
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    suspend(waiting);
    complete();
  }
  void await_resume() const noexcept {}
};

namespace detail {

class sleep_operation : public operation, private timer_node {
 public:
  bool await_ready() const noexcept { return false; }
  void await_resume() const noexcept {}

 protected:
  void begin(instant when);
  ~sleep_operation() = default;

 private:
  void expired() override { complete(); }
};

}  // namespace detail

/// Suspends until monotonic time reaches `when`. At once, through the ready queue, if it has.
class sleep_until final : public detail::sleep_operation {
 public:
  explicit sleep_until(instant when) : when_(when) {}
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    suspend(waiting);
    begin(when_);
  }

 private:
  instant when_;
};

/// The same, `length` after the current batch's time.
class sleep_for final : public detail::sleep_operation {
 public:
  explicit sleep_for(duration length) : length_(length) {}
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    suspend(waiting);
    begin(after(context().now(), length_));
  }

 private:
  duration length_;
};

namespace detail {

/// Resumes the waiting coroutine when its time comes; stopped by its destructor.
class alarm : private timer_node, private ready_node {
 public:
  void begin(context& in, instant deadline);
  void stop();
  [[nodiscard]] bool went_off() const { return went_off_; }

 protected:
  ~alarm() = default;

 private:
  virtual void too_late() = 0;
  void expired() override {
    went_off_ = true;
    too_late();
  }
  void run() override { expired(); }
  bool went_off_ = false;
};

/// Awaits a task; at the deadline destroys it instead.
template <class T>
class bounded final : private alarm {
 public:
  bounded(task<T>& inner, instant deadline) : inner_(&inner), deadline_(deadline) {}
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> waiting) {
    waiting_ = waiting;
    begin(waiting.promise().context(), deadline_);
    return inner_->begin(waiting);
  }
  /// True when the task ended by itself.
  bool await_resume() {
    stop();
    return !went_off();
  }

 private:
  void too_late() override {
    *inner_ = {};
    waiting_.resume();
  }
  task<T>* inner_;
  instant deadline_;
  std::coroutine_handle<> waiting_;
};

/// What a task<void> gives where a value is needed.
template <class T>
using value_of = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
value_of<T> take_value(task<T>& ended) {
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return ended.take();
  }
}

/// Starts several tasks and goes on when `enough` of them have ended.
template <std::size_t Count>
class gathering {
 public:
  explicit gathering(std::size_t enough) : missing_(enough) {
    for (std::size_t i = 0; i < Count; ++i) members_[i].in = this;
  }
  gathering(gathering const&) = delete;
  gathering& operator=(gathering const&) = delete;

  /// Starts the tasks in order; one that ends at once may leave the later ones unstarted.
  template <std::derived_from<promise_base> Promise, class... T>
  std::coroutine_handle<> start(std::coroutine_handle<Promise> waiting, task<T>&... tasks) {
    waiting_ = waiting;
    starting_ = true;
    std::size_t next = 0;
    auto start_one = [&](auto& one) {
      auto& member = members_[next++];
      if (missing_ != 0) one.start(waiting.promise().context(), member);
    };
    (start_one(tasks), ...);
    starting_ = false;
    return missing_ == 0 ? std::coroutine_handle<>(waiting) : std::noop_coroutine();
  }
  [[nodiscard]] std::size_t first() const { return first_; }

 private:
  struct member final : completion {
    std::coroutine_handle<> ended() noexcept override {
      return in->member_ended(static_cast<std::size_t>(this - in->members_.data()));
    }
    gathering* in = nullptr;
  };
  std::coroutine_handle<> member_ended(std::size_t which) noexcept {
    if (missing_ == 0) return std::noop_coroutine();
    if (first_ == Count) first_ = which;
    if (--missing_ != 0 || starting_) return std::noop_coroutine();
    return waiting_;
  }

  std::array<member, Count> members_;
  std::coroutine_handle<> waiting_;
  std::size_t missing_;
  std::size_t first_ = Count;
  bool starting_ = false;
};

template <class... T>
class gather_operation {
 public:
  gather_operation(std::size_t enough, task<T>&... tasks) : tasks_(tasks...), gathering_(enough) {}
  bool await_ready() const noexcept { return false; }
  template <std::derived_from<promise_base> Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> waiting) {
    return std::apply([&](task<T>&... tasks) { return gathering_.start(waiting, tasks...); }, tasks_);
  }
  /// The index of the task that ended first.
  std::size_t await_resume() const noexcept { return gathering_.first(); }

 private:
  std::tuple<task<T>&...> tasks_;
  gathering<sizeof...(T)> gathering_;
};

}  // namespace detail

/// Runs `inner` until it ends or `deadline` comes; then it is cancelled (destroyed) and the result is
/// core_error::timed_out. A deadline in the past still lets `inner` run to its first suspension.
template <class T>
[[nodiscard]] task<result<T>> with_deadline(instant deadline,
                                            [[clang::coro_await_elidable_argument]] task<result<T>> inner) {
  if (co_await detail::bounded<result<T>>(inner, deadline)) co_return inner.take();
  co_return failure(core_error::timed_out);
}
[[nodiscard]] inline task<result<void>> with_deadline(
    instant deadline, [[clang::coro_await_elidable_argument]] task<void> inner) {
  if (co_await detail::bounded<void>(inner, deadline)) co_return {};
  co_return failure(core_error::timed_out);
}

/// Runs all until the first ends; the others are cancelled before this gives its value. Which alternative is
/// held tells which ended. A task<void> gives std::monostate.
template <class... T>
  requires(sizeof...(T) > 0)
[[nodiscard]] task<std::variant<detail::value_of<T>...>> race(
    [[clang::coro_await_elidable_argument]] task<T>... contenders) {
  using outcome = std::variant<detail::value_of<T>...>;
  std::size_t const first = co_await detail::gather_operation<T...>(1, contenders...);
  std::optional<outcome> value;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    auto look = [&]<std::size_t At>(std::integral_constant<std::size_t, At>, auto& contender) {
      if (At == first) value.emplace(std::in_place_index<At>, detail::take_value(contender));
      contender = {};
    };
    (look(std::integral_constant<std::size_t, I>(), contenders), ...);
  }(std::index_sequence_for<T...>());
  co_return std::move(*value);
}

/// Runs all to their ends. A task<void> gives std::monostate.
template <class... T>
  requires(sizeof...(T) > 0)
[[nodiscard]] task<std::tuple<detail::value_of<T>...>> all(
    [[clang::coro_await_elidable_argument]] task<T>... members) {
  co_await detail::gather_operation<T...>(sizeof...(T), members...);
  co_return std::tuple<detail::value_of<T>...>(detail::take_value(members)...);
}

}  // namespace morgana
