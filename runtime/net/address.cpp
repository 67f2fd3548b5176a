#include "morgana/net/address.hpp"

#include <algorithm>

namespace morgana::net {

// ---- questions ---------------------------------------------------------------------------------------

bool ip_address::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;  // RFC 1122, 3.2.1.3
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t b) { return b == 0; });
}

bool cidr::contains(ip_address const& other) const {
  if (other.is_v6() != address.is_v6()) return false;
  auto const mine = address.v6().bytes;
  auto const theirs = other.v6().bytes;
  std::size_t const most = address.is_v6() ? 128 : 32;
  std::size_t const bits = std::min<std::size_t>(prefix_bits, most);
  for (std::size_t i = 0; i < bits; i += 8) {
    auto const mask = bits - i >= 8 ? 0xffu : 0xffu << (8 - (bits - i)) & 0xffu;
    if (((mine[i / 8] ^ theirs[i / 8]) & mask) != 0) return false;
  }
  return true;
}

// ---- writing -----------------------------------------------------------------------------------------

void write_text(text_writer& out, mac_address const& value) {
  for (std::size_t i = 0; i < value.bytes.size(); ++i) {
    if (i != 0) out.put(':');
    out.put_unsigned(value.bytes[i], 16, 2, '0');
  }
}

void write_text(text_writer& out, ipv4_address const& value) {
  for (std::size_t i = 0; i < value.bytes.size(); ++i) {
    if (i != 0) out.put('.');
    out.put_unsigned(value.bytes[i]);
  }
}

// RFC 5952, 4: lower case, no leading zeros, the longest run of two or more zero groups (the first of equal
// ones) as "::"; 5: IPv4-mapped addresses with their last 32 bits dotted.
void write_text(text_writer& out, ipv6_address const& value) {
  auto const group = [&](std::size_t i) {
    return static_cast<unsigned>(value.bytes[2 * i] << 8 | value.bytes[2 * i + 1]);
  };
  bool const is_mapped =
      std::all_of(value.bytes.begin(), value.bytes.begin() + 10, [](std::uint8_t b) { return b == 0; }) &&
      group(5) == 0xffff;
  if (is_mapped) {
    ipv4_address tail;
    std::copy_n(value.bytes.begin() + 12, 4, tail.bytes.begin());
    out.put("::ffff:");
    return write_text(out, tail);
  }
  std::size_t gap = 8;
  std::size_t gap_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t length = 0;
    while (i + length < 8 && group(i + length) == 0) ++length;
    if (length > gap_length) gap = i, gap_length = length;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == gap) {
      out.put("::");
      i += gap_length - 1;
      continue;
    }
    if (i != 0 && i != gap + gap_length) out.put(':');
    out.put_unsigned(group(i), 16);
  }
}

void write_text(text_writer& out, ip_address const& value) {
  value.is_v6() ? write_text(out, value.v6()) : write_text(out, value.v4());
}

void write_text(text_writer& out, endpoint const& value) {
  if (value.address.is_v6()) out.put('[');
  write_text(out, value.address);
  if (value.address.is_v6()) out.put(']');
  out.put(':');
  out.put_unsigned(value.port);
}

void write_text(text_writer& out, cidr const& value) {
  write_text(out, value.address);
  out.put('/');
  out.put_unsigned(value.prefix_bits);
}

}  // namespace morgana::net
