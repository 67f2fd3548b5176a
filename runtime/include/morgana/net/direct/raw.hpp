// Raw sockets of the direct stack: whole packets of one IP protocol (core.hpp, raw_port) as coroutines.
//
//   auto ospf = network.open_raw(net::address_family::v4, 89);
//   auto got = co_await ospf->receive(buffer, here.now() + 10s);        // from the IP header on
//   co_await ospf->send(hello, all_routers, here.now() + 1s);
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "morgana/net/core.hpp"
#include "morgana/net/direct/sockets.hpp"

namespace morgana::net {

/// The record of one raw socket.
struct direct_raw_port {
  direct_host* host;
  raw_port* handle;
  wait_queue readers;
  ~direct_raw_port();
};

class direct_raw {
 public:
  explicit direct_raw(std::unique_ptr<direct_raw_port> owned) : port_(std::move(owned)) {}

  class receive_wait final : public direct_wait {
   public:
    receive_wait(direct_raw_port* on, std::span<std::byte> into, instant deadline)
        : direct_wait(&on->readers, deadline), on_(on), into_(into) {}
    result<received_packet> await_resume();
    bool attempt() override;

   private:
    direct_raw_port* on_;
    std::span<std::byte> into_;
    received_packet received_;
  };

  class send_wait final : public direct_wait {
   public:
    send_wait(direct_raw_port* on, std::span<std::byte const> from, ip_address const* to, instant deadline);
    result<void> await_resume();
    bool attempt() override;

   private:
    direct_raw_port* on_;
    std::span<std::byte const> from_;
    ip_address to_;
    bool is_whole_;
  };

  /// Errors: timed_out, unreachable (the device is gone).
  [[nodiscard]] receive_wait receive(std::span<std::byte> into, instant deadline) {
    return {port_.get(), into, deadline};
  }
  /// Behind an IP header of ours. Waits while the stack has no room. Errors: timed_out, and raw_port::send's.
  [[nodiscard]] send_wait send(std::span<std::byte const> payload, ip_address const& to, instant deadline) {
    return {port_.get(), payload, &to, deadline};
  }
  /// With its IP header. Errors: timed_out, and raw_port::send_packet's.
  [[nodiscard]] send_wait send_packet(std::span<std::byte const> packet, instant deadline) {
    return {port_.get(), packet, nullptr, deadline};
  }

 private:
  std::unique_ptr<direct_raw_port> port_;
};

}  // namespace morgana::net
