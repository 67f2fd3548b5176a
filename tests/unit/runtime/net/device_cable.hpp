// A cable in memory with a net::device at each end, for whole stacks on the fake platform's time.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "fake_platform.hpp"
#include "morgana/core/wait_queue.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net::testing {

class cable_end {
 public:
  explicit cable_end(device_capabilities const& as) : as_(as), pool_(4096, 64u << 20) {}
  cable_end(cable_end const&) = delete;
  cable_end& operator=(cable_end const&) = delete;

  /// Frames that may wait at this end.
  std::size_t room_frames = 1000;
  /// Frames that this end sends pass it: false drops one.
  std::function<bool(segment const&)> filter;
  std::size_t refused = 0;  ///< frames that had to wait because the other end was full
  std::size_t largest_batch = 0;

  void join(cable_end& other) {
    other_ = &other;
    other.other_ = this;
  }
  /// Both ends see the link go.
  void cut() {
    for (auto* const one : {this, other_}) {
      one->is_cut_ = true;
      one->readers_.complete_all();
      one->writers_.complete_all();
    }
  }

  class receive_wait final : public waiter {
   public:
    receive_wait(cable_end& on, std::span<segment> into, instant deadline)
        : on_(&on), into_(into), deadline_(deadline) {}
    bool await_ready() const { return !on_->waiting_.empty() || on_->is_cut_; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->readers_, deadline_);
    }
    result<std::size_t> await_resume() {
      if (on_->is_cut_) return failure(core_error::closed);
      std::size_t count = 0;
      while (count < into_.size() && !on_->waiting_.empty()) {
        into_[count++] = std::move(on_->waiting_.front());
        on_->waiting_.pop_front();
      }
      if (count != 0) on_->other_->writers_.complete_all();
      if (count == 0) return failure(core_error::timed_out);
      return count;
    }

   private:
    cable_end* on_;
    std::span<segment> into_;
    instant deadline_;
  };
  class room_wait final : public waiter {
   public:
    explicit room_wait(cable_end& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const {
      return on_->is_cut_ || on_->other_->waiting_.size() < on_->other_->room_frames;
    }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->writers_, deadline_);
    }
    result<void> await_resume() const {
      if (timed_out()) return failure(core_error::timed_out);
      return {};
    }

   private:
    cable_end* on_;
    instant deadline_;
  };

  [[nodiscard]] device_capabilities capabilities() const { return as_; }
  [[nodiscard]] receive_wait receive(std::span<segment> into, instant deadline) {
    return {*this, into, deadline};
  }
  [[nodiscard]] room_wait room(instant deadline) { return room_wait{*this, deadline}; }
  [[nodiscard]] result<std::size_t> transmit(std::span<segment> from) {
    if (is_cut_) return failure(core_error::closed);
    largest_batch = std::max(largest_batch, from.size());
    std::size_t taken = 0;
    for (; taken < from.size() && other_->waiting_.size() < other_->room_frames; ++taken) {
      if (!filter || filter(from[taken])) other_->take(from[taken]);
      from[taken].clear();
    }
    other_->readers_.complete_all();
    refused += from.size() - taken;
    return taken;
  }

 private:
  /// A copy in buffers of the receiver's, as a device would make.
  void take(segment const& frame) {
    segment copy;
    for (std::size_t at = 0; at < frame.size();) {
      auto part = pool_.take_slice(std::min(pool_.buffer_bytes(), frame.size() - at));
      if (part.size() == 0 || !frame.copy_out(at, part.writable())) return;
      at += part.size();
      if (!copy.append(std::move(part))) return;
    }
    copy.gso_size = frame.gso_size;
    copy.gso_kind = frame.gso_kind;
    copy.checksum = frame.checksum;
    copy.checksum_start = frame.checksum_start;
    copy.checksum_offset = frame.checksum_offset;
    waiting_.push_back(std::move(copy));
  }

  device_capabilities as_;
  buffer_pool pool_;
  cable_end* other_ = nullptr;
  std::deque<segment> waiting_;
  wait_queue readers_, writers_;
  bool is_cut_ = false;
};

}  // namespace morgana::net::testing
