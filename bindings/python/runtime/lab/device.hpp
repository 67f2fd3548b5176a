// The network device of a stack in a simulated world: what arrives waits in a ring, what is sent is taken by
// the world at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "morgana/core/wait_queue.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/sim/frame.hpp"

namespace morgana::python {

class device {
 public:
  /// Beyond them arriving frames are dropped and counted, as in a full ring.
  static constexpr std::size_t ring_frames_max = 256;
  static constexpr std::size_t ring_bytes_max = 16u << 20;

  explicit device(net::device_capabilities const& as)
      : as_(as), ring_(as.segmentation_tcp_v4 ? 4096 : 2048, ring_bytes_max) {}
  device(device const&) = delete;
  device& operator=(device const&) = delete;

  class receive_wait final : public waiter {
   public:
    receive_wait(device& on, std::span<net::segment> into, instant deadline)
        : on_(&on), into_(into), deadline_(deadline) {}
    bool await_ready() const { return !on_->arrived_.empty(); }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->readers_, deadline_);
    }
    result<std::size_t> await_resume() {
      std::size_t count = 0;
      while (count < into_.size() && !on_->arrived_.empty()) {
        into_[count++] = std::move(on_->arrived_.front());
        on_->arrived_.pop_front();
      }
      if (count == 0) return failure(core_error::timed_out);
      return count;
    }

   private:
    device* on_;
    std::span<net::segment> into_;
    instant deadline_;
  };

  // ---- net::device -------------------------------------------------------------------------------------
  [[nodiscard]] net::device_capabilities capabilities() const { return as_; }
  [[nodiscard]] receive_wait receive(std::span<net::segment> into, instant deadline) {
    return {*this, into, deadline};
  }
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from) {
    for (auto& one : from) sent_.push_back(std::move(one));
    return from.size();
  }

  // ---- the world's side --------------------------------------------------------------------------------
  void arrive(sim::frame const& one) {
    net::segment copy;
    if (arrived_.size() >= ring_frames_max || !sim::copy_to(copy, one, ring_)) {
      ++dropped_;
      return;
    }
    arrived_.push_back(std::move(copy));
    readers_.complete_all();
  }
  [[nodiscard]] bool take(sim::frame& into) {
    if (sent_.empty()) return false;
    sim::copy_from(into, sent_.front());
    sent_.pop_front();
    return true;
  }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  net::device_capabilities as_;
  net::buffer_pool ring_;
  std::deque<net::segment> arrived_, sent_;
  wait_queue readers_;
  std::uint64_t dropped_ = 0;
};

static_assert(net::device<device>);

}  // namespace morgana::python
