// The "sim" network device: one port of a simulated host, joined to a link of the world it lives in, or to a
// descriptor of the runner's (`morgana run -t sim --network NAME=...`, in real time). For guests.
//
// Limits: `buffer_bytes_max` of receive buffers; at the limit frames are taken and dropped, as a full ring
// would. What is sent while the port has no room stays with the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/wait_queue.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::sim {

struct network_device_state;

struct network_device_counters {
  std::uint64_t received_frames = 0;
  std::uint64_t sent_frames = 0;
  std::uint64_t dropped_received = 0;  ///< no buffer, too long, or too short to be a frame
  std::uint64_t dropped_sent = 0;      ///< too long, or an offload this device does not have
};

class network_device {
 public:
  static constexpr std::size_t buffer_bytes_max = 2u << 20;

  /// Errors: core_error::device_missing (the simulator has no network of that name).
  [[nodiscard]] static task<result<std::unique_ptr<network_device>>> connect(context& in, device_name name);
  ~network_device();

  class receive_wait final : public waiter {
   public:
    receive_wait(network_device_state& on, std::span<net::segment> into, instant deadline)
        : on_(&on), into_(into), deadline_(deadline) {}
    bool await_ready();
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, queue(), deadline_);
    }
    result<std::size_t> await_resume();

   private:
    friend struct network_device_state;
    wait_queue& queue();
    bool attempt();
    network_device_state* on_;
    std::span<net::segment> into_;
    instant deadline_;
    std::size_t count_ = 0;
    bool is_closed_ = false;
  };

  class room_wait final : public waiter {
   public:
    room_wait(network_device_state& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const;
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, queue(), deadline_);
    }
    result<void> await_resume() const;

   private:
    wait_queue& queue();
    network_device_state* on_;
    instant deadline_;
  };

  [[nodiscard]] net::device_capabilities capabilities() const;
  /// Errors: core_error::timed_out, core_error::closed (the other side is gone).
  [[nodiscard]] receive_wait receive(std::span<net::segment> into, instant deadline) {
    return {*state_, into, deadline};
  }
  /// Errors: core_error::closed.
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from);
  /// Waits until there may be room again after transmit() took less than it was offered. Errors: core_error::timed_out.
  [[nodiscard]] room_wait room(instant deadline) { return {*state_, deadline}; }
  [[nodiscard]] network_device_counters const& counters() const;

 private:
  explicit network_device(std::unique_ptr<network_device_state> state);
  std::unique_ptr<network_device_state> state_;
};

}  // namespace morgana::sim
