// What routers tell an IPv6 host (RFC 4861 6.3): who is a default router and for how long, which prefixes are on
// the link, which addresses to make of them (RFC 4862 5.5, stable ones by RFC 7217, temporary ones by RFC 8981).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "../icmp/router_advertisement.hpp"
#include "address_table.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/core.hpp"

namespace morgana::net::host {

class router_discovery {
 public:
  router_discovery(core_configuration const& configuration, keyed_secrets const& secrets, address_table& addresses);

  /// Makes the link-local address and begins to ask for routers.
  void start(instant now);

  /// An advertisement that passed RFC 4861 6.1.2, from the link-local address `from`.
  void advertised(wire::router_advertisement const& what, ip_address const& from, instant now);
  /// The address made of a prefix was a duplicate: another is tried, three times (RFC 7217 6).
  void duplicated(ip_address const& address, address_origin origin, instant now);
  /// A router's link address is gone: another is preferred while there is one.
  void unreachable(ip_address const& router);

  /// The length of the longest on-link prefix that `address` is in; -1: none.
  [[nodiscard]] int on_link_bits(ip_address const& address) const;
  [[nodiscard]] std::optional<ip_address> default_router() const;
  [[nodiscard]] std::vector<ip_address> name_servers() const;
  [[nodiscard]] std::optional<std::uint32_t> mtu_bytes() const { return mtu_bytes_; }
  [[nodiscard]] std::uint8_t hop_limit() const { return hop_limit_; }
  [[nodiscard]] bool is_managed() const { return managed_; }
  [[nodiscard]] bool has_other_configuration() const { return other_; }
  [[nodiscard]] std::size_t routers() const { return routers_.size(); }

  [[nodiscard]] instant next_deadline() const { return next_due_; }
  /// Whether a router solicitation is to be sent now; also forgets what is over.
  [[nodiscard]] bool on_deadline(instant now);

 private:
  struct router {
    ip_address address;
    instant until;
    bool is_suspect = false;
  };
  struct prefix {
    cidr on_link;
    instant until;
  };
  void form(wire::advertised_prefix const& one, instant now);
  void make_stable(cidr const& prefix, address_origin origin, std::uint8_t attempt, instant preferred, instant valid,
                   instant now);
  void make_temporary(cidr const& prefix, duration preferred, duration valid, instant now);
  void refresh();

  core_configuration const& configuration_;
  siphash_key key_;
  random_stream random_;
  address_table& addresses_;
  std::vector<router> routers_;
  std::vector<prefix> prefixes_;
  std::vector<ip_address> name_servers_;
  instant name_servers_until_ = never;
  std::optional<std::uint32_t> mtu_bytes_;
  std::uint8_t hop_limit_ = 64;
  bool managed_ = false;
  bool other_ = false;
  std::uint8_t solicitations_left_ = 0;
  instant solicit_at_ = never;
  instant next_due_ = never;
};

}  // namespace morgana::net::host
