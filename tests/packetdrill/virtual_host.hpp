// One net::core in virtual time, with IP datagrams instead of frames. Nothing here reads a real clock: time
// moves when somebody waits, and stops at every deadline of the core on its way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "morgana/net/core.hpp"
#include "system.hpp"

namespace morgana::packetdrill {

class virtual_host {
 public:
  explicit virtual_host(system_settings& settings);
  ~virtual_host();

  [[nodiscard]] net::core& core() { return *core_; }
  [[nodiscard]] instant now() const { return now_; }
  [[nodiscard]] instant next_deadline() const { return core_->next_deadline(); }
  [[nodiscard]] bool has_address(net::ip_address const& address) const;
  void add_address(net::ip_address const& address);

  /// To `when`, or to the next deadline if that is earlier; whether one came.
  bool advance(instant when);
  /// An IP datagram arrives.
  void receive(std::span<std::byte const> datagram);
  /// Moves what the core has to send to where `sent` finds it.
  void pump();

  struct datagram {
    std::vector<std::byte> bytes;
    instant at;
  };
  std::deque<datagram> sent;

 private:
  void leaves(net::segment const& frame);
  void cut(std::span<std::byte const> datagram, std::uint16_t part_bytes);
  bool answer_neighbor(std::span<std::byte const> frame);
  void deliver(std::span<std::byte const> head, std::span<std::byte const> body);

  system_settings& settings_;
  std::uint32_t mtu_bytes_ = settings_.mtu_bytes;
  instant now_{1'000s};
  net::buffer_pool pool_{4096, 256u << 20};
  std::unique_ptr<net::core> core_;
};

}  // namespace morgana::packetdrill
