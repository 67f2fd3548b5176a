// A cable between two ports, each direction with its own delay, rate, queue and faults, all of which may
// change while frames are under way. What is sent passes, in this order: cut or down, MTU, loss, corruption,
// duplication, queue and rate, delay, reordering, hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "morgana/core/time.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

enum class queue_kind : std::uint8_t {
  drop_tail,
  ecn_mark,  ///< drop-tail, and beyond ecn_threshold_bytes capable packets are marked (RFC 3168)
  codel,     ///< RFC 8289, marking what is capable of ECN
};

/// One direction of a link. The defaults are a perfect, instant one.
struct link_settings {
  duration delay = 0ns;          ///< every frame takes at least this long
  duration delay_extra = 0ns;    ///< mean of an exponential delay beyond it; order is kept
  std::uint64_t bits_per_s = 0;  ///< 0: unlimited, and no queue
  queue_kind queue = queue_kind::drop_tail;
  std::uint32_t queue_bytes = 256 * 1024;  ///< waiting; one frame always fits
  std::uint32_t ecn_threshold_bytes = 30 * 1024;
  duration codel_target = 5ms;
  duration codel_interval = 100ms;

  std::uint32_t loss_millionths = 0;         ///< independent; in the good state when there are bursts
  std::uint32_t burst_begin_millionths = 0;  ///< Gilbert-Elliott: from good to bad, per frame; 0: no bursts
  std::uint32_t burst_end_millionths = 250'000;     ///< from bad to good
  std::uint32_t burst_loss_millionths = 1'000'000;  ///< in the bad state
  std::uint32_t duplicate_millionths = 0;
  std::uint32_t reorder_millionths = 0;  ///< such a frame is late by up to reorder_delay; others overtake it
  duration reorder_delay = 10ms;
  std::uint32_t corrupt_millionths = 0;  ///< one run of at most 15 bits: every Internet checksum finds it
  std::uint32_t mtu_bytes = 0;           ///< larger IP packets vanish, as in a black hole; 0: none do
  duration up_for = 0ns;                 ///< a link that flaps: up, then down, and again; 0: always up
  duration down_for = 0ns;
  bool is_cut = false;   ///< nothing passes; what is under way arrives
  bool is_held = false;  ///< what would arrive waits until this is false again
};

struct link_counters {
  std::uint64_t sent = 0, delivered = 0, bytes = 0;
  std::uint64_t lost = 0, cut = 0, too_large = 0, queue_full = 0, dropped_by_codel = 0;
  std::uint64_t marked = 0, duplicated = 0, reordered = 0, corrupted = 0;
  [[nodiscard]] std::uint64_t dropped() const {
    return lost + cut + too_large + queue_full + dropped_by_codel;
  }
};

}  // namespace morgana::sim
