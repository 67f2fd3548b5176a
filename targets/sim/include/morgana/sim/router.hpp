// A router between Ethernet segments (RFC 1812, RFC 8200 and 4443 as far as hosts notice): forwards by the
// longest prefix, counts hops down, cuts IPv4 packets that may be cut and answers those that may not, finds
// neighbours by ARP and neighbour discovery, and says what it cannot deliver. An address_translator may stand
// at one of its ports.
//
// Like middleboxes and oracles it uses none of the stack's code: it is what the stack is judged against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "morgana/net/address.hpp"
#include "morgana/sim/address_translator.hpp"
#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/node.hpp"
#include "morgana/sim/packet.hpp"

namespace morgana::sim {

struct router_port {
  std::array<std::uint8_t, 6> mac{};
  net::cidr v4, v6;  ///< its own addresses, each with the prefix that is on its link
  /// Largest packet that its link carries; below 1280 IPv6 has 1280 all the same (RFC 8200 5: the link's own
  /// affair).
  std::uint32_t mtu_bytes = 1500;
};

struct router_route {
  net::cidr to;
  std::size_t port = 0;
  std::optional<net::ip_address> gateway;  ///< none: on the link
};

struct router_counters {
  std::uint64_t forwarded = 0, fragmented = 0, fragments = 0, too_big = 0, expired = 0, no_route = 0;
  std::uint64_t unresolved = 0, errors_sent = 0, errors_suppressed = 0, malformed = 0, not_translated = 0;
};

class router : public node {
 public:
  static constexpr std::size_t waiting_max = 16;  ///< packets that wait for one neighbour
  static constexpr std::uint32_t errors_per_s = 1'000;
  /// What ARP said is asked again after this: nothing protects it from corruption.
  static constexpr duration neighbor_lifetime = 30s;

  /// The prefixes of the ports are routes, too.
  router(std::vector<router_port> ports, std::vector<router_route> routes);

  /// What leaves through `port` over IPv4 has the address of that port from then on; what comes back has its
  /// own again.
  void translate_at(std::size_t port, translator_settings const& how);
  [[nodiscard]] address_translator* translator() { return translator_ ? &*translator_ : nullptr; }
  [[nodiscard]] router_counters const& counters() const { return counters_; }

  [[nodiscard]] std::size_t ports() const override { return ports_.size(); }
  void receive(std::size_t port, frame& arrived, instant now) override;
  bool poll_transmit(std::size_t port, frame& into, instant) override { return out_.take(port, into); }
  [[nodiscard]] instant next_deadline() const override;
  void on_deadline(instant now) override;

 private:
  /// An address of either family; IPv4's stand in the first four bytes.
  struct address {
    std::array<std::byte, 16> bytes{};
    bool is_v6 = false;
    friend auto operator<=>(address const&, address const&) = default;
  };
  struct prefix {
    address network;
    std::uint8_t bits = 0;
    std::size_t port = 0;
    std::optional<address> gateway;
  };
  struct neighbor {
    std::size_t port = 0;
    bool is_known = false;
    std::array<std::byte, 6> mac{};
    std::vector<frame> waiting;
    std::uint8_t asked = 0;
    instant again = never;
    instant until{};
  };

  [[nodiscard]] static address of(net::ip_address const& from);
  [[nodiscard]] static address read(std::span<std::byte const> bytes);
  [[nodiscard]] static bool covers(prefix const& which, address const& one);
  [[nodiscard]] prefix const* find_route(address const& to) const;
  [[nodiscard]] address own(std::size_t port, bool is_v6) const { return own_[port][is_v6 ? 1 : 0]; }
  [[nodiscard]] bool is_own(address const& one) const;

  void on_arp(std::size_t port, frame const& seen, instant now);
  /// True when it was neighbour discovery or an echo request to this router.
  void on_own(std::size_t port, frame const& seen, packet const& at, instant now);
  void forward(std::size_t port, frame&& seen, packet const& at, instant now);
  void send_cut(prefix const& by, frame&& whole, packet const& at, address const& to, instant now);
  void send_to(prefix const& by, address const& to, frame&& made, instant now);
  void ask(address const& whom, neighbor& about);
  void learn(std::size_t port, address const& who, std::span<std::byte const> mac, instant now);
  void send_error(std::size_t port, frame const& about, packet const& at, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest, instant now);
  [[nodiscard]] frame start_frame(std::size_t port, bool is_v6) const;

  std::vector<router_port> ports_;
  std::vector<std::array<address, 2>> own_;
  std::vector<prefix> routes_;
  outbox out_;
  std::map<address, neighbor> neighbors_;
  std::optional<address_translator> translator_;
  std::size_t translated_port_ = 0;
  std::uint32_t errors_left_ = errors_per_s;
  instant errors_since_{};
  std::uint16_t next_identification_ = 1;
  router_counters counters_;
};

}  // namespace morgana::sim
