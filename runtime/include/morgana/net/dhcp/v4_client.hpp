// A DHCPv4 client without I/O (RFC 2131 4.4): keeps a host's lease, from the first broadcast to the release.
//
//   v4_client client({.hardware = mac}, limits, key);
//   client.start(now);
//   for (;;) {
//     while (auto out = client.poll_transmit(now)) send out->message from port 68 to out->to;
//     while (auto told = client.poll_event()) apply it to the host;
//     client.input(message received at port 68, now), or client.on_deadline(now) at client.next_deadline()
//   }
//
// Whoever applies a lease probes its address (RFC 5227), and tells conflict(): the client declines it and
// begins again. Lost messages are sent again after 4, 8, 16, 32, 64 seconds, give or take one (RFC 2131 4.1).
// Unlike 4.4.1 has it, the first goes out at once: a guest boots in milliseconds, and hosts booted together
// differ enough.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/dhcp/v4_message.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::dhcp {

/// What a server gave.
struct v4_lease {
  cidr address;  ///< with the subnet's prefix
  ipv4_address server;
  few<ipv4_address, v4_message::addresses_max>
      routers;  ///< the first is the default one; empty when `routes` is not
  few<v4_route, v4_message::routes_max> routes;
  few<ipv4_address, v4_message::addresses_max> name_servers;
  few<ipv4_address, v4_message::addresses_max> time_servers;
  std::optional<std::uint16_t> mtu_bytes;
  short_text domain;
  instant obtained;
  instant renew_at = never;
  instant rebind_at = never;
  instant expires = never;
};

/// RFC 2131 figure 5.
enum class v4_state : std::uint8_t {
  off,
  init,
  selecting,
  requesting,
  init_reboot,
  bound,
  renewing,
  rebinding,
};

struct v4_client_configuration {
  mac_address hardware;
  short_text host_name;                  ///< told to the server when not empty
  std::optional<ipv4_address> previous;  ///< an address of before: asked for first (INIT-REBOOT)
};

struct v4_client_counters {
  std::uint64_t sent = 0, received = 0, malformed = 0;
  std::uint64_t not_for_us = 0;  ///< another client's, an old transaction's, another server's
  std::uint64_t unusable = 0;    ///< offers and acknowledgments that lack an address, a lease time, a server
  std::uint64_t leases = 0, renewals = 0, refused = 0, declined = 0, expired = 0;
};

class v4_client {
 public:
  v4_client(v4_client_configuration const& configuration, dhcp_limits const& limits, siphash_key const& key);

  void start(instant now);
  /// A UDP payload received at port 68.
  void input(std::span<std::byte const> message, instant now);
  /// Somebody else uses the address: DECLINE (RFC 2131 3.1 5), then from the beginning after ten seconds.
  void conflict(instant now);
  /// Gives the lease back and stops; one more message may be there to send. Nobody answers it.
  void release(instant now);

  struct transmission {
    endpoint to;
    std::span<std::byte const> message;  ///< valid until the next call
  };
  [[nodiscard]] std::optional<transmission> poll_transmit(instant now);
  [[nodiscard]] instant next_deadline() const { return due_; }
  void on_deadline(instant now);

  struct event {
    enum class kind : std::uint8_t {
      bound,    ///< `lease` is to be used
      renewed,  ///< the same address; the rest may have changed
      lost,     ///< `lease` is not to be used any longer: expired, refused, declined
    };
    event::kind what;
    v4_lease const& lease;  ///< valid until the next call
  };
  [[nodiscard]] std::optional<event> poll_event();

  [[nodiscard]] v4_state state() const { return state_; }
  /// Only when bound, renewing or rebinding.
  [[nodiscard]] std::optional<v4_lease> const& lease() const { return lease_; }
  [[nodiscard]] v4_client_counters const& counters() const { return counters_; }

 private:
  void begin(instant now);
  void wait_before_beginning(duration length, instant now);
  void lose();
  void take_offer(v4_message const& offer, instant now);
  void take_acknowledgment(v4_message const& ack, instant now);
  void schedule_retry(instant now);
  [[nodiscard]] bool is_mine(v4_message const& message) const;
  [[nodiscard]] v4_message prepare(v4_type type, instant now) const;

  v4_client_configuration configuration_;
  dhcp_limits limits_;
  random_stream random_;
  few<std::byte, v4_message::client_identifier_bytes_max> identifier_;
  v4_state state_ = v4_state::off;
  instant due_ = never;
  instant began_{};
  std::uint32_t transaction_ = 0;
  std::uint32_t tries_ = 0;
  std::uint32_t refusals_ = 0;  ///< in a row: each makes the next beginning later
  std::optional<v4_message> offer_;
  std::optional<v4_lease> lease_;
  v4_lease lost_;
  bool wants_to_send_ = false;
  bool tell_lost_ = false, tell_bound_ = false, tell_renewed_ = false;
  std::optional<v4_type> farewell_;  ///< DECLINE or RELEASE of `lost_`
  std::array<std::byte, v4_message::bytes_max> message_;
  v4_client_counters counters_;
};

}  // namespace morgana::net::dhcp
