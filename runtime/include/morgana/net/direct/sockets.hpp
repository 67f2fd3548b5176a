// Streams, listeners and datagram sockets of the direct stack: net::stream, net::listener,
// net::datagram_socket, and what only a stack of our own can give: data that is neither copied in nor out,
// settings, information.
//
//   auto seen = co_await stream.peek(deadline);       // what arrived, where it lies; empty at the end
//   stream.consume(seen->size());
//   stream.options().keepalive = true;
//   log.info("{} retransmitted", stream.info().segments_retransmitted);
//
// One reader and one writer at a time. Destroying a waiting coroutine takes nothing from the stream: bytes
// are copied out only when the reader goes on. After a write that did not end, it is unknown how much was
// sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "morgana/core/wait_queue.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

class direct_host;

/// Base of every awaiter of the direct stack: tried at once, and again each time it may have an answer.
class direct_wait : public waiter {
 public:
  bool await_ready() {
    if (queue_ == nullptr) return fail(net_error::not_connected);
    return queue_->is_empty() && attempt();  // first come, first served
  }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, *queue_, deadline_);
  }
  /// Does what can be done now; true when the outcome is known.
  virtual bool attempt() = 0;
  /// What it waits for is gone.
  virtual void abandon() { fail(net_error::not_connected); }
  /// Completes those in `queue` that have an answer, in order; stops at the first that has none.
  static void try_all(wait_queue& queue);
  static void abandon_all(wait_queue& queue);

 protected:
  direct_wait(wait_queue* queue, instant deadline) : queue_(queue), deadline_(deadline) {}
  ~direct_wait() = default;
  bool fail(error why) {
    failed_ = std::move(why);
    return true;
  }
  /// Why there is no outcome; what happened counts more than a deadline that passed meanwhile.
  [[nodiscard]] std::optional<error> problem();

  wait_queue* queue_;
  std::optional<error> failed_;

 private:
  instant deadline_;
};

/// The record of one connection that has a user.
class direct_connection {
 public:
  direct_host* host = nullptr;
  tcp::connection* handle = nullptr;
  timed_wait_queue readers;
  wait_queue writers;
  direct_connection* next_free = nullptr;
};

class direct_stream {
 public:
  direct_stream() = default;
  explicit direct_stream(direct_connection& owned) : connection_(&owned) {}
  direct_stream(direct_stream&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  direct_stream& operator=(direct_stream&& other) noexcept {
    if (this != &other) {
      release();
      connection_ = std::exchange(other.connection_, nullptr);
    }
    return *this;
  }
  ~direct_stream() { release(); }

  class read_wait;
  class peek_wait;
  class write_wait;
  class write_owned_wait;

  /// At least one byte; 0 at the end of the peer's stream. Errors: reset, timed_out, unreachable,
  /// not_connected.
  [[nodiscard]] read_wait read(std::span<std::byte> into, instant deadline);
  /// What has arrived in order, in place, at least one byte of it; empty at the end of the peer's stream. It
  /// stays there until consume(), read() or the stream's end.
  [[nodiscard]] peek_wait peek(instant deadline);
  /// Lets go of bytes that were peeked at.
  void consume(std::size_t bytes);

  /// All bytes, or an error.
  [[nodiscard]] write_wait write(std::span<std::byte const> from, instant deadline);
  [[nodiscard]] write_wait write(std::span<std::span<std::byte const> const> gathered, instant deadline);
  /// All slices, without a copy: they are moved from, and held until the peer has acknowledged them. Their
  /// buffers' pool must outlive the stack; direct_stack::buffers() does.
  [[nodiscard]] write_owned_wait write(std::span<slice> owned, instant deadline);
  /// The same where nothing has to be waited for; false, and nothing was taken, where something has.
  [[nodiscard]] result<bool> write_now(std::span<slice> owned);

  /// Half-close: the peer reads the end after what was written.
  [[nodiscard]] result<void> shutdown();
  /// Closes with RST, dropping what was not sent. Waiting operations end in net_error::not_connected.
  void abort() noexcept;

  [[nodiscard]] endpoint local() const;
  [[nodiscard]] endpoint peer() const;
  /// Settings that may change while the connection lives; of no effect on a stream that is not open.
  void set(tcp::settings const& to);
  [[nodiscard]] tcp::settings settings() const;
  [[nodiscard]] tcp::information info() const;

 private:
  void release() noexcept;
  direct_connection* connection_ = nullptr;
};

class direct_stream::read_wait final : public direct_wait {
 public:
  read_wait(direct_connection* on, std::span<std::byte> into, instant deadline)
      : direct_wait(on == nullptr ? nullptr : &on->readers, deadline), on_(on), into_(into) {}
  result<std::size_t> await_resume();
  bool attempt() override;
  void abandon() override;

 private:
  direct_connection* on_;
  std::span<std::byte> into_;
};

class direct_stream::peek_wait final : public direct_wait {
 public:
  peek_wait(direct_connection* on, instant deadline)
      : direct_wait(on == nullptr ? nullptr : &on->readers, deadline), on_(on) {}
  result<std::span<std::byte const>> await_resume();
  bool attempt() override;
  void abandon() override;

