// Boot options of the direct stack, `--network.NAME=VALUE`, and what they make of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "morgana/core/log.hpp"
#include "morgana/core/options.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/core.hpp"

namespace morgana::net {

/// "10.0.0.2/24", "dhcp" or "none".
struct ipv4_setting {
  enum class mode : std::uint8_t { none, dhcp, fixed };
  mode how = mode::none;
  cidr address;  ///< of mode::fixed
  constexpr ipv4_setting() = default;
  constexpr ipv4_setting(mode which, cidr const& fixed) : how(which), address(fixed) {}
  consteval ipv4_setting(char const* text)
      : ipv4_setting(parse(text).value()) {}  // NOLINT: implicit on purpose
  friend auto operator<=>(ipv4_setting const&, ipv4_setting const&) = default;
  [[nodiscard]] static constexpr std::optional<ipv4_setting> parse(std::string_view text) {
    if (text == "none") return ipv4_setting();
    if (text == "dhcp") return ipv4_setting(mode::dhcp, {});
    auto const fixed = cidr::parse(text);
    if (!fixed || !fixed->address.is_v4()) return std::nullopt;
    return ipv4_setting(mode::fixed, *fixed);
  }
};

/// "none", or up to four of "2001:db8::2/64", with commas between.
struct ipv6_setting {
  static constexpr std::size_t addresses_max = 4;
  std::array<cidr, addresses_max> addresses{};
  std::uint8_t count = 0;
  constexpr ipv6_setting() = default;
  consteval ipv6_setting(char const* text)
      : ipv6_setting(parse(text).value()) {}  // NOLINT: implicit on purpose
  friend auto operator<=>(ipv6_setting const&, ipv6_setting const&) = default;
  [[nodiscard]] std::span<cidr const> all() const { return std::span(addresses).first(count); }
  [[nodiscard]] static constexpr std::optional<ipv6_setting> parse(std::string_view text) {
    ipv6_setting made;
    if (text == "none") return made;
    for (;;) {
      auto const comma = text.find(',');
      auto const one = cidr::parse(text.substr(0, comma));
      if (!one || !one->address.is_v6() || made.count == addresses_max) return std::nullopt;
      made.addresses[made.count++] = *one;
      if (comma == std::string_view::npos) return made;
      text.remove_prefix(comma + 1);
    }
  }
};

void write_text(text_writer& out, ipv4_setting const& value);
void write_text(text_writer& out, ipv6_setting const& value);

struct direct_stack_options {
  /// IPv4 address with its prefix; or dhcp, or none.
  ipv4_setting ipv4 = "10.0.0.2/24";
  /// Default router of IPv4.
  std::optional<ipv4_address> gateway;
  /// IPv6 addresses with their prefixes, with commas between; or none. A link-local one comes by itself.
  ipv6_setting ipv6 = "none";
  /// Default router of IPv6, where none advertises itself.
  std::optional<ipv6_address> ipv6_gateway;
  /// Take IPv6 addresses and routers from router advertisements.
  bool accept_ra = true;
  /// Also make temporary IPv6 addresses (RFC 8981), and prefer them for outgoing connections.
  bool temporary_addresses = false;
  /// Ask whether an address is taken before trusting it (RFC 5227, RFC 4862); it is used meanwhile.
  bool detect_conflicts = true;
  /// Text that stable IPv6 addresses are made from (RFC 7217): the same text, the same addresses at each
  /// boot. Empty: other ones at each boot.
  std::string address_secret;
  /// Largest IP packet, bytes; 0: the device's.
  std::uint32_t mtu = 0;
  /// VLAN to be in (IEEE 802.1Q), 1 to 4094; 0: frames without a tag.
  std::uint16_t vlan = 0;
  /// Largest number of TCP connections.
  std::uint32_t connections = 65'536;
  /// Most memory for data that is sent, and for small pieces that arrived, MiB; at most a quarter of the guest's.
  std::uint32_t buffers_mib = 64;
};

/// Checks what can be wrong, says it in one line of the log, and gives core_error::invalid_argument.
[[nodiscard]] result<core_configuration> configuration_of(direct_stack_options const& options,
                                                          device_capabilities const& device,
                                                          log_source const& log);

}  // namespace morgana::net
