// A look into a frame by code of its own: what oracles judge the stack with and middleboxes change packets
// with must not share a mistake with the stack, so nothing here is the runtime's. Slow and plain on purpose.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "morgana/sim/frame.hpp"

namespace morgana::sim {

[[nodiscard]] inline std::uint32_t get8(std::span<std::byte const> at, std::size_t offset) {
  return static_cast<std::uint32_t>(at[offset]);
}
[[nodiscard]] inline std::uint32_t get16(std::span<std::byte const> at, std::size_t offset) {
  return get8(at, offset) << 8 | get8(at, offset + 1);
}
[[nodiscard]] inline std::uint32_t get32(std::span<std::byte const> at, std::size_t offset) {
  return get16(at, offset) << 16 | get16(at, offset + 2);
}
inline void put8(std::span<std::byte> at, std::size_t offset, std::uint32_t value) {
  at[offset] = static_cast<std::byte>(value);
}
inline void put16(std::span<std::byte> at, std::size_t offset, std::uint32_t value) {
  put8(at, offset, value >> 8 & 0xff);
  put8(at, offset + 1, value & 0xff);
}
inline void put32(std::span<std::byte> at, std::size_t offset, std::uint32_t value) {
  put16(at, offset, value >> 16);
  put16(at, offset + 2, value & 0xffff);
}

inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32, ece = 64, cwr = 128;

/// Where things are in a frame, as offsets from its first byte. All lie within it.
struct packet {
  bool is_v6 = false;
  std::uint8_t protocol = 0;  ///< of the upper layer
  std::size_t ip = 0;         ///< the IP header
  std::size_t upper = 0;      ///< the upper layer's header
  std::size_t end = 0;        ///< of the packet; behind it may be padding
  bool is_fragment = false;
  bool is_first = true;  ///< the upper layer's header is in it

  /// Nothing when it is no IP packet, or its lengths are wrong.
  [[nodiscard]] static std::optional<packet> parse(std::span<std::byte const> frame);

  [[nodiscard]] bool is_tcp() const { return protocol == 6 && is_first && end - upper >= 20; }
  [[nodiscard]] bool is_udp() const { return protocol == 17 && is_first && end - upper >= 8; }
  [[nodiscard]] std::span<std::byte const> source(std::span<std::byte const> frame) const {
    return frame.subspan(ip + (is_v6 ? 8 : 12), is_v6 ? 16 : 4);
  }
  [[nodiscard]] std::span<std::byte const> destination(std::span<std::byte const> frame) const {
    return frame.subspan(ip + (is_v6 ? 24 : 16), is_v6 ? 16 : 4);
  }
};

/// The packet that an ICMP error quotes: offsets of its headers, and at least eight bytes of its upper
/// layer's.
struct quotation {
  std::uint8_t protocol = 0;
  std::size_t ip = 0, upper = 0;
  bool is_v6 = false;

  /// Nothing when it is no error, or quotes too little.
  [[nodiscard]] static std::optional<quotation> find(std::span<std::byte const> frame, packet const& at);
  [[nodiscard]] std::span<std::byte const> source(std::span<std::byte const> frame) const {
    return frame.subspan(ip + (is_v6 ? 8 : 12), is_v6 ? 16 : 4);
  }
  [[nodiscard]] std::span<std::byte const> destination(std::span<std::byte const> frame) const {
    return frame.subspan(ip + (is_v6 ? 24 : 16), is_v6 ? 16 : 4);
  }
};

/// A TCP segment that is not a fragment, with its fields as offsets and values.
struct tcp_packet {
  packet at;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::uint16_t window = 0;
  std::uint8_t flags = 0;
  std::size_t options = 0;  ///< offset of the options
  std::size_t payload = 0;  ///< offset of the payload, where the options end
  std::optional<std::uint16_t> maximum_segment_size;
  std::optional<std::uint8_t> window_scale;
  bool sack_permitted = false;
  bool has_timestamps = false;

  [[nodiscard]] static std::optional<tcp_packet> parse(std::span<std::byte const> frame);
  [[nodiscard]] bool has(std::uint8_t all) const { return (flags & all) == all; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(at.end - payload); }
  /// Sequence numbers it takes.
  [[nodiscard]] std::uint32_t length() const { return size() + (has(syn) ? 1u : 0u) + (has(fin) ? 1u : 0u); }
};

/// The sum of RFC 1071 over the bytes, two at a time, not complemented.
[[nodiscard]] std::uint16_t plain_sum(std::span<std::byte const> bytes, std::uint32_t start = 0);
/// The upper layer's sum with its pseudo-header; 0xffff when the checksum in place is right.
[[nodiscard]] std::uint16_t upper_sum(std::span<std::byte const> frame, packet const& at);
/// What is wrong with a frame's checksums, in words; empty when nothing is. Fragments' upper layers are not
/// judged.
[[nodiscard]] std::string wrong_checksums(std::span<std::byte const> frame);
/// Writes the IPv4 header's checksum, and TCP's, UDP's or ICMP's when the packet is whole.
void fix_checksums(std::span<std::byte> frame, packet const& at);
/// Sets the lengths in the IP header (and UDP's) for a packet that now ends at `end`.
void fix_lengths(std::span<std::byte> frame, packet const& at, std::size_t end);

/// Completes what a device with offloads was asked to do: the checksum, and cutting a super-packet into
/// frames. Calls `each` with every frame that goes on the wire, in order.
template <class Each>
void finish_offloads(frame&& whole, Each&& each);
/// The checksum alone, in place.
void finish_checksum(frame& whole);
/// The part of a super-packet that begins at payload byte `offset`.
[[nodiscard]] frame cut_part(frame const& whole, tcp_packet const& at, std::size_t offset, std::size_t size,
                             std::size_t number);

template <class Each>
void finish_offloads(frame&& whole, Each&& each) {
  if (whole.gso_size == 0 || whole.gso_kind == net::segmentation::none) {
    if (whole.checksum == net::checksum_state::partial) finish_checksum(whole);
    return each(static_cast<frame&&>(whole));
  }
  auto const at = tcp_packet::parse(whole.bytes);
  if (!at) return;
  std::size_t number = 0;
  for (std::size_t done = 0; done < at->size(); done += whole.gso_size, ++number) {
    std::size_t const left = at->size() - done;
    each(cut_part(whole, *at, done, left < whole.gso_size ? left : whole.gso_size, number));
  }
}

}  // namespace morgana::sim
