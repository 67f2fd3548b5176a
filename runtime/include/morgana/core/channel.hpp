// A bounded queue between tasks. Nothing is lost when a task is cancelled: a value stays in the channel until
// a receiver takes it, and send() has either handed its value over or still holds it.
//
//   channel<job> jobs(16);                               // memory for 16, allocated once
//   co_await jobs.send(one, here.now() + 1s);            // waits while it is full
//   while (auto next = co_await jobs.receive()) work(*next);
//   jobs.close();                                        // what is inside can still be received
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/wait_queue.hpp"

namespace morgana {

template <std::movable T>
class channel {
 public:
  class send_operation;
  class receive_operation;

  /// `capacity` is at least 1.
  explicit channel(std::size_t capacity) : slots_(capacity == 0 ? 1 : capacity) {}
  channel(channel const&) = delete;
  channel& operator=(channel const&) = delete;

  /// Errors: core_error::closed, core_error::timed_out.
  [[nodiscard]] send_operation send(T value, instant deadline = never) {
    return {*this, std::move(value), deadline};
  }
  /// Errors: core_error::closed once it is closed and empty, core_error::timed_out.
  [[nodiscard]] receive_operation receive(instant deadline = never) { return {*this, deadline}; }

  /// False, and `value` untouched, when it is full or closed.
  [[nodiscard]] bool try_send(T& value) {
    if (closed_ || !senders_.is_empty() || count_ == slots_.size()) return false;
    push(std::move(value));
    return true;
  }
  [[nodiscard]] std::optional<T> try_receive() {
    if (count_ <= promised_) return std::nullopt;
    return pop();
  }

  /// Senders that wait end in core_error::closed.
  void close() {
    closed_ = true;
    senders_.complete_all();
    if (count_ <= promised_) receivers_.complete_all();
  }
  [[nodiscard]] bool is_closed() const { return closed_; }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  void push(T&& value) {
    slots_[(begin_ + count_) % slots_.size()].emplace(std::move(value));
    ++count_;
    promise_next();
  }
  T pop() {
    T value = std::move(*slots_[begin_]);
    slots_[begin_].reset();
    begin_ = (begin_ + 1) % slots_.size();
    --count_;
    if (auto* next = static_cast<send_operation*>(senders_.first()); next != nullptr && !closed_) {
      next->sent_ = true;
      next->complete();
      push(std::move(next->value_));
    }
    return value;
  }
  // A receiver that was woken has a value promised to it, so that none who comes later can take it.
  void promise_next() {
    if (receivers_.is_empty() || count_ <= promised_) return;
    ++promised_;
    auto* next = static_cast<receive_operation*>(receivers_.first());
    next->promised_ = true;
    next->complete();
  }

  std::vector<std::optional<T>> slots_;
  std::size_t begin_ = 0;
  std::size_t count_ = 0;
  std::size_t promised_ = 0;
  bool closed_ = false;
  wait_queue senders_;
  wait_queue receivers_;
};

template <std::movable T>
class channel<T>::send_operation final : public waiter {
 public:
  send_operation(channel& to, T value, instant deadline)
      : to_(&to), value_(std::move(value)), deadline_(deadline) {}
  bool await_ready() {
    if (to_->closed_) return true;
    sent_ = to_->try_send(value_);
    return sent_;
  }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, to_->senders_, deadline_);
  }
  result<void> await_resume() const {
    if (sent_) return {};
    return failure(timed_out() ? core_error::timed_out : core_error::closed);
  }

 private:
  friend class channel;
  channel* to_;
  T value_;
  instant deadline_;
  bool sent_ = false;
};

template <std::movable T>
class channel<T>::receive_operation final : public waiter {
 public:
  receive_operation(channel& from, instant deadline) : from_(&from), deadline_(deadline) {}
  ~receive_operation() {
    if (!promised_) return;
    --from_->promised_;  // cancelled after it was woken: the value is for the next one
    from_->promise_next();
  }
  bool await_ready() const { return from_->count_ > from_->promised_ || from_->closed_; }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, from_->receivers_, deadline_);
  }
  result<T> await_resume() {
    if (promised_) {
      promised_ = false;
      --from_->promised_;
      return from_->pop();
    }
    if (timed_out()) return failure(core_error::timed_out);
    if (auto value = from_->try_receive()) return std::move(*value);
    return failure(core_error::closed);
  }

 private:
  friend class channel;
  channel* from_;
  instant deadline_;
  bool promised_ = false;
};

}  // namespace morgana
