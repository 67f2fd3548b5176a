// Hosts wired together in memory, in virtual time: what one transmits the others receive, at once.
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "morgana/net/core.hpp"
#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/udp.hpp"

namespace morgana::net::testing {

using bytes = std::vector<std::byte>;

inline ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }
inline cidr net_of(std::string_view text) { return cidr::parse(text).value(); }
inline mac_address mac(std::uint8_t number) { return {{2, 0, 0, 0, 0, number}}; }

inline bytes pattern(std::size_t size, std::uint8_t first = 0) {
  bytes made(size);
  for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<std::byte>(first + i * 7);
  return made;
}

inline keyed_secrets secrets_of(std::uint8_t number) {
  std::array<std::byte, 32> secret{};
  secret[0] = std::byte{number};
  return keyed_secrets::derive(secret);
}

/// IPv4 only, quiet, and with an address that needs no asking for.
inline core_configuration quiet(std::uint8_t number, std::string_view address) {
  core_configuration made;
  made.device.address = mac(number);
  made.addresses = {net_of(address)};
  made.router_advertisements = false;
  made.detect_conflicts = false;
  return made;
}

class host_under_test {
 public:
  host_under_test(core_configuration const& configuration, std::uint8_t number, instant now = instant{})
      : pool(2048, 16u << 20), host(std::make_unique<core>(configuration, secrets_of(number), pool, now)) {}

  core* operator->() { return host.get(); }

  /// Gives the bytes of one frame to the host.
  void receive(bytes const& frame, instant now, checksum_state state = checksum_state::unchecked) {
    segment one;
    REQUIRE(frame.size() <= pool.buffer_bytes());
    auto part = pool.take_slice(frame.size());
    std::copy(frame.begin(), frame.end(), part.writable().begin());
    REQUIRE(one.append(std::move(part)));
    one.checksum = state;
    host->input(std::span(&one, 1), now);
  }
  /// Everything it has to send now.
  std::vector<bytes> sent(instant now) {
    std::vector<bytes> all;
    std::array<segment, 4> out;
    while (auto const count = host->poll_transmit(out, now)) {
      for (std::size_t i = 0; i < count; ++i) {
        bytes frame(out[i].size());
        REQUIRE(out[i].copy_out(0, frame));
        all.push_back(std::move(frame));
        out[i].clear();
      }
    }
    return all;
  }

  buffer_pool pool;
  std::unique_ptr<core> host;
};

/// One Ethernet. `filter` may drop or change what passes: it gets the sender's index and the frame.
class ethernet {
 public:
  host_under_test& add(core_configuration const& configuration) {
    auto const number = static_cast<std::uint8_t>(hosts.size() + 1);
    return *hosts.emplace_back(std::make_unique<host_under_test>(configuration, number, now));
  }

  /// Moves frames until nobody has any more; says how many passed.
  std::size_t settle() {
    std::size_t passed = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t from = 0; from < hosts.size(); ++from) {
        for (auto const& frame : hosts[from]->sent(now)) {
          moved = true;
          ++passed;
          REQUIRE(passed < 100'000);
          frames.push_back(frame);
          if (filter && !filter(from, frame)) continue;
          for (std::size_t to = 0; to < hosts.size(); ++to) {
            if (to != from) hosts[to]->receive(frame, now);
          }
        }
      }
    }
    return passed;
  }

  /// Lets time pass, stopping at every deadline of every host.
  void run(duration length) {
    auto const end = now + length;
    settle();
    for (;;) {
      auto next = never;
      for (auto& one : hosts) next = std::min(next, (*one)->next_deadline());
      if (next > end) break;
      now = std::max(now, next);
      for (auto& one : hosts) (*one)->on_deadline(now);
      settle();
    }
    now = end;
  }

  std::vector<std::unique_ptr<host_under_test>> hosts;
  std::function<bool(std::size_t, bytes const&)> filter;
  std::vector<bytes> frames;             ///< all that passed
  instant now{};
};

// ---- packets made by hand ----------------------------------------------------------------------------

inline bytes operator+(bytes left, bytes const& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline bytes ethernet_frame(mac_address const& to, mac_address const& from, wire::ether_type type, bytes const& payload) {
  wire::ethernet_header header;
  header.destination = to;
  header.source = from;
  header.type = type;
  bytes head(header.encoded_bytes());
  header.emit(head);
  return head + payload;
}

inline bytes arp_frame(mac_address const& to, wire::arp_packet const& packet) {
  bytes body(wire::arp_packet::size_bytes);
  packet.emit(body);
  return ethernet_frame(to, packet.sender_mac, wire::ether_type::arp, body);
}

struct ipv4_options {
  std::uint16_t identification = 1;
  std::uint16_t offset = 0;
  bool more = false;
  std::uint8_t hop_limit = 64;
};
inline bytes ipv4_packet(ip_address const& from, ip_address const& to, wire::protocol protocol, bytes const& payload,
                         ipv4_options const& options = {}) {
  wire::ipv4_header header;
  header.source = from.v4();
  header.destination = to.v4();
  header.protocol = protocol;
  header.identification = options.identification;
  header.fragment_offset_bytes = options.offset;
  header.more_fragments = options.more;
  header.hop_limit = options.hop_limit;
  header.total_bytes = static_cast<std::uint16_t>(20 + payload.size());
  bytes head(20);
  header.emit(head);
  return head + payload;
}

inline bytes ipv6_packet(ip_address const& from, ip_address const& to, wire::protocol next, bytes const& payload,
                         std::uint8_t hop_limit = 64) {
  wire::ipv6_header header;
  header.source = from.v6();
  header.destination = to.v6();
  header.next_header = next;
  header.hop_limit = hop_limit;
  header.payload_bytes = static_cast<std::uint16_t>(payload.size());
  bytes head(40);
  header.emit(head);
  return head + payload;
}

inline bytes udp_datagram(endpoint const& from, endpoint const& to, bytes const& payload) {
  wire::udp_header header{from.port, to.port, static_cast<std::uint16_t>(8 + payload.size()), 0};
  bytes whole(8);
  header.emit(whole);
  whole = whole + payload;
  wire::checksum sum;
  sum.add_pseudo_header(from.address, to.address, 17, header.total_bytes);
  sum.add(whole);
  wire::store16(whole, 6, sum.finish() == 0 ? std::uint16_t{0xffff} : sum.finish());
  return whole;
}

/// Type, code and `rest`, then the body; with its checksum.
inline bytes icmp_message(bool is_v6, ip_address const& from, ip_address const& to, std::uint8_t type,
                          std::uint8_t code, std::uint32_t rest, bytes const& body) {
  wire::icmp_header header;
  header.type = type;
  header.code = code;
  header.rest = rest;
  bytes whole(8);
  header.emit(whole);
  whole = whole + body;
  wire::checksum sum;
  if (is_v6) sum.add_pseudo_header(from, to, 58, static_cast<std::uint32_t>(whole.size()));
  sum.add(whole);
  wire::store16(whole, 2, sum.finish());
  return whole;
}

/// What is in an Ethernet frame.
inline wire::ethernet_header link_of(bytes const& frame) { return wire::ethernet_header::parse(frame).value(); }
inline bytes payload_of(bytes const& frame) {
  return {frame.begin() + static_cast<std::ptrdiff_t>(link_of(frame).encoded_bytes()), frame.end()};
}

}  // namespace morgana::net::testing
