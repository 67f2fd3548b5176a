#include "morgana/net/direct/options.hpp"

#include <algorithm>

namespace morgana::net {
namespace {

/// RFC 791: every link carries 68 bytes. RFC 8200 5: 1280, where there is IPv6.
constexpr std::uint32_t mtu_v4_min = 68;
constexpr std::uint32_t mtu_v6_min = 1280;
constexpr std::uint16_t vlan_max = 4094;
constexpr std::uint32_t buffers_mib_max = 1u << 20;

/// All zeroes or all ones behind the prefix: no host of that network (RFC 1122 3.2.1.3; RFC 3021 for /31).
bool is_host(cidr const& one) {
  if (one.address.is_unspecified() || one.address.is_multicast() || one.address.is_loopback()) return false;
  if (one.prefix_bits == 0) return false;
  if (one.address.is_v6() || one.prefix_bits >= 31) return true;
  std::uint32_t value = 0;
  for (auto const byte : one.address.v4().bytes) value = value << 8 | byte;
  auto const host = value & (UINT32_MAX >> one.prefix_bits);
  return host != 0 && host != UINT32_MAX >> one.prefix_bits;
}

}  // namespace

void write_text(text_writer& out, ipv4_setting const& value) {
  switch (value.how) {
    case ipv4_setting::mode::none:
      return out.put("none");
    case ipv4_setting::mode::dhcp:
      return out.put("dhcp");
    case ipv4_setting::mode::fixed:
      return write_text(out, value.address);
  }
}

void write_text(text_writer& out, ipv6_setting const& value) {
  if (value.count == 0) return out.put("none");
  for (std::size_t i = 0; i < value.count; ++i) {
    if (i != 0) out.put(',');
    write_text(out, value.addresses[i]);
  }
}

result<core_configuration> configuration_of(direct_stack_options const& options,
                                            device_capabilities const& device, log_source const& log) {
  auto const wrong = [] { return failure(core_error::invalid_argument); };
  core_configuration made;
  made.device = device;
  made.router_advertisements = features::ipv6 && options.accept_ra;
  made.temporary_addresses = options.temporary_addresses;
  made.detect_conflicts = options.detect_conflicts;

  if (!features::ipv6 && (options.ipv6.count != 0 || options.ipv6_gateway)) {
    log.error("ipv6: this image was configured without IPv6 (ipv6 = false)");
    return wrong();
  }
  if (!features::dhcp && options.ipv4.how == ipv4_setting::mode::dhcp) {
    log.error("ipv4: this image was configured without DHCP (dhcp = false): give an address with its prefix");
    return wrong();
  }
  auto const has_v4 = options.ipv4.how != ipv4_setting::mode::none;
  auto const has_v6 = features::ipv6 && (options.accept_ra || options.ipv6.count != 0);
  if (options.ipv4.how == ipv4_setting::mode::fixed) made.addresses.push_back(options.ipv4.address);
  for (auto const& one : options.ipv6.all()) made.addresses.push_back(one);
  for (auto const& one : made.addresses) {
    if (is_host(one)) continue;
    log.error("{}: {} is no address that a host can have", one.address.is_v4() ? "ipv4" : "ipv6", one);
    return wrong();
  }
  if (!has_v4 && !has_v6) {
    log.error("ipv4=none, ipv6=none and accept-ra=false leave the network without any address");
    return wrong();
  }

  auto const reaches = [&](ip_address const& router) {
    if (router.is_v6() && router.v6().bytes[0] == 0xfe && (router.v6().bytes[1] & 0xc0) == 0x80) return true;
    return std::ranges::any_of(
        made.addresses, [&](cidr const& one) { return one.contains(router) && one.address != router; });
  };
  auto const add_router = [&](std::string_view name, ip_address const& router) {
    if (!reaches(router)) {
      log.error("{}: {} is on none of the networks that this host has an address of", name, router);
      return false;
    }
    auto const everything = router.is_v4() ? ip_address(ipv4_address{}) : ip_address(ipv6_address{});
    made.routes.push_back({.destination = {everything, 0}, .gateway = router});
    return true;
  };
  if (options.gateway && options.ipv4.how != ipv4_setting::mode::dhcp &&
      !add_router("gateway", *options.gateway)) {
    return wrong();
  }
  if (options.ipv6_gateway && !add_router("ipv6-gateway", *options.ipv6_gateway)) return wrong();

  if (options.mtu != 0) {
    auto const least = has_v6 ? mtu_v6_min : mtu_v4_min;
    if (options.mtu < least || options.mtu > device.mtu_bytes) {
      log.error("mtu: {} is not between {} and {}, which is what {} asks for and what the device carries",
                options.mtu, least, device.mtu_bytes, has_v6 ? "IPv6" : "IPv4");
      return wrong();
    }
    made.device.mtu_bytes = options.mtu;
  }
  if (options.vlan > vlan_max) {
    log.error("vlan: {} is not between 1 and {}", std::uint32_t{options.vlan}, std::uint32_t{vlan_max});
    return wrong();
  }
  if (options.vlan != 0) made.vlan = options.vlan;
  if (options.connections == 0 || options.buffers_mib == 0 || options.buffers_mib > buffers_mib_max) {
    log.error("connections and buffers-mib must be 1 or more, buffers-mib at most {}", buffers_mib_max);
    return wrong();
  }
  made.limits.connections = options.connections;
  made.limits.time_wait = std::min(made.limits.time_wait, options.connections);
  return made;
}

}  // namespace morgana::net
