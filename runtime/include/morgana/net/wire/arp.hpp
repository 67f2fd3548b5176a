// ARP for IPv4 over Ethernet (RFC 826), with probes and announcements (RFC 5227).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

enum class arp_operation : std::uint16_t { request = 1, reply = 2 };

struct arp_packet {
  static constexpr std::size_t size_bytes = 28;

  arp_operation operation = arp_operation::request;
  mac_address sender_mac;
  ipv4_address sender;  ///< 0.0.0.0 in a probe
  mac_address target_mac;
  ipv4_address target;

  [[nodiscard]] bool is_probe() const {
    return sender == ipv4_address{} && operation == arp_operation::request;
  }
  [[nodiscard]] bool is_announcement() const {
    return sender == target && operation == arp_operation::request;
  }
  void emit(std::span<std::byte> into) const;
  /// Errors: too_short; unsupported (other hardware or protocol, or operation).
  [[nodiscard]] static parsed<arp_packet> parse(std::span<std::byte const> packet);
};

}  // namespace morgana::net::wire
