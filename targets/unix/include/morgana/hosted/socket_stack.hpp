// The "socket" choice of net::stack: TCP and UDP of the host. Serves both families, listens dual-stack on
// `::`. Costs per kept connection: one record, reused; per request one recv and one send.
//
// Limits: `connections` open at once. At the limit accept() waits, and clients wait in the kernel's backlog,
// until a connection closes; connect() is net_error::limit_reached. When the process has no descriptor left
// accept() waits too and tries again every `descriptor_retry`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/hosted/socket.hpp"
#include "morgana/net/resolver.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::hosted {

struct socket_stack_options {
  /// Largest number of open connections.
  std::uint32_t connections = 10000;
};

struct socket_stack_state;

/// The record of one TCP connection.
class connection final : public host_socket {
 public:
  explicit connection(socket_stack_state& in) : stack(&in) {}
  socket_stack_state* stack;
  connection* next_free = nullptr;
  net::endpoint peer;
  bool is_shut = false;              ///< no more writes
  void give_back() noexcept;
};

class socket_stream {
 public:
  socket_stream() = default;
  explicit socket_stream(connection& owned) : connection_(&owned) {}
  socket_stream(socket_stream&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  socket_stream& operator=(socket_stream&& other) noexcept {
    if (this != &other) {
      release();
      connection_ = std::exchange(other.connection_, nullptr);
    }
    return *this;
  }
  ~socket_stream() { release(); }

  class read_wait final : public socket_wait {
   public:
    read_wait(connection* on, std::span<std::byte> into, instant deadline)
        : socket_wait(on, direction::read, deadline), into_(into) {}
    result<std::size_t> await_resume();

   private:
    bool attempt() override;
    std::span<std::byte> into_;
    std::size_t count_ = 0;
  };

  class write_wait final : public socket_wait {
   public:
    write_wait(connection* on, std::span<std::byte const> from, instant deadline)
        : socket_wait(on, direction::write, deadline), one_(from), parts_(&one_, 1) {}
    write_wait(connection* on, std::span<std::span<std::byte const> const> gathered, instant deadline)
        : socket_wait(on, direction::write, deadline), parts_(gathered) {}
    result<void> await_resume();

   private:
    bool attempt() override;
    std::span<std::byte const> one_;
    std::span<std::span<std::byte const> const> parts_;
    std::size_t offset_ = 0;         ///< bytes of the first part that are sent
  };

  /// At least one byte; 0 at the end of the peer's stream.
  [[nodiscard]] read_wait read(std::span<std::byte> into, instant deadline) {
    return {connection_, into, deadline};
  }
  /// All bytes. After an error it is unknown how many were sent.
  [[nodiscard]] write_wait write(std::span<std::byte const> from, instant deadline) {
    return {connection_, from, deadline};
  }
  [[nodiscard]] write_wait write(std::span<std::span<std::byte const> const> gathered, instant deadline) {
    return {connection_, gathered, deadline};
  }
  /// Half-close: the peer reads the end after what was written.
  [[nodiscard]] result<void> shutdown();
  /// Closes with RST, dropping what was not sent. Waiting operations end in net_error::not_connected.
  void abort() noexcept;
  [[nodiscard]] net::endpoint local() const;
  [[nodiscard]] net::endpoint peer() const;

 private:
  void release() noexcept {
    if (connection_ != nullptr) std::exchange(connection_, nullptr)->give_back();
  }
  connection* connection_ = nullptr;
};

/// The record of one listener; it tries again by itself when it had to stop accepting.
class listening final : public host_socket, private timer_node {
 public:
  explicit listening(socket_stack_state& in) : stack(&in) {}
  ~listening();
  socket_stack_state* stack;
  listening* next_blocked = nullptr;
  bool is_blocked = false;           ///< in the stack's list, until a connection closes
  void retry_at(instant when);

 private:
  void expired() override { try_readers(); }
};

class socket_listener {
 public:
  using stream = socket_stream;

  explicit socket_listener(std::unique_ptr<listening> owned) : listening_(std::move(owned)) {}

