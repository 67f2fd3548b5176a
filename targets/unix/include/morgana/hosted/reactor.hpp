// The reactor: this process's one epoll instance, which platform::wait_until blocks in.
//
// A descriptor is registered once, edge-triggered, for as long as it is open; closing it is what removes it.
// Whoever owns the descriptor is a `pollable` and keeps what it was told (readable, writable) until a system
// call says otherwise, so that a request costs no system call only to ask.
//
// ready() is called from wait_until and must not resume coroutines: it completes operations, which the
// executor runs later. So nothing is closed while a batch of events is delivered, and no event can reach an
// object that is gone.
#pragma once

#include <cstdint>

#include "morgana/core/time.hpp"

namespace morgana::hosted {

class pollable {
 public:
  pollable() = default;
  pollable(pollable const&) = delete;
  pollable& operator=(pollable const&) = delete;

 protected:
  ~pollable() = default;

 private:
  friend class reactor;
  /// `events` are epoll's: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR.
  virtual void ready(std::uint32_t events) = 0;
};

class reactor {
 public:
  /// Events taken from the kernel by one system call.
  static constexpr int events_max = 256;

  /// The reactor of this process; opened at its first use. platform::crash() when the kernel refuses.
  [[nodiscard]] static reactor& of_process();

  constexpr reactor() = default;
  reactor(reactor const&) = delete;
  reactor& operator=(reactor const&) = delete;

  /// Watches an open descriptor for `events` (EPOLLET is added) until it is closed. Returns 0 or an errno:
  /// EPERM for a file that is always ready, ENOSPC or ENOMEM at a limit of the host.
  [[nodiscard]] int watch(int descriptor, pollable& who, std::uint32_t events);

  /// Stops watching a descriptor that stays open.
  void forget(int descriptor);

  /// Blocks until an event or the deadline, and delivers every event that is pending.
  void wait(instant deadline);

  /// Makes a wait that runs, or the next one, return. May be called from a signal handler.
  void interrupt() noexcept;

 private:
  struct wake_up final : pollable {
    void ready(std::uint32_t events) override;
    int descriptor = -1;
  };
  void open();
  int epoll_ = -1;
  wake_up wake_up_;
};

}  // namespace morgana::hosted
