// Where packets go next: the longest prefix wins (RFC 1122 3.3.1), for both families in one table.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/core.hpp"

namespace morgana::net::host {

class routing_table {
 public:
  explicit routing_table(std::size_t limit) : limit_(limit) {}

  /// Replaces the route of the same prefix. Errors: invalid_address (families differ, impossible prefix),
  /// limit_reached.
  [[nodiscard]] result<void> add(route const& one);
  /// Whether there was one.
  bool remove(cidr const& destination);
  void remove_gateway(ip_address const& gateway);

  [[nodiscard]] route const* find(ip_address const& destination) const;
  [[nodiscard]] std::vector<route> const& all() const { return routes_; }

 private:
  std::size_t limit_;
  std::vector<route> routes_;   ///< longest prefixes first
};

/// The address with all bits after the prefix cleared.
[[nodiscard]] cidr network_of(cidr const& one);
/// How many leading bits are equal; of the same family.
[[nodiscard]] unsigned common_prefix(ip_address const& a, ip_address const& b);

}  // namespace morgana::net::host
