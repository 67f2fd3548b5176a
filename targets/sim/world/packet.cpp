#include "morgana/sim/packet.hpp"

#include <algorithm>

namespace morgana::sim {

namespace {

constexpr std::uint8_t icmp_v4 = 1, tcp = 6, udp = 17, icmp_v6 = 58;

/// Offset of the checksum field from the upper layer's header; nothing when it has none we know.
std::optional<std::size_t> checksum_offset(packet const& at) {
  if (at.is_fragment) return std::nullopt;
  auto const size = at.end - at.upper;
  switch (at.protocol) {
    case tcp:
      return size >= 20 ? std::optional<std::size_t>(16) : std::nullopt;
    case udp:
      return size >= 8 ? std::optional<std::size_t>(6) : std::nullopt;
    case icmp_v4:
      return size >= 4 && !at.is_v6 ? std::optional<std::size_t>(2) : std::nullopt;
    case icmp_v6:
      return size >= 4 && at.is_v6 ? std::optional<std::size_t>(2) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::uint32_t pseudo_header(std::span<std::byte const> frame, packet const& at) {
  if (at.protocol == icmp_v4 && !at.is_v6) return 0;
  std::uint32_t sum = plain_sum(at.source(frame));
  sum += plain_sum(at.destination(frame));
  return sum + at.protocol + static_cast<std::uint32_t>(at.end - at.upper);
}

}  // namespace

std::optional<packet> packet::parse(std::span<std::byte const> frame) {
  if (frame.size() < 14) return std::nullopt;
  packet at;
  at.ip = 14;
  auto type = get16(frame, 12);
  if (type == 0x8100 && frame.size() >= 18) {
    type = get16(frame, 16);
    at.ip = 18;
  }
  auto const left = frame.size() - at.ip;
  if (type == 0x0800) {
    if (left < 20 || get8(frame, at.ip) >> 4 != 4) return std::nullopt;
    auto const header = (get8(frame, at.ip) & 15u) * 4u;
    auto const total = get16(frame, at.ip + 2);
    if (header < 20 || total < header || total > left) return std::nullopt;
    at.protocol = static_cast<std::uint8_t>(get8(frame, at.ip + 9));
    at.upper = at.ip + header;
    at.end = at.ip + total;
    auto const fragment = get16(frame, at.ip + 6);
    at.is_fragment = (fragment & 0x3fff) != 0;
    at.is_first = (fragment & 0x1fff) == 0;
    return at;
  }
  if (type != 0x86dd || left < 40 || get8(frame, at.ip) >> 4 != 6) return std::nullopt;
  auto const length = get16(frame, at.ip + 4);
  if (length + 40 > left) return std::nullopt;
  at.is_v6 = true;
  at.end = at.ip + 40 + length;
  at.upper = at.ip + 40;
  auto next = get8(frame, at.ip + 6);
  while (next == 0 || next == 43 || next == 44 || next == 60) {
    if (at.end - at.upper < 8) return std::nullopt;
    std::size_t size = 8;
    if (next == 44) {
      auto const fragment = get16(frame, at.upper + 2);
      at.is_fragment = at.is_fragment || (fragment & 0xfff9) != 0;
      at.is_first = at.is_first && (fragment & 0xfff8) == 0;
    } else {
      size = (get8(frame, at.upper + 1) + 1) * std::size_t{8};
    }
    next = get8(frame, at.upper);
    if (at.end - at.upper < size) return std::nullopt;
    at.upper += size;
  }
  at.protocol = static_cast<std::uint8_t>(next);
  return at;
}

std::optional<quotation> quotation::find(std::span<std::byte const> frame, packet const& at) {
  if (at.protocol != (at.is_v6 ? icmp_v6 : icmp_v4) || at.is_fragment || at.end - at.upper < 8) {
    return std::nullopt;
  }
  auto const type = get8(frame, at.upper);
  if (at.is_v6 ? type >= 128 : type != 3 && type != 11 && type != 12) return std::nullopt;
  quotation made{.ip = at.upper + 8, .is_v6 = at.is_v6};
  auto const least = at.is_v6 ? std::size_t{40} : std::size_t{20};
  if (at.end - made.ip < least + 8) return std::nullopt;
  made.upper = made.ip + (at.is_v6 ? least : (get8(frame, made.ip) & 15u) * std::size_t{4});
  made.protocol = static_cast<std::uint8_t>(get8(frame, made.ip + (at.is_v6 ? 6 : 9)));
  if (made.upper < made.ip + least || made.upper + 8 > at.end) return std::nullopt;
  return made;
}

std::optional<tcp_packet> tcp_packet::parse(std::span<std::byte const> frame) {
  auto const at = packet::parse(frame);
  if (!at || !at->is_tcp() || at->is_fragment) return std::nullopt;
  tcp_packet made;
  made.at = *at;
  auto const tcp_at = at->upper;
  auto const header = (get8(frame, tcp_at + 12) >> 4) * std::size_t{4};
  if (header < 20 || header > at->end - tcp_at) return std::nullopt;
  made.source_port = static_cast<std::uint16_t>(get16(frame, tcp_at));
  made.destination_port = static_cast<std::uint16_t>(get16(frame, tcp_at + 2));
  made.sequence = get32(frame, tcp_at + 4);
  made.acknowledgment = get32(frame, tcp_at + 8);
  made.flags = static_cast<std::uint8_t>(get8(frame, tcp_at + 13));
  made.window = static_cast<std::uint16_t>(get16(frame, tcp_at + 14));
  made.options = tcp_at + 20;
  made.payload = tcp_at + header;
  for (auto i = made.options; i < made.payload;) {
    auto const kind = get8(frame, i);
    if (kind == 0) break;
    if (kind == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= made.payload) break;
    auto const size = get8(frame, i + 1);
    if (size < 2 || i + size > made.payload) break;
    if (kind == 2 && size == 4) made.maximum_segment_size = static_cast<std::uint16_t>(get16(frame, i + 2));
    if (kind == 3 && size == 3)
      made.window_scale = static_cast<std::uint8_t>(std::min(get8(frame, i + 2), 14u));
    if (kind == 4) made.sack_permitted = true;
    if (kind == 8) made.has_timestamps = true;
    i += size;
  }
  return made;
}

std::uint16_t plain_sum(std::span<std::byte const> bytes, std::uint32_t start) {
  std::uint64_t sum = start;
  std::size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) sum += get16(bytes, i);
  if (i < bytes.size()) sum += get8(bytes, i) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t upper_sum(std::span<std::byte const> frame, packet const& at) {
  return plain_sum(frame.subspan(at.upper, at.end - at.upper), pseudo_header(frame, at));
}

std::string wrong_checksums(std::span<std::byte const> frame) {
  auto const at = packet::parse(frame);
  if (!at) return {};
  if (!at->is_v6 && plain_sum(frame.subspan(at->ip, (get8(frame, at->ip) & 15u) * 4u)) != 0xffff) {
    return "the IPv4 header's checksum is wrong";
  }
  auto const field = checksum_offset(*at);
  if (!field) return {};
  // RFC 768: no checksum, which only IPv4 allows.
  if (at->protocol == udp && !at->is_v6 && get16(frame, at->upper + *field) == 0) return {};
  if (upper_sum(frame, *at) == 0xffff) return {};
  return at->protocol == tcp ? "TCP's checksum is wrong"
                             : (at->protocol == udp ? "UDP's checksum is wrong" : "ICMP's checksum is wrong");
}

void fix_checksums(std::span<std::byte> frame, packet const& at) {
  if (!at.is_v6) {
    put16(frame, at.ip + 10, 0);
    put16(frame, at.ip + 10,
          static_cast<std::uint16_t>(~plain_sum(frame.subspan(at.ip, (get8(frame, at.ip) & 15u) * 4u))));
  }
  auto const field = checksum_offset(at);
  if (!field) return;
  put16(frame, at.upper + *field, 0);
  auto const sum = static_cast<std::uint16_t>(~upper_sum(frame, at));
  put16(frame, at.upper + *field, sum == 0 && at.protocol == udp ? 0xffff : sum);
}

void fix_lengths(std::span<std::byte> frame, packet const& at, std::size_t end) {
  if (at.is_v6) {
    put16(frame, at.ip + 4, static_cast<std::uint32_t>(end - at.ip - 40));
  } else {
    put16(frame, at.ip + 2, static_cast<std::uint32_t>(end - at.ip));
  }
  if (at.protocol == udp && !at.is_fragment)
    put16(frame, at.upper + 4, static_cast<std::uint32_t>(end - at.upper));
}

void finish_checksum(frame& whole) {
  std::span<std::byte> const bytes = whole.bytes;
  std::size_t const field = std::size_t{whole.checksum_start} + whole.checksum_offset;
  whole.checksum = net::checksum_state::unchecked;
  if (field + 2 > bytes.size()) return;
  // The field holds the pseudo-header's sum; the device adds the rest (Virtual I/O Device 1.2, 5.1.6.2). What
  // lies behind the packet is not in it.
  auto const at = packet::parse(bytes);
  auto const end = at ? at->end : bytes.size();
  auto const sum =
      static_cast<std::uint16_t>(~plain_sum(bytes.subspan(whole.checksum_start, end - whole.checksum_start)));
  put16(bytes, field, sum == 0 && at && at->protocol == udp ? 0xffff : sum);
}

frame cut_part(frame const& whole, tcp_packet const& at, std::size_t offset, std::size_t size,
               std::size_t number) {
  frame part;
  part.bytes.reserve(at.payload + size);
  part.bytes.assign(whole.bytes.begin(), whole.bytes.begin() + static_cast<std::ptrdiff_t>(at.payload));
  auto const from = whole.bytes.begin() + static_cast<std::ptrdiff_t>(at.payload + offset);
  part.bytes.insert(part.bytes.end(), from, from + static_cast<std::ptrdiff_t>(size));
  std::span<std::byte> const bytes = part.bytes;
  auto here = at.at;
  here.end = bytes.size();
  fix_lengths(bytes, here, here.end);
  if (!here.is_v6)
    put16(bytes, here.ip + 4, (get16(bytes, here.ip + 4) + static_cast<std::uint32_t>(number)) & 0xffff);
  put32(bytes, here.upper + 4, at.sequence + static_cast<std::uint32_t>(offset));
  auto flags = std::uint32_t{at.flags};
  if (offset + size < at.size()) flags &= ~std::uint32_t{fin | psh};
  if (offset != 0) flags &= ~std::uint32_t{cwr};
  put8(bytes, here.upper + 13, flags);
  fix_checksums(bytes, here);
  return part;
}

}  // namespace morgana::sim