  class accept_wait final : public socket_wait {
   public:
    accept_wait(listening* on, instant deadline) : socket_wait(on, direction::read, deadline) {}
    result<socket_stream> await_resume();

   private:
    bool attempt() override;
    socket_stream accepted_;
  };

  [[nodiscard]] accept_wait accept(instant deadline) { return {listening_.get(), deadline}; }
  [[nodiscard]] net::endpoint local() const;

 private:
  std::unique_ptr<listening> listening_;
};

class datagram_record final : public host_socket {};

class socket_datagrams {
 public:
  explicit socket_datagrams(std::unique_ptr<datagram_record> owned, bool is_v6)
      : socket_(std::move(owned)), is_v6_(is_v6) {}

  class receive_wait final : public socket_wait {
   public:
    receive_wait(host_socket* on, std::span<std::byte> into, instant deadline)
        : socket_wait(on, direction::read, deadline), into_(into) {}
    result<net::received_datagram> await_resume();

   private:
    bool attempt() override;
    std::span<std::byte> into_;
    net::received_datagram received_;
  };

  class send_wait final : public socket_wait {
   public:
    send_wait(host_socket* on, bool is_v6, std::span<std::byte const> from, net::endpoint const& to,
              instant deadline)
        : socket_wait(on, direction::write, deadline), from_(from), to_(to), is_v6_(is_v6) {}
    result<void> await_resume();

   private:
    bool attempt() override;
    std::span<std::byte const> from_;
    net::endpoint to_;
    bool is_v6_;
  };

  [[nodiscard]] receive_wait receive(std::span<std::byte> into, instant deadline) {
    return {socket_.get(), into, deadline};
  }
  [[nodiscard]] send_wait send(std::span<std::byte const> from, net::endpoint const& to, instant deadline) {
    return {socket_.get(), is_v6_, from, to, deadline};
  }
  [[nodiscard]] net::endpoint local() const;

 private:
  std::unique_ptr<datagram_record> socket_;
  bool is_v6_;
};

class socket_stack {
 public:
  using stream = socket_stream;
  using listener = socket_listener;
  using datagram_socket = socket_datagrams;

  static constexpr duration descriptor_retry = 100ms;

  [[nodiscard]] static task<result<socket_stack>> connect(context& in, socket_stack_options const& options);

  socket_stack(socket_stack&&) noexcept;
  socket_stack& operator=(socket_stack&&) noexcept;
  ~socket_stack();

  class connect_wait final : public socket_wait {
   public:
    connect_wait(socket_stack_state& in, net::endpoint const& peer, instant deadline)
        : socket_wait(nullptr, direction::write, deadline), stack_(&in), peer_(peer) {}
    bool await_ready();
    result<socket_stream> await_resume();

   private:
    bool attempt() override;
    bool begin();
    socket_stack_state* stack_;
    net::endpoint peer_;
    socket_stream stream_;
  };

  /// Errors: address_in_use, address_not_available, not_permitted (a port below 1024), limit_reached.
  [[nodiscard]] result<listener> listen(net::listen_options const& where);
  /// Errors: refused, unreachable, timed_out, limit_reached.
  [[nodiscard]] connect_wait connect(net::endpoint const& peer, instant deadline) {
    return {*state_, peer, deadline};
  }
  [[nodiscard]] result<datagram_socket> bind(net::endpoint const& local);

  [[nodiscard]] std::uint32_t open_connections() const;
  /// Those that the host asks: /etc/resolv.conf, read each time, for it changes. Empty when there is none.
  [[nodiscard]] net::address_list name_servers() const;

 private:
  explicit socket_stack(std::unique_ptr<socket_stack_state> state);
  std::unique_ptr<socket_stack_state> state_;
};

/// The servers of a resolv.conf(5), in order. A zone (fe80::1%eth0) is not an address of ours: left out.
[[nodiscard]] net::address_list name_servers_of(std::string_view configuration);

}  // namespace morgana::hosted
