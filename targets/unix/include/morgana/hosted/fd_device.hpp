// The "fd" network device: Ethernet frames over a descriptor that the runner gave, one frame a message. A
// SOCK_SEQPACKET or SOCK_DGRAM socket (a simulated link, a test) or a tap interface; no privileges are needed.
// With a virtio-net header in front of each frame (vnet=1) checksums and TCP segmentation are left to the other
// side: super-packets up to 64 KiB.
//
// Limits: `buffer_bytes_max` of receive buffers. At the limit frames are read and dropped, as a full ring
// would; what is sent while the other side has no room stays with the caller.
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

namespace morgana::hosted {

struct fd_device_state;

struct fd_device_counters {
  std::uint64_t received_frames = 0;
  std::uint64_t sent_frames = 0;
  std::uint64_t dropped_received = 0;  ///< no buffer, too long, or too short to be a frame
  std::uint64_t dropped_sent = 0;      ///< too long, or an offload this device does not have
};

class fd_device {
 public:
  static constexpr std::size_t buffer_bytes_max = 32u << 20;

  /// Errors: core_error::device_missing (the runner gave no network of that name), core_error::invalid_argument
  /// (what it gave cannot be read, or is no such descriptor).
  [[nodiscard]] static task<result<std::unique_ptr<fd_device>>> connect(context& in, device_name name);
  /// For tests: an open descriptor, which the device then owns.
  [[nodiscard]] static result<std::unique_ptr<fd_device>> open(int descriptor, net::device_capabilities const& as,
                                                               bool has_vnet_header);
  ~fd_device();

  class receive_wait final : public waiter {
   public:
    receive_wait(fd_device_state& on, std::span<net::segment> into, instant deadline)
        : on_(&on), into_(into), deadline_(deadline) {}
    bool await_ready();
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, queue(), deadline_);
    }
    result<std::size_t> await_resume();

   private:
    friend struct fd_device_state;
    wait_queue& queue();
    bool attempt();
    fd_device_state* on_;
    std::span<net::segment> into_;
    instant deadline_;
    std::size_t count_ = 0;
    int number_ = 0;
  };

  class room_wait final : public waiter {
   public:
    room_wait(fd_device_state& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const;
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, queue(), deadline_);
    }
    result<void> await_resume() const;

   private:
    wait_queue& queue();
    fd_device_state* on_;
    instant deadline_;
  };

  [[nodiscard]] net::device_capabilities capabilities() const;
  /// Errors: core_error::timed_out, core_error::closed (the other side is gone).
  [[nodiscard]] receive_wait receive(std::span<net::segment> into, instant deadline) {
    return {*state_, into, deadline};
  }
  /// Errors: core_error::closed.
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from);
  /// Waits until there is room again after transmit() took less than it was offered. Errors: core_error::timed_out.
  [[nodiscard]] room_wait room(instant deadline) { return {*state_, deadline}; }
  [[nodiscard]] fd_device_counters const& counters() const;

 protected:
  explicit fd_device(std::unique_ptr<fd_device_state> state);
  fd_device(fd_device&& other) noexcept;

 private:
  std::unique_ptr<fd_device_state> state_;
};

/// Locally administered, to one station (IEEE 802).
[[nodiscard]] net::mac_address random_interface_address();

}  // namespace morgana::hosted
