#include "morgana/net/wire/tcp.hpp"

#include <algorithm>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::wire {
namespace {

// Option kinds (RFC 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3, RFC 7413 4.1.1, RFC 6994 3).
constexpr std::uint8_t option_end = 0;
constexpr std::uint8_t option_nop = 1;
constexpr std::uint8_t option_mss = 2;
constexpr std::uint8_t option_window_scale = 3;
constexpr std::uint8_t option_sack_permitted = 4;
constexpr std::uint8_t option_sack = 5;
constexpr std::uint8_t option_timestamps = 8;
constexpr std::uint8_t option_fast_open = 34;
constexpr std::uint8_t option_experiment = 254;
constexpr std::uint16_t experiment_fast_open = 0xf989;
constexpr std::uint8_t window_scale_max = 14;

std::size_t fast_open_bytes(tcp_options const& options) {
  return (options.fast_open == fast_open_option::standard ? 2 : 4) + options.fast_open_cookie.size();
}

std::size_t options_bytes(tcp_options const& options) {
  std::size_t bytes = 0;
  if (options.maximum_segment_size) bytes += 4;
  if (options.timestamps) {
    bytes += 12;  // with sackOK, or with two nops
  } else if (options.sack_permitted) {
    bytes += 4;  // two nops
  }
  if (options.window_scale) bytes += 4;  // one nop
  if (options.sack_count > 0) bytes += 4 + std::size_t{options.sack_count} * 8;
  if (options.fast_open != fast_open_option::none) bytes += (fast_open_bytes(options) + 3) / 4 * 4;
  return bytes;
}

/// A cookie that cannot be one is as none: the connection goes on without (RFC 7413 4.1.1).
void read_fast_open(fast_open_option kind, std::span<std::byte const> cookie, tcp_options& into) {
  bool const is_cookie = cookie.size() >= tcp_options::fast_open_cookie_min &&
                         cookie.size() <= tcp_options::fast_open_cookie_max && cookie.size() % 2 == 0;
  if (!cookie.empty() && !is_cookie) return;
  into.fast_open = kind;
  into.fast_open_cookie = cookie;
}

/// Reads one option whose length, `length`, lies within the header; false when it is impossible.
bool read_option(std::uint8_t kind, std::span<std::byte const> option, tcp_options& into) {
  auto const length = option.size();
  switch (kind) {
    case option_mss:
      if (length != 4) return false;
      into.maximum_segment_size = load16(option, 2);
      return true;
    case option_window_scale:
      if (length != 3) return false;
      into.window_scale = std::min(load8(option, 2), window_scale_max);
      return true;
    case option_sack_permitted:
      if (length != 2) return false;
      into.sack_permitted = true;
      return true;
    case option_timestamps:
      if (length != 10) return false;
      into.timestamps = tcp_timestamps{load32(option, 2), load32(option, 6)};
      return true;
    case option_sack: {
      if (length < 10 || (length - 2) % 8 != 0) return false;
      auto const count = std::min((length - 2) / 8, tcp_options::sack_blocks_max);
      for (std::size_t i = 0; i < count; ++i) {
        into.sack[i] = {{load32(option, 2 + 8 * i)}, {load32(option, 6 + 8 * i)}};
      }
      into.sack_count = static_cast<std::uint8_t>(count);
      return true;
    }
    case option_fast_open:
      read_fast_open(fast_open_option::standard, option.subspan(2), into);
      return true;
    case option_experiment:
      if (length >= 4 && load16(option, 2) == experiment_fast_open) {
        read_fast_open(fast_open_option::experimental, option.subspan(4), into);
      }
      return true;
    default:
      return true;
  }
}

bool read_options(std::span<std::byte const> bytes, tcp_options& into) {
  // Nearly every segment of an established connection carries just this: nop, nop, timestamps.
  if (bytes.size() == 12 && load32(bytes, 0) == 0x0101080au) {
    into.timestamps = tcp_timestamps{load32(bytes, 4), load32(bytes, 8)};
    return true;
  }
  // And nearly every SYN what Linux writes, and we: MSS, SACK permitted, timestamps, nop, window scale.
  if (bytes.size() == 20 && load16(bytes, 0) == 0x0204 && load32(bytes, 4) == 0x0402'080au &&
      load32(bytes, 16) >> 8 == 0x01'0303u) {
    into.maximum_segment_size = load16(bytes, 2);
    into.sack_permitted = true;
    into.timestamps = tcp_timestamps{load32(bytes, 8), load32(bytes, 12)};
    into.window_scale = std::min(load8(bytes, 19), window_scale_max);
    return true;
  }
  std::size_t at = 0;
  while (at < bytes.size()) {
    auto const kind = load8(bytes, at);
    if (kind == option_end) return true;
    if (kind == option_nop) {
      ++at;
      continue;
    }
    if (at + 1 >= bytes.size()) return false;
    auto const length = std::size_t{load8(bytes, at + 1)};
    if (length < 2 || at + length > bytes.size()) return false;
    if (!read_option(kind, bytes.subspan(at, length), into)) return false;
    at += length;
  }
  return true;
}

}  // namespace

