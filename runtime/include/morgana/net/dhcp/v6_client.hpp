// A DHCPv6 client without I/O (RFC 8415): stateful, for an address (IA_NA) and name servers, or stateless,
// for name servers alone. Router advertisements say which: start(mode::stateful) for M, mode::stateless for
// O.
//
//   v6_client client({.hardware = mac}, key);
//   client.start(v6_client::mode::stateful, now);
//   for (;;) {
//     while (auto out = client.poll_transmit(now)) send it from port 546 to [ff02::1:2]:547 of the link;
//     while (auto told = client.poll_event()) apply it to the host;
//     client.input(message received at port 546, now), or client.on_deadline(now) at client.next_deadline()
//   }
//
// Whoever applies a lease tests its address (DAD), and tells conflict(): the client declines it and begins
// again. Messages are sent again as section 15 has it. The random delay before the first one is left out, as
// in v4_client.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/core/time.hpp"
#include "morgana/net/dhcp/v6_message.hpp"
#include "morgana/net/keyed.hpp"

namespace morgana::net::dhcp {

struct v6_lease {
  ipv6_address address;  ///< unspecified when stateless
  few<ipv6_address, v6_message::servers_max> name_servers;
  v6_identifier server;
  instant preferred_until = never;
  instant valid_until = never;
  instant renew_at = never;
  instant rebind_at = never;
};

enum class v6_state : std::uint8_t {
  off,
  soliciting,
  requesting,
  confirming,
  bound,
  renewing,
  rebinding,
  releasing,
  declining,
  informing,  ///< INFORMATION-REQUEST sent
  informed,
};

struct v6_client_configuration {
  mac_address hardware;
  bool rapid_commit = true;  ///< two messages instead of four, where the server will (21.14)
};

struct v6_client_counters {
  std::uint64_t sent = 0, received = 0, malformed = 0, not_for_us = 0;
  std::uint64_t unusable = 0;  ///< replies without an address for us
  std::uint64_t leases = 0, renewals = 0, refused = 0, declined = 0, expired = 0;
};

class v6_client {
 public:
  enum class mode : std::uint8_t { stateful, stateless };

  v6_client(v6_client_configuration const& configuration, siphash_key const& key);

  void start(mode how, instant now);
  /// A UDP payload received at port 546.
  void input(std::span<std::byte const> message, instant now);
  /// The link may have changed: asks whether the address is still good for it (CONFIRM, 18.2.3).
  void confirm(instant now);
  /// Somebody else uses the address: DECLINE, then from the beginning.
  void conflict(instant now);
  /// Gives the lease back; the client stops when the server has confirmed it, or after four tries (18.2.7).
  void release(instant now);

  /// What to send to v6_all_servers; valid until the next call.
  [[nodiscard]] std::optional<std::span<std::byte const>> poll_transmit(instant now);
  [[nodiscard]] instant next_deadline() const;
  void on_deadline(instant now);

  struct event {
    enum class kind : std::uint8_t {
      bound,     ///< `lease` is to be used
      renewed,   ///< the same address, with other lifetimes or servers
      lost,      ///< `lease` is not to be used any longer
      informed,  ///< stateless: name servers
    };
    event::kind what;
    v6_lease const& lease;  ///< valid until the next call
  };
  [[nodiscard]] std::optional<event> poll_event();

  [[nodiscard]] v6_state state() const { return state_; }
  [[nodiscard]] std::optional<v6_lease> const& lease() const { return lease_; }
  [[nodiscard]] v6_client_counters const& counters() const { return counters_; }

 private:
  /// RFC 8415 15, table 1; a zero is no limit.
  struct schedule {
    duration initial;
    duration most;
    std::uint32_t tries = 0;
    duration length{};
  };
  [[nodiscard]] schedule times() const;
  void enter(v6_state next, instant now);
  void retry(instant now);
  void give_up(instant now);
  void lose();
  void take_advertisement(v6_message const& in, instant now);
  void take_reply(v6_message const& in, instant now);
  void bind(v6_message const& in, v6_address const& given, instant now);
  [[nodiscard]] v6_address const* usable(v6_message const& in) const;
  void learn_limits(v6_message const& in);

  v6_client_configuration configuration_;
  random_stream random_;
  v6_identifier identifier_;
  std::uint32_t association_;
  v6_state state_ = v6_state::off;
  std::uint32_t transaction_ = 0;
  instant began_{};
  instant due_ = never;  ///< of the next retransmission, or of T1 and the like
  duration wait_{};
  std::uint32_t tries_ = 0;
  duration solicit_retry_max_ = 3600s;
  duration inform_retry_max_ = 3600s;
  std::optional<v6_message> best_;  ///< advertisement
  std::optional<v6_lease> lease_;
  v6_lease lost_;
  bool wants_to_send_ = false;
  bool tell_lost_ = false, tell_bound_ = false, tell_renewed_ = false, tell_informed_ = false;
  std::array<std::byte, v6_message::bytes_max> message_;
  v6_client_counters counters_;
};

}  // namespace morgana::net::dhcp
