// A non-blocking host socket and what waits on it. Common to streams, listeners and datagram sockets.
//
// A socket remembers readiness: the kernel's edge sets it, and a system call that moved less than it was
// offered, or EAGAIN, clears it. So a read after a drained socket waits without asking first, and a request
// on a kept connection costs one recv and one send. What waits is tried when the event arrives, in
// wait_until, into the buffer of the suspended coroutine, which then resumes in the executor's order.
//
// Fairness: after `immediate_max` operations in a row that did not have to wait, the next one goes through
// the ready queue, so that a fast peer cannot keep the others from running.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "morgana/core/result.hpp"
#include "morgana/core/wait_queue.hpp"
#include "morgana/hosted/reactor.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/error.hpp"

struct sockaddr;
struct sockaddr_storage;

namespace morgana::hosted {

class socket_wait;

class host_socket : public pollable {
 public:
  static constexpr std::uint32_t immediate_max = 64;

  host_socket() = default;

  /// Takes an open, non-blocking descriptor. Returns 0 or the errno of the registration; the descriptor is
  /// this object's even then.
  [[nodiscard]] int open(int descriptor);
  /// Closes it; whoever waits gets net_error::not_connected.
  void close() noexcept;
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] net::endpoint local() const;

  bool readable = false;
  bool writable = false;
  bool ended = false;                ///< the peer's end or an error was announced: a short read is not the last

  void try_readers() { try_all(readers_); }
  void try_writers() { try_all(writers_); }

 protected:
  ~host_socket() { close(); }

 private:
  friend class socket_wait;
  void ready(std::uint32_t events) override;
  static void try_all(wait_queue& waiting);
  static void fail_all(wait_queue& waiting) noexcept;

  int descriptor_ = -1;
  std::uint32_t immediate_ = 0;
  wait_queue readers_;
  wait_queue writers_;
};

/// Base of every awaiter of a socket.
class socket_wait : public waiter {
 public:
  bool await_ready();
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, *queue_, deadline_);
    if (must_yield_) go_on();
  }

 protected:
  enum class direction : std::uint8_t { read, write };
  /// A null socket fails with net_error::not_connected.
  socket_wait(host_socket* on, direction which, instant deadline) : deadline_(deadline) { bind(on, which); }
  void bind(host_socket* on, direction which) {
    socket_ = on;
    queue_ = on == nullptr ? nullptr : which == direction::read ? &on->readers_ : &on->writers_;
  }
  ~socket_wait() = default;

  /// Does what can be done now; true when the outcome is known. Called only while socket_ is open.
  virtual bool attempt() = 0;
  bool fail(int number) {
    number_ = number;
    return true;
  }
  /// The outcome, for await_resume.
  [[nodiscard]] bool has_failed() const { return timed_out() || number_ != 0; }
  [[nodiscard]] error failed() const;

  static constexpr int not_connected = -1;
  static constexpr int limit_reached = -2;

  host_socket* socket_ = nullptr;
  std::int64_t limit_ = 0;           ///< the limit that was reached

 private:
  friend class host_socket;
  void go_on();
  wait_queue* queue_ = nullptr;
  instant deadline_;
  int number_ = 0;
  bool must_yield_ = false;
};

/// An errno of a socket call as the network error an application can act on.
[[nodiscard]] error socket_error(int number);

/// The kernel's form of an endpoint: IPv4 as AF_INET, or as a mapped address when `as_v6`. Returns its size.
[[nodiscard]] unsigned to_kernel(net::endpoint const& from, bool as_v6, sockaddr_storage& into);
/// Mapped addresses become IPv4: a peer of a dual-stack socket looks as it does on its own network.
[[nodiscard]] net::endpoint from_kernel(sockaddr_storage const& from);

}  // namespace morgana::hosted