std::size_t tcp_header::encoded_bytes() const {
  return size_bytes + options_bytes(options);
}

void tcp_header::emit(std::span<std::byte> into) const {
  store16(into, 0, source_port);
  store16(into, 2, destination_port);
  store32(into, 4, sequence.value);
  store32(into, 8, acknowledgment.value);
  auto const bytes = encoded_bytes();
  store8(into, 12, static_cast<std::uint8_t>(bytes / 4 << 4));
  store8(into, 13, flags);
  store16(into, 14, window);
  store16(into, 16, checksum);
  store16(into, 18, urgent);

  std::size_t at = size_bytes;
  auto put32 = [&](std::uint32_t value) { store32(into, at, value), at += 4; };
  auto const word = [](std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return std::uint32_t{a} << 24 | std::uint32_t{b} << 16 | std::uint32_t{c} << 8 | d;
  };
  if (options.maximum_segment_size) put32(word(option_mss, 4, 0, 0) | *options.maximum_segment_size);
  if (options.timestamps) {
    put32(options.sack_permitted ? word(option_sack_permitted, 2, option_timestamps, 10)
                                 : word(option_nop, option_nop, option_timestamps, 10));
    put32(options.timestamps->value), put32(options.timestamps->echo);
  } else if (options.sack_permitted) {
    put32(word(option_nop, option_nop, option_sack_permitted, 2));
  }
  if (options.window_scale) put32(word(option_nop, option_window_scale, 3, *options.window_scale));
  if (options.sack_count > 0) {
    put32(word(option_nop, option_nop, option_sack, static_cast<std::uint8_t>(2 + options.sack_count * 8)));
    for (std::size_t i = 0; i < options.sack_count; ++i) {
      put32(options.sack[i].left.value), put32(options.sack[i].right.value);
    }
  }
  if (options.fast_open != fast_open_option::none) {
    store8(into, at, options.fast_open == fast_open_option::standard ? option_fast_open : option_experiment);
    store8(into, at + 1, static_cast<std::uint8_t>(fast_open_bytes(options)));
    at += 2;
    if (options.fast_open == fast_open_option::experimental) store16(into, at, experiment_fast_open), at += 2;
    for (auto const one : options.fast_open_cookie) into[at++] = one;
    while (at < bytes) store8(into, at++, option_nop);
  }
}

parsed<tcp_header> tcp_header::parse(std::span<std::byte const> segment, std::size_t available) {
  parsed<tcp_header> made;
  if (auto const read = parse_into(*made, segment, available); !read) return std::unexpected(read.error());
  return made;
}

parsed<void> tcp_header::parse_into(tcp_header& header, std::span<std::byte const> segment, std::size_t available) {
  if (segment.size() < size_bytes || available < size_bytes) return std::unexpected(parse_error::too_short);
  header.header_bytes = static_cast<std::uint16_t>((load8(segment, 12) >> 4) * 4);
  if (header.header_bytes < size_bytes || header.header_bytes > segment.size() ||
      header.header_bytes > available) {
    return std::unexpected(parse_error::wrong_header_length);
  }
  header.source_port = load16(segment, 0);
  header.destination_port = load16(segment, 2);
  header.sequence = {load32(segment, 4)};
  header.acknowledgment = {load32(segment, 8)};
  header.flags = load8(segment, 13);
  header.window = load16(segment, 14);
  header.checksum = load16(segment, 16);
  header.urgent = load16(segment, 18);
  if (header.header_bytes > size_bytes &&
      !read_options(segment.subspan(size_bytes, header.header_bytes - size_bytes), header.options)) {
    return std::unexpected(parse_error::wrong_option);
  }
  return {};
}

}  // namespace morgana::net::wire
