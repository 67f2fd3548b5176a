// Multicast groups this host listens to, and when it must say so: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810), any
// source. When an older IGMP querier is heard, its version is spoken (RFC 3376 7.2.1).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"
#include "morgana/net/error.hpp"

namespace morgana::net::host {

class membership_events {
 public:
  enum class change : std::uint8_t { is_member, joined, left };
  /// Send one report. `version` is of the family's protocol: 2 or 3 for IGMP, 2 for MLD.
  virtual void report(ip_address const& group, change what, std::uint8_t version, instant now) = 0;

  virtual ~membership_events() = default;
};

class group_membership {
 public:
  group_membership(network_limits const& limits, keyed_secrets const& secrets);

  /// Joining twice counts twice. `events`, who outlives this, is told of all groups. Errors: invalid_address, limit_reached.
  [[nodiscard]] result<void> join(ip_address const& group, membership_events& events, instant now);
  void leave(ip_address const& group, instant now);
  [[nodiscard]] bool is_member(ip_address const& group) const;

  /// A query for one group, or for all of the family when `group` is unspecified.
  void queried(ip_address const& group, duration response_max, std::uint8_t version, instant now);

  [[nodiscard]] instant next_deadline() const { return next_due_; }
  void on_deadline(instant now);
  [[nodiscard]] std::size_t size() const { return groups_.size(); }

 private:
  struct entry {
    ip_address group;
    std::uint32_t users = 1;
    std::uint8_t joins_left = 0;     ///< unsolicited reports still to send
    instant due = never;
  };
  [[nodiscard]] duration upto(duration most);
  void set_due(entry& one, instant due);
  [[nodiscard]] std::uint8_t version_for(ip_address const& group, instant now) const;

  network_limits const& limits_;
  random_stream random_;
  membership_events* events_ = nullptr;   ///< since the first join()
  std::vector<entry> groups_;
  instant old_querier_until_{};      ///< an IGMPv2 querier was heard
  instant next_due_ = never;
};

}  // namespace morgana::net::host
