// Numbers an outsider must not guess: initial sequence numbers (RFC 6528), ephemeral ports (RFC 6056,
// algorithm 5), timestamp offsets (RFC 7323 5.4) and SYN cookies (RFC 4987 3.6).
#pragma once

#include <cstdint>
#include <optional>

#include "flow.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

class identifiers {
 public:
  explicit identifiers(keyed_secrets const& secrets) : secrets_(secrets), ports_(secrets.ports) {
    port_ = static_cast<std::uint16_t>(ports_.next());
  }

  struct initial {
    wire::sequence number;
    std::uint32_t timestamp_offset;
  };
  /// Both halves of the flow's hash (flow_table::hash): the offset, which everybody on the way can see, says nothing
  /// of the number.
  [[nodiscard]] static initial begin(std::uint64_t hash, instant now) {
    return {{static_cast<std::uint32_t>(hash) + static_cast<std::uint32_t>(now.time_since_epoch() / 4us)},
            static_cast<std::uint32_t>(hash >> 32)};
  }
  /// The offset when the number is a cookie.
  [[nodiscard]] std::uint32_t timestamp_offset(flow_key const& key) const {
    return static_cast<std::uint32_t>(hash_flow(secrets_.timestamps, key));
  }
  /// The next candidate of the dynamic ports (RFC 6335): a step of random size on from the last.
  [[nodiscard]] std::uint16_t next_port() {
    if (steps_left_ == 0) {
      steps_ = ports_.next();
      steps_left_ = sizeof steps_ / 2;
    }
    // Sixteen bits for each step: none is likelier than another by more than one in 131.
    port_ = static_cast<std::uint16_t>(port_ + 1 + ((steps_ & 0xffffu) * port_step_max >> 16));
    steps_ >>= 16;
    --steps_left_;
    return static_cast<std::uint16_t>(ephemeral_first + port_ % ephemeral_count);
  }
  static constexpr std::uint32_t ephemeral_first = 49'152 - 16'384;  ///< 32768 to 65535
  static constexpr std::uint32_t ephemeral_count = 32'768;

  /// The initial sequence number that says all that must be remembered of a SYN.
  [[nodiscard]] wire::sequence cookie(flow_key const& key, wire::sequence peer_initial,
                                      std::uint16_t segment_bytes, instant now) const;
  static constexpr duration cookie_lifetime = 180s;
  /// The MSS it stands for, or nothing when it is not one of ours or older than two to three minutes.
  [[nodiscard]] std::optional<std::uint16_t> check_cookie(flow_key const& key, wire::sequence peer_initial,
                                                          wire::sequence cookie, instant now) const;

 private:
  static constexpr std::uint64_t port_step_max = 500;
  keyed_secrets secrets_;
  random_stream ports_;
  std::uint64_t steps_ = 0;  ///< random bits for the next few
  std::uint8_t steps_left_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace morgana::net::tcp