 private:
  direct_connection* on_;
};

class direct_stream::write_wait final : public direct_wait {
 public:
  write_wait(direct_connection* on, std::span<std::byte const> from, instant deadline)
      : direct_wait(on == nullptr ? nullptr : &on->writers, deadline),
        on_(on),
        one_(from),
        parts_(&one_, 1) {}
  write_wait(direct_connection* on, std::span<std::span<std::byte const> const> gathered, instant deadline)
      : direct_wait(on == nullptr ? nullptr : &on->writers, deadline), on_(on), parts_(gathered) {}
  result<void> await_resume();
  bool attempt() override;

 private:
  direct_connection* on_;
  std::span<std::byte const> one_;
  std::span<std::span<std::byte const> const> parts_;
  std::size_t offset_ = 0;  ///< bytes of the first part that were taken
};

class direct_stream::write_owned_wait final : public direct_wait {
 public:
  write_owned_wait(direct_connection* on, std::span<slice> owned, instant deadline)
      : direct_wait(on == nullptr ? nullptr : &on->writers, deadline), on_(on), owned_(owned) {}
  result<void> await_resume();
  bool attempt() override;

 private:
  direct_connection* on_;
  std::span<slice> owned_;
};

/// The record of one listener.
struct direct_listening {
  direct_host* host;
  tcp::listener* handle;
  wait_queue acceptors;
  ~direct_listening();
};

class direct_listener {
 public:
  using stream = direct_stream;
  explicit direct_listener(std::unique_ptr<direct_listening> owned) : listening_(std::move(owned)) {}

  class accept_wait final : public direct_wait {
   public:
    accept_wait(direct_listening* on, instant deadline)
        : direct_wait(on == nullptr ? nullptr : &on->acceptors, deadline), on_(on) {}
    result<direct_stream> await_resume();
    bool attempt() override;

   private:
    direct_listening* on_;
    direct_stream accepted_;
  };

  [[nodiscard]] accept_wait accept(instant deadline) { return {listening_.get(), deadline}; }
  [[nodiscard]] endpoint local() const { return listening_->handle->local(); }
  /// What accepted connections start with.
  [[nodiscard]] tcp::settings& options() { return listening_->handle->options(); }

 private:
  std::unique_ptr<direct_listening> listening_;
};

/// The record of one datagram socket.
struct direct_port {
  direct_host* host;
  udp_port* handle;
  wait_queue readers;
  ~direct_port();
};

class direct_datagrams {
 public:
  explicit direct_datagrams(std::unique_ptr<direct_port> owned) : port_(std::move(owned)) {}

  class receive_wait final : public direct_wait {
   public:
    receive_wait(direct_port* on, std::span<std::byte> into, instant deadline)
        : direct_wait(on == nullptr ? nullptr : &on->readers, deadline), on_(on), into_(into) {}
    result<received_datagram> await_resume();
    bool attempt() override;

   private:
    direct_port* on_;
    std::span<std::byte> into_;
    received_datagram received_;
  };

  class send_wait final : public direct_wait {
   public:
    send_wait(direct_port* on, std::span<std::byte const> from, endpoint const& to, instant deadline);
    result<void> await_resume();
    bool attempt() override;

   private:
    direct_port* on_;
    std::span<std::byte const> from_;
    endpoint to_;
  };

  /// Errors: timed_out; refused, unreachable, message_too_long once, when an ICMP error said so of a datagram
  /// sent.
  [[nodiscard]] receive_wait receive(std::span<std::byte> into, instant deadline) {
    return {port_.get(), into, deadline};
  }
  /// Waits while the stack has no room for it. Errors: timed_out, unreachable, message_too_long,
  /// invalid_address.
  [[nodiscard]] send_wait send(std::span<std::byte const> from, endpoint const& to, instant deadline) {
    return {port_.get(), from, to, deadline};
  }
  [[nodiscard]] endpoint local() const { return port_->handle->local(); }

 private:
  std::unique_ptr<direct_port> port_;
};

// ---- the short ones ----------------------------------------------------------------------------------

inline direct_stream::read_wait direct_stream::read(std::span<std::byte> into, instant deadline) {
  return {connection_, into, deadline};
}
inline direct_stream::peek_wait direct_stream::peek(instant deadline) {
  return {connection_, deadline};
}
inline direct_stream::write_wait direct_stream::write(std::span<std::byte const> from, instant deadline) {
  return {connection_, from, deadline};
}
inline direct_stream::write_wait direct_stream::write(std::span<std::span<std::byte const> const> gathered,
                                                      instant deadline) {
  return {connection_, gathered, deadline};
}
inline direct_stream::write_owned_wait direct_stream::write(std::span<slice> owned, instant deadline) {
  return {connection_, owned, deadline};
}

static_assert(slice_stream<direct_stream> && listener<direct_listener> && datagram_socket<direct_datagrams>);

}  // namespace morgana::net
