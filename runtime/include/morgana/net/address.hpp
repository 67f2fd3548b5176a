// Addresses: plain values with a checked text form. IPv6 text is RFC 5952; IPv4-mapped IPv6 stays IPv6.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "morgana/core/options.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/text.hpp"
#include "morgana/net/error.hpp"
#include "morgana/net/features.hpp"

namespace morgana::net {

enum class address_family : std::uint8_t { any, v4, v6 };

/// An Ethernet address (IEEE 802), in wire order.
struct mac_address {
  std::array<std::uint8_t, 6> bytes{};
  friend auto operator<=>(mac_address const&, mac_address const&) = default;
  [[nodiscard]] static constexpr std::optional<mac_address> parse(std::string_view text);   ///< "02:00:5e:10:00:01"
};

/// RFC 791; in wire order.
struct ipv4_address {
  std::array<std::uint8_t, 4> bytes{};
  friend auto operator<=>(ipv4_address const&, ipv4_address const&) = default;
  [[nodiscard]] static constexpr std::optional<ipv4_address> parse(std::string_view text);  ///< strict dotted quad
  static constexpr std::size_t text_bytes_max = 15;
};

/// RFC 4291; in wire order. Zones are not part of an address.
struct ipv6_address {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(ipv6_address const&, ipv6_address const&) = default;
  [[nodiscard]] static constexpr std::optional<ipv6_address> parse(std::string_view text);
  static constexpr std::size_t text_bytes_max = 39;
};

/// Either family.
class ip_address {
 public:
  constexpr ip_address() = default;                                   ///< 0.0.0.0
  constexpr ip_address(ipv4_address v4) : is_v6_(false) {             // NOLINT: implicit on purpose
    for (std::size_t i = 0; i < 4; ++i) bytes_[i] = v4.bytes[i];
  }
  constexpr ip_address(ipv6_address v6) : bytes_(v6.bytes), is_v6_(true) {}  // NOLINT: implicit on purpose

  [[nodiscard]] constexpr bool is_v4() const { return !is_v6(); }
  [[nodiscard]] constexpr bool is_v6() const {
    if consteval {
      return is_v6_;
    } else {
      return is_v6_ && features::ipv6;
    }
  }
  /// An IPv6 address in an image without IPv6 (features.hpp): nobody's, and unreachable. `::` stands for any address, and
  /// is as good as 0.0.0.0 there.
  [[nodiscard]] bool is_left_out() const { return is_v6_ && !features::ipv6 && !is_unspecified(); }
  [[nodiscard]] constexpr ipv4_address v4() const {                   ///< only when is_v4()
    return {{bytes_[0], bytes_[1], bytes_[2], bytes_[3]}};
  }
  [[nodiscard]] constexpr ipv6_address v6() const { return {bytes_}; }  ///< only when is_v6()
  /// Its words as they lie in memory, for a pseudo-header's checksum (RFC 9293 3.1, RFC 8200 8.1).
  [[nodiscard]] std::uint64_t sum() const {
    std::uint32_t word[4];
    std::memcpy(word, bytes_.data(), sizeof word);
    return std::uint64_t{word[0]} + word[1] + word[2] + word[3];   // IPv4's other bytes are zero
  }
  [[nodiscard]] bool is_unspecified() const { return sum() == 0; }
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] constexpr bool is_multicast() const { return is_v6() ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0; }

  friend auto operator<=>(ip_address const&, ip_address const&) = default;
  [[nodiscard]] static constexpr std::optional<ip_address> parse(std::string_view text);

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool is_v6_ = false;
};

/// An address and a port: "10.0.0.2:80", "[2001:db8::1]:80".
struct endpoint {
  ip_address address;
  std::uint16_t port = 0;                                             ///< host order
  friend auto operator<=>(endpoint const&, endpoint const&) = default;
  [[nodiscard]] static constexpr std::optional<endpoint> parse(std::string_view text);
};

/// An address with a prefix length: "10.0.0.2/24".
struct cidr {
  ip_address address;
  std::uint8_t prefix_bits = 0;
  friend auto operator<=>(cidr const&, cidr const&) = default;
  [[nodiscard]] bool contains(ip_address const& other) const;
  [[nodiscard]] static constexpr std::optional<cidr> parse(std::string_view text);
};

void write_text(text_writer& out, mac_address const& value);
void write_text(text_writer& out, ipv4_address const& value);
void write_text(text_writer& out, ipv6_address const& value);
void write_text(text_writer& out, ip_address const& value);
void write_text(text_writer& out, endpoint const& value);
void write_text(text_writer& out, cidr const& value);

}  // namespace morgana::net

namespace morgana {
/// Every type with a static parse() that gives an optional: the addresses above, and an application's own.
template <class T>
  requires requires(std::string_view text) {
    { T::parse(text) } -> std::same_as<std::optional<T>>;
  }
struct option_parser<T> {
  static constexpr std::string_view placeholder = "ADDRESS";
  static constexpr result<T> parse(std::string_view text) {
    if (auto value = T::parse(text)) return *value;
    return failure(net::net_error::invalid_address);
  }
};
}  // namespace morgana

#include "morgana/net/address_parse.hpp"
