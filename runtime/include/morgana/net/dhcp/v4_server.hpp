// A DHCPv4 server without I/O (RFC 2131 4.3) for the clients of one link: a pool, reservations, a bounded
// table of leases in memory. Relayed messages are not served.
//
// A server that was restarted has an empty table. A client that asks for a free address of the pool it says
// it has gets it, so that a restart disturbs nobody; only an address that is another's, or not of this link,
// is refused.
//
// With `probe_addresses` a new address is offered only after probed() said that nobody answers for it, or
// after half a second (RFC 2131 2.2): poll_probe() says which one to ask for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/dhcp/v4_message.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::dhcp {

struct v4_server_configuration {
  ipv4_address address;      ///< the server's own, its identifier
  cidr subnet;               ///< of the link, such as 10.0.0.0/24
  ipv4_address first, last;  ///< the pool, both included; at most dhcp_limits::leases addresses
  struct reservation {
    mac_address hardware;
    ipv4_address address;  ///< within the subnet; inside the pool or outside of it
  };
  std::vector<reservation> reservations;
  duration lease_length = 1h;
  few<ipv4_address, v4_message::addresses_max> routers;
  few<v4_route, v4_message::routes_max> routes;
  few<ipv4_address, v4_message::addresses_max> name_servers;
  few<ipv4_address, v4_message::addresses_max> time_servers;
  std::optional<std::uint16_t> mtu_bytes;
  short_text domain;
  bool probe_addresses = false;

  /// Error: net_error::invalid_address (the pool or a reservation is not of the subnet, or the pool is
  /// empty), limit_reached (the pool is larger than the table of leases; detail is the limit).
  [[nodiscard]] result<void> check(dhcp_limits const& limits) const;
};

struct v4_server_counters {
  std::uint64_t received = 0, malformed = 0, relayed = 0, not_for_us = 0, rate_limited = 0;
  std::uint64_t offers = 0, acknowledgments = 0, refusals = 0, declines = 0, releases = 0, informs = 0;
  std::uint64_t pool_empty = 0;    ///< no address was free
  std::uint64_t leases_limit = 0;  ///< the table was full
  std::uint64_t conflicts = 0;     ///< an address to be offered was in use
};

class v4_server {
 public:
  enum class binding : std::uint8_t {
    probing,  ///< waits for probed()
    offered,
    bound,
    released,  ///< free, but remembered for its client
    declined,  ///< somebody uses it who has no lease
  };
  struct lease {
    ipv4_address address;
    mac_address hardware;
    few<std::byte, v4_message::client_identifier_bytes_max> client;
    v4_server::binding binding = binding::offered;
    instant until;  ///< of the binding
  };

  /// `configuration` passed check(). `key` spreads clients over the pool.
  v4_server(v4_server_configuration const& configuration, dhcp_limits const& limits, siphash_key const& key);

  /// A UDP payload received at port 67.
  void input(std::span<std::byte const> message, instant now);

  struct transmission {
    endpoint to;
    std::span<std::byte const> message;  ///< valid until the next call
  };
  /// The reply to the last input, or an offer that waited; call until nothing comes.
  [[nodiscard]] std::optional<transmission> poll_transmit(instant now);

  /// An address that somebody should be asked for with ARP or an echo.
  [[nodiscard]] std::optional<ipv4_address> poll_probe();
  void probed(ipv4_address address, bool is_in_use, instant now);
  [[nodiscard]] instant next_deadline() const;
  void on_deadline(instant now);

  [[nodiscard]] std::span<lease const> leases() const { return leases_; }
  [[nodiscard]] v4_server_counters const& counters() const { return counters_; }

 private:
  using identity = few<std::byte, v4_message::client_identifier_bytes_max>;
  void discover(v4_message const& in, instant now);
  void request(v4_message const& in, instant now);
  void reply(v4_message const& in, v4_type type, ipv4_address const& address);
  [[nodiscard]] lease* of_client(identity const& client);
  [[nodiscard]] lease* at_address(ipv4_address const& address);
  [[nodiscard]] std::optional<ipv4_address> reserved_for(mac_address const& hardware) const;
  [[nodiscard]] bool is_reserved(ipv4_address const& address) const;
  [[nodiscard]] bool in_pool(ipv4_address const& address) const;
  /// May `client` have it, by pool, reservations and other leases?
  [[nodiscard]] bool is_free_for(ipv4_address const& address, v4_message const& in, identity const& client,
                                 instant now);
  [[nodiscard]] std::optional<ipv4_address> choose(v4_message const& in, identity const& client, instant now);
  /// The client's entry, made when there is room.
  [[nodiscard]] lease* entry_for(v4_message const& in, identity const& client, ipv4_address const& address,
                                 instant now);
  [[nodiscard]] bool has_ended(lease const& one, instant now) const;

  v4_server_configuration configuration_;
  dhcp_limits limits_;
  siphash_key key_;
  std::vector<lease> leases_;
  std::vector<std::uint8_t> taken_;  ///< scratch of choose(): one for each address of the pool
  struct waiting_reply {
    v4_message message;
    endpoint to;
  };
  std::vector<waiting_reply> replies_;
  std::vector<ipv4_address> probes_;
  struct waiting_offer {
    v4_message question;
    ipv4_address address;
    instant until;
  };
  std::vector<waiting_offer> offers_;
  instant second_began_{};
  std::uint32_t this_second_ = 0;
  std::array<std::byte, v4_message::bytes_max> message_;
  v4_server_counters counters_;
};

}  // namespace morgana::net::dhcp
