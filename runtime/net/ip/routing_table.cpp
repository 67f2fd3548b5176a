#include "routing_table.hpp"

#include <algorithm>
#include <bit>

namespace morgana::net::host {

cidr network_of(cidr const& one) {
  auto bytes = one.address.v6().bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto const kept = static_cast<unsigned>(std::clamp<int>(one.prefix_bits - static_cast<int>(i) * 8, 0, 8));
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  if (one.address.is_v6()) return {ipv6_address{bytes}, one.prefix_bits};
  ipv4_address four;
  std::copy_n(bytes.begin(), 4, four.bytes.begin());
  return {four, one.prefix_bits};
}

unsigned common_prefix(ip_address const& a, ip_address const& b) {
  auto const left = a.v6().bytes;
  auto const right = b.v6().bytes;
  std::size_t const size = a.is_v6() ? 16 : 4;
  unsigned bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    auto const differ = static_cast<std::uint8_t>(left[i] ^ right[i]);
    if (differ != 0) return bits + static_cast<unsigned>(std::countl_zero(differ));
    bits += 8;
  }
  return bits;
}

result<void> routing_table::add(route const& one) {
  bool const fits = one.destination.prefix_bits <= (one.destination.address.is_v6() ? 128 : 32);
  bool const same_family = !one.gateway || one.gateway->is_v6() == one.destination.address.is_v6();
  bool const left_out = one.destination.address.is_left_out() || (one.gateway && one.gateway->is_left_out());
  if (!fits || !same_family || left_out) return failure(net_error::invalid_address);
  auto added = one;
  added.destination = network_of(one.destination);
  auto const same = std::ranges::find(routes_, added.destination, &route::destination);
  if (same != routes_.end()) {
    *same = added;
    return {};
  }
  if (routes_.size() >= limit_) return failure(net_error::limit_reached, static_cast<std::int64_t>(limit_));
  auto const place = std::ranges::find_if(
      routes_, [&](route const& other) { return other.destination.prefix_bits < added.destination.prefix_bits; });
  routes_.insert(place, added);
  return {};
}

bool routing_table::remove(cidr const& destination) {
  return std::erase_if(routes_, [wanted = network_of(destination)](route const& one) {
           return one.destination == wanted;
         }) != 0;
}

void routing_table::remove_gateway(ip_address const& gateway) {
  std::erase_if(routes_, [&](route const& one) { return one.gateway == gateway; });
}

route const* routing_table::find(ip_address const& destination) const {
  for (auto const& one : routes_) {
    if (one.destination.contains(destination)) return &one;
  }
  return nullptr;
}

}  // namespace morgana::net::host
