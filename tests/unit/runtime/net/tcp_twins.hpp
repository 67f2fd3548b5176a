// Two engines that are told the same, one with prediction and one without, and all that can be asked of a connection: for
// the tests that compare the short ways with the ordinary ones.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/net/tcp/output.hpp"
#include "tcp_support.hpp"

namespace tcp_test {

/// The same path to everybody; it may be known by a number, and hold for as long as its version.
struct steady_path final : tcp::routing {
  path how;
  std::uint64_t number = 0;   ///< 0: it is asked for each time
  unsigned confirmed = 0;     ///< how often it heard of progress
  explicit steady_path(ip_address const& source) { how.source = source; }
  std::optional<path> find(ip_address const&) override { return how; }
  std::uint64_t version() const override { return number; }
  bool is_local(ip_address const& address) const override { return address == how.source; }
  void confirm(ip_address const&, instant) override { ++confirmed; }
};

struct half {
  half(std::uint64_t seed, ip_address const& address, bool predicts, bool offloads, network_limits const& limits = {})
      : pool(2048, 64u << 20), route(address), engine(limits, secrets(seed), pool, route, instant()) {
    engine.predicts = predicts;
    route.how.checksum = route.how.segmentation = offloads;
  }
  buffer_pool pool;
  steady_path route;
  tcp::machine engine;
  tcp::tcb* end = nullptr;
  tcp::port* listening = nullptr;
};

/// The frame as it comes to `to`, in `packet`. Small ones lie in the segment's own room where they are to be `in_front`: as a
/// neighbour in memory hands them over.
inline void put(half& to, frame const& f, segment& packet, bool in_front) {
  std::size_t at = 0;
  if (in_front && f.bytes.size() <= segment_headroom_bytes) {
    at = f.bytes.size();
    std::memcpy(packet.push_header(at).data(), f.bytes.data(), at);
  }
  while (at < f.bytes.size()) {
    auto part = to.pool.take_slice(std::min(f.bytes.size() - at, to.pool.buffer_bytes()));
    std::memcpy(part.writable().data(), f.bytes.data() + at, part.size());
    at += part.size();
    REQUIRE(packet.append(std::move(part)));
  }
  packet.gso_size = f.gso_size;
  if (f.checked) packet.checksum = checksum_state::valid;
}

/// All that can be asked of a connection, as numbers.
inline std::vector<std::int64_t> described(tcp::tcb const& one) {
  auto const all = one.info();
  // Both of a kind rest at the same times, or what follows differs.
  tcp::busy_part const resting(*one.host);
  auto const& busy = one.busy == nullptr ? resting : *one.busy;
  auto const nanoseconds = [](auto what) { return static_cast<std::int64_t>(what.count()); };
  // The short way leaves the loss probe's time to whoever is woken.
  auto const* const front = busy.flight.front();
  bool const moves = one.probe_moves && one.timer == tcp::timer_kind::loss_probe && front != nullptr;
  auto const probe_at =
      moves ? tcp::machine::loss_probe_time(one, *front, one.in_flight(), one.last_sent_at) : busy.timer_at;
  return {static_cast<std::int64_t>(all.state),
          all.maximum_segment_size,
          nanoseconds(all.smoothed_round_trip),
          nanoseconds(all.retransmission_timeout),
          all.congestion_window_bytes,
          all.slow_start_threshold_bytes,
          all.bytes_in_flight,
          static_cast<std::int64_t>(all.bytes_sent),
          static_cast<std::int64_t>(all.bytes_received),
          static_cast<std::int64_t>(all.bytes_acknowledged),
          static_cast<std::int64_t>(all.segments_sent),
          static_cast<std::int64_t>(all.segments_received),
          static_cast<std::int64_t>(all.segments_retransmitted),
          all.send_unacknowledged,
          all.send_next,
          all.send_window_bytes,
          all.receive_next,
          all.unsent_bytes,
          nanoseconds(all.deadline.time_since_epoch()),
          nanoseconds(all.round_trip_variation),
          nanoseconds(all.minimum_round_trip),
          static_cast<std::int64_t>(all.phase),
          all.segments_unacknowledged,
          all.segments_sacked,
          all.segments_lost,
          all.segments_retransmitted_in_flight,
          all.reordering_segments,
          all.reorderings,
          all.received_segment_bytes,
          all.send_queue_bytes,
          all.receive_queue_bytes,
          all.retransmissions_in_a_row,
          all.window_probes,
          nanoseconds(all.last_data_received_at.time_since_epoch()),
          all.peer_ended,
          one.send_window_largest,
          one.window_sequence.value,
          one.window_acknowledgment.value,
          one.flight_largest,
          one.flight_round_end.value,
          one.push_point.value,
          one.pushed_to.value,
          one.small_until.value,
          one.receive_edge.value,
          one.acknowledged_to.value,
          one.recent_timestamp,
          nanoseconds(probe_at.time_since_epoch()),
          nanoseconds(busy.acknowledge_at.time_since_epoch()),
          nanoseconds(busy.stalled_since.time_since_epoch()),
          nanoseconds(one.last_received_at.time_since_epoch()),
          nanoseconds(one.last_sent_at.time_since_epoch()),
          static_cast<std::int64_t>(one.timer),
          one.duplicate_acks,
          one.rare().reorder_quarters,
          nanoseconds(one.rack_sent_at.time_since_epoch()),
          one.rack_end.value,
          nanoseconds(one.rack_trip),
          one.window_limited,
          one.window_blocked,
          one.quick_acks,
          one.segments_unacknowledged,
          one.writer_waits,
          one.more_follows,
          one.acknowledge_now,
          one.ready,
          static_cast<std::int64_t>(busy.flight.highest_sacked().value)};
}

}  // namespace tcp_test
