// How many ICMP errors may leave (RFC 1812 4.3.2.8, RFC 4443 2.4 f): so many per second in all, and so many to one
// host. The total is blurred, or who fills it up could read from it what others cause (CVE-2020-25705).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"
#include "token_bucket.hpp"

namespace morgana::net::host {

class icmp_error_limiter {
 public:
  icmp_error_limiter(network_limits const& limits, keyed_secrets const& secrets, instant now)
      : limits_(limits),
        key_(secrets.flows),
        random_({secrets.jitter.low ^ 0x6963'6d70, secrets.jitter.high}),
        all_(limits.icmp_errors_per_s, now) {}

  /// Whether one may go to `host` now; takes what that costs.
  [[nodiscard]] bool allow(ip_address const& host, instant now) {
    auto const bytes = host.v6().bytes;
    auto& mine = hosts_[siphash(key_, std::as_bytes(std::span(bytes))) % hosts_.size()];
    // Whoever shares a place with another host begins with a full bucket; the total still holds.
    if (mine.host != host || !mine.in_use) mine = {host, true, token_bucket(limits_.icmp_errors_per_host_per_s, now)};
    if (!mine.bucket.take(now) || !all_.take(now)) return false;
    if (random_.chance(62'500)) (void)all_.take(now);
    return true;
  }

 private:
  struct one_host {
    ip_address host;
    bool in_use = false;
    token_bucket bucket;
  };
  network_limits const& limits_;
  siphash_key key_;
  random_stream random_;
  token_bucket all_;
  std::array<one_host, 64> hosts_;
};

}  // namespace morgana::net::host
