// TCP headers and options (RFC 9293 3.1; window scale and timestamps RFC 7323; SACK RFC 2018).
//
// Options are written in the order Linux writes them, so that a capture of ours looks like any other:
//   SYN     mss, sackOK, timestamps, nop, window scale, fast open, nops
//   later   nop, nop, timestamps; then nop, nop, SACK blocks
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

/// A 32-bit sequence number: it wraps, and is compared within half its space (RFC 9293 3.4).
struct sequence {
  std::uint32_t value = 0;

  friend constexpr bool operator==(sequence, sequence) = default;
  friend constexpr bool operator<(sequence a, sequence b) {
    return static_cast<std::int32_t>(a.value - b.value) < 0;
  }
  friend constexpr bool operator>(sequence a, sequence b) { return b < a; }
  friend constexpr bool operator<=(sequence a, sequence b) { return !(b < a); }
  friend constexpr bool operator>=(sequence a, sequence b) { return !(a < b); }
  friend constexpr sequence operator+(sequence a, std::uint32_t bytes) { return {a.value + bytes}; }
  friend constexpr sequence operator-(sequence a, std::uint32_t bytes) { return {a.value - bytes}; }
  /// Bytes from `b` to `a`; negative when `a` is before it.
  friend constexpr std::int32_t operator-(sequence a, sequence b) {
    return static_cast<std::int32_t>(a.value - b.value);
  }
  constexpr sequence& operator+=(std::uint32_t bytes) {
    value += bytes;
    return *this;
  }
};

enum tcp_flag : std::uint8_t {
  tcp_fin = 0x01,
  tcp_syn = 0x02,
  tcp_rst = 0x04,
  tcp_psh = 0x08,
  tcp_ack = 0x10,
  tcp_urg = 0x20,
  tcp_ece = 0x40,
  tcp_cwr = 0x80,
};

struct sack_block {
  sequence left, right;  ///< [left, right)
  friend bool operator==(sack_block const&, sack_block const&) = default;
};

struct tcp_timestamps {
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  friend bool operator==(tcp_timestamps const&, tcp_timestamps const&) = default;
};

/// The option of TCP Fast Open (RFC 7413 4.1.1); `experimental` is how it was written before it had a number of its own:
/// option 254 with the identifier F989 (RFC 6994).
enum class fast_open_option : std::uint8_t { none, standard, experimental };

struct tcp_options {
  static constexpr std::size_t sack_blocks_max = 4;
  static constexpr std::size_t fast_open_cookie_min = 4, fast_open_cookie_max = 16;

  std::optional<std::uint16_t> maximum_segment_size;  ///< SYN only
  std::optional<std::uint8_t> window_scale;           ///< SYN only; above 14 counts as 14 (RFC 7323 2.3)
  bool sack_permitted = false;                        ///< SYN only
  std::optional<tcp_timestamps> timestamps;
  std::array<sack_block, sack_blocks_max> sack{};
  std::uint8_t sack_count = 0;
  fast_open_option fast_open = fast_open_option::none;  ///< SYN only
  /// 4 to 16 bytes, an even number; none: it is asked for. Where it was read, or is to be written from.
  std::span<std::byte const> fast_open_cookie;
};

struct tcp_header {
  static constexpr std::size_t size_bytes = 20;
  static constexpr std::size_t header_bytes_max = 60;
  static constexpr std::size_t usual_syn_bytes = 40;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  wire::sequence sequence;
  wire::sequence acknowledgment;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;  ///< as on the wire, not scaled
  std::uint16_t checksum = 0;
  std::uint16_t urgent = 0;
  std::uint16_t header_bytes = size_bytes;  ///< read: with options
  tcp_options options;

  [[nodiscard]] bool has(std::uint8_t all) const { return (flags & all) == all; }
  /// Header with options, a multiple of 4.
  [[nodiscard]] std::size_t encoded_bytes() const;
  void emit(std::span<std::byte> into) const;
  /// The same when timestamps are all the options there are, as nearly always.
  void emit_with_timestamps(std::span<std::byte> into) const {
    store32(into, 0, std::uint32_t{source_port} << 16 | destination_port);
    store32(into, 4, sequence.value);
    store32(into, 8, acknowledgment.value);
    store32(into, 12, 0x8000'0000u | std::uint32_t{flags} << 16 | window);
    store32(into, 16, std::uint32_t{checksum} << 16 | urgent);
    store32(into, 20, 0x0101'080au);
    store32(into, 24, options.timestamps->value);
    store32(into, 28, options.timestamps->echo);
  }
  /// The same when the options are those that nearly every SYN has, in 40 bytes; and whether they are.
  void emit_usual_syn(std::span<std::byte> into) const {
    store32(into, 0, std::uint32_t{source_port} << 16 | destination_port);
    store32(into, 4, sequence.value);
    store32(into, 8, acknowledgment.value);
    store32(into, 12, 0xa000'0000u | std::uint32_t{flags} << 16 | window);
    store32(into, 16, std::uint32_t{checksum} << 16 | urgent);
    store32(into, 20, 0x0204'0000u | *options.maximum_segment_size);
    store32(into, 24, 0x0402'080au);
    store32(into, 28, options.timestamps->value);
    store32(into, 32, options.timestamps->echo);
    store32(into, 36, 0x0103'0300u | *options.window_scale);
  }
  [[nodiscard]] bool has_usual_syn_options() const {
    return options.maximum_segment_size && options.sack_permitted && options.timestamps && options.window_scale &&
           options.sack_count == 0 && options.fast_open == fast_open_option::none;
  }
  /// `available` bytes are header and payload. Unknown options are skipped; one whose length is wrong ends
  /// option parsing with wrong_option. Errors: too_short, wrong_header_length, wrong_option.
  [[nodiscard]] static parsed<tcp_header> parse(std::span<std::byte const> segment, std::size_t available);
  /// The same without moving it: `into` is as a fresh one is. After an error it holds part of what was read.
  [[nodiscard]] static parsed<void> parse_into(tcp_header& into, std::span<std::byte const> segment,
                                               std::size_t available);
};

}  // namespace morgana::net::wire
