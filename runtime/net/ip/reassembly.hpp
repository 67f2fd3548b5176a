// Puts fragments together, for both families. Any overlap drops the whole datagram and whatever else arrives of
// it (RFC 5722; the same for IPv4, where it is no less suspicious), an exact repetition is ignored (RFC 8200 4.5
// allows it). Bounded: datagrams, fragments of one, bytes of all; at a limit the oldest datagram goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "../core/packet_queue.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::host {

struct fragment_key {
  ip_address source, destination;
  std::uint32_t identification = 0;
  std::uint8_t protocol = 0;               ///< 0 for IPv6, where the rest is unique (RFC 8200 4.5)
  friend bool operator==(fragment_key const&, fragment_key const&) = default;
};

class reassembly {
 public:
  reassembly(network_limits const& limits, buffer_pool& buffers);
  ~reassembly();
  reassembly(reassembly const&) = delete;
  reassembly& operator=(reassembly const&) = delete;

  enum class outcome : std::uint8_t {
    waiting,       ///< more must come
    complete,      ///< `packet` now holds the unfragmentable part and the whole payload
    dropped,       ///< this and what had arrived before are gone
  };
  /// `packet` begins at the IP header and has `header_bytes` of it before the fragment's payload; it is moved
  /// from. `more` says whether the fragment is the last. The header of the fragment at offset 0 is the result's.
  [[nodiscard]] outcome add(fragment_key const& key, std::uint32_t offset, bool more, std::size_t header_bytes,
                            segment& packet, instant now);

  [[nodiscard]] instant next_deadline() const { return next_due_; }
  /// A datagram whose time ran out and of which the first fragment had arrived: what to quote (RFC 792;
  /// RFC 4443 3.3). Call until nothing comes.
  struct expired {
    fragment_key key;
    std::array<std::byte, 128> start;
    std::size_t start_bytes = 0;
  };
  [[nodiscard]] std::optional<expired> poll_expired(instant now);

  [[nodiscard]] std::size_t datagrams() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  struct counters_type {
    std::uint64_t complete = 0, timed_out = 0, overlapped = 0, evicted = 0, too_many_fragments = 0, too_long = 0;
  };
  [[nodiscard]] counters_type const& counters() const { return counters_; }

 private:
  /// What a fragment costs beside its bytes.
  static constexpr std::size_t fragment_overhead_bytes = 256;
  struct entry {
    fragment_key key;
    instant until;
    std::vector<queued_packet*> parts;     ///< by offset
    std::optional<std::uint32_t> total;    ///< payload bytes, once the last fragment came
    std::uint32_t received = 0;
    std::size_t charged = 0;
    std::array<std::byte, 128> start;      ///< of the first fragment's packet: header, and what errors quote
    std::size_t start_bytes = 0;
    std::size_t header_bytes = 0;          ///< 0 until the first fragment came
    bool is_poisoned = false;
  };
  void empty(entry& one);
  void poison(entry& one);
  [[nodiscard]] bool assemble(entry& one, segment& into);
  void refresh_deadline();

  network_limits const& limits_;
  buffer_pool& buffers_;
  packet_pool pool_;
  std::vector<entry> entries_;             ///< the oldest first
  std::size_t bytes_ = 0;
  instant next_due_ = never;
  counters_type counters_;
};

}  // namespace morgana::net::host
