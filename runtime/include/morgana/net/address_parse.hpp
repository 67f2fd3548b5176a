// Reading addresses: included by address.hpp, where the types are. constexpr, so that an address fixed when
// configuring is a constant of the image.
#pragma once

#include <algorithm>

#include "morgana/net/address.hpp"

namespace morgana::net {

namespace detail {

inline constexpr unsigned no_digit = 99;

constexpr unsigned digit_of(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return no_digit;
}

/// A decimal number up to `most`, without sign or leading zero.
constexpr std::optional<unsigned> parse_decimal(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  unsigned value = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + digit_of(c);
  }
  if (value > most) return std::nullopt;
  return value;
}

/// One to four hexadecimal digits.
constexpr std::optional<unsigned> parse_group(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (char const c : text) {
    auto const digit = digit_of(c);
    if (digit == no_digit) return std::nullopt;
    value = value << 4 | digit;
  }
  return value;
}

/// Groups between colons, the last of which may be a dotted quad; how many bytes were filled, or none.
constexpr std::optional<std::size_t> parse_groups(std::string_view text, std::span<std::uint8_t> into) {
  std::size_t filled = 0;
  if (text.empty()) return filled;
  for (;;) {
    auto const colon = text.find(':');
    auto const part = text.substr(0, colon);
    if (colon == text.npos && part.find('.') != part.npos) {
      auto const quad = ipv4_address::parse(part);
      if (!quad || into.size() - filled < 4) return std::nullopt;
      std::ranges::copy(quad->bytes, into.begin() + static_cast<std::ptrdiff_t>(filled));
      return filled + 4;
    }
    auto const group = parse_group(part);
    if (!group || into.size() - filled < 2) return std::nullopt;
    into[filled++] = static_cast<std::uint8_t>(*group >> 8);
    into[filled++] = static_cast<std::uint8_t>(*group);
    if (colon == text.npos) return filled;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace detail

constexpr std::optional<mac_address> mac_address::parse(std::string_view text) {
  mac_address parsed;
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < 6; ++i) {
    auto const high = detail::digit_of(text[i * 3]);
    auto const low = detail::digit_of(text[i * 3 + 1]);
    if (high == detail::no_digit || low == detail::no_digit || (i < 5 && text[i * 3 + 2] != ':'))
      return std::nullopt;
    parsed.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return parsed;
}

// Four decimal numbers and nothing else: forms such as "10.1" or "010.0.0.1" mean different addresses to
// different readers (RFC 6943, 3.1.1).
constexpr std::optional<ipv4_address> ipv4_address::parse(std::string_view text) {
  ipv4_address parsed;
  for (std::size_t i = 0; i < 4; ++i) {
    auto const dot = text.find('.');
    if ((dot == text.npos) != (i == 3)) return std::nullopt;
    auto const number = detail::parse_decimal(text.substr(0, dot), 255);
    if (!number) return std::nullopt;
    parsed.bytes[i] = static_cast<std::uint8_t>(*number);
    if (i < 3) text.remove_prefix(dot + 1);
  }
  return parsed;
}

// RFC 4291, 2.2: eight groups; "::" once, for one group of zeros or more; the last 32 bits may be dotted.
constexpr std::optional<ipv6_address> ipv6_address::parse(std::string_view text) {
  constexpr std::size_t text_bytes_longest = 45;  // six groups and a dotted quad
  if (text.size() > text_bytes_longest) return std::nullopt;
  ipv6_address parsed;
  auto const gap = text.find("::");
  if (gap == text.npos) {
    auto const filled = detail::parse_groups(text, parsed.bytes);
    if (!filled || *filled != 16) return std::nullopt;
    return parsed;
  }
  auto const before = text.substr(0, gap);
  auto const behind = text.substr(gap + 2);
  if (before.find('.') != before.npos) return std::nullopt;
  std::array<std::uint8_t, 16> tail{};
  auto const head_bytes = detail::parse_groups(before, parsed.bytes);
  auto const tail_bytes = detail::parse_groups(behind, tail);
  if (!head_bytes || !tail_bytes || *head_bytes + *tail_bytes > 14) return std::nullopt;
  std::copy_n(tail.begin(), *tail_bytes, parsed.bytes.end() - static_cast<std::ptrdiff_t>(*tail_bytes));
  return parsed;
}

constexpr std::optional<ip_address> ip_address::parse(std::string_view text) {
  if (text.find(':') == text.npos) {
    if (auto const v4 = ipv4_address::parse(text)) return ip_address(*v4);
    return std::nullopt;
  }
  if !consteval {
    if (!features::ipv6) return std::nullopt;
  }
  if (auto const v6 = ipv6_address::parse(text)) return ip_address(*v6);
  return std::nullopt;
}

constexpr std::optional<endpoint> endpoint::parse(std::string_view text) {
  auto const colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  auto const port = detail::parse_decimal(text.substr(colon + 1), 65'535);
  auto host = text.substr(0, colon);
  bool const bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  auto const address = ip_address::parse(host);
  // "::1:80" could be either: IPv6 needs its brackets (RFC 3986, 3.2.2).
  if (!port || !address || address->is_v6() != bracketed) return std::nullopt;
  return endpoint{*address, static_cast<std::uint16_t>(*port)};
}

constexpr std::optional<cidr> cidr::parse(std::string_view text) {
  auto const slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  auto const address = ip_address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  auto const bits = detail::parse_decimal(text.substr(slash + 1), address->is_v6() ? 128 : 32);
  if (!bits) return std::nullopt;
  return cidr{*address, static_cast<std::uint8_t>(*bits)};
}

}  // namespace morgana::net
