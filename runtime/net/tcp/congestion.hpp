// How much may be in flight: NewReno (RFC 5681) and CUBIC (RFC 9438) with HyStart++ (RFC 9406), in bytes and
// integers. Recovery (recovery.cpp) decides when something was lost; this decides what follows from it.
#pragma once

#include <cstdint>

#include "morgana/core/time.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "round_trip.hpp"

namespace morgana::net::tcp {

class congestion {
 public:
  static constexpr std::uint32_t unlimited = 0x4000'0000;

  std::uint32_t window = 0;             ///< bytes
  std::uint32_t threshold = unlimited;  ///< slow start below it

  /// RFC 6928: ten segments, at most 14,600 bytes but at least two segments.
  void start(std::uint32_t segment_bytes);
  [[nodiscard]] bool in_slow_start() const { return window < threshold; }

  /// `bytes` were acknowledged while the window was what held the sender back.
  void acknowledged(congestion_control how, std::uint32_t bytes, std::uint32_t segment_bytes,
                    duration smoothed, instant now);
  /// A round's samples for HyStart++; `next` is SND.NXT and `una` what is acknowledged up to.
  void measure(duration latest, wire::sequence una, wire::sequence next);
  /// The same for HyStart, by which slow start ends at once.
  void measure_at_once(duration latest, duration minimum, wire::sequence una, wire::sequence next,
                       std::uint32_t segment_bytes);
  /// Remembers what undo() brings back, and lowers the threshold: a loss or a congestion mark.
  void reduce(congestion_control how, std::uint32_t in_flight_bytes, std::uint32_t segment_bytes,
              instant now);
  /// The reduction was for nothing.
  void undo();
  /// After an idle time of more than a timeout (RFC 5681, 4.1).
  void restart(std::uint32_t segment_bytes);

 private:
  void cubic(std::uint32_t bytes, std::uint32_t segment_bytes, duration smoothed, instant now);

  // CUBIC
  instant epoch_ = never;  ///< never: the next acknowledgment begins one
  std::uint32_t window_max_ = 0;
  std::uint32_t origin_ = 0;
  std::uint32_t estimate_ = 0;  ///< what Reno would have
  std::uint64_t fraction_ = 0;  ///< acknowledged bytes times growth, below one byte of window
  std::uint64_t estimate_fraction_ = 0;
  std::int64_t inflection_ms_ = 0;
  // Undo
  std::uint32_t window_before_ = 0;
  std::uint32_t threshold_before_ = 0;
  // HyStart++
  wire::sequence round_end_;
  duration round_minimum_{duration::max()};
  duration last_round_minimum_{duration::max()};
  duration baseline_{};
  std::uint8_t round_samples_ = 0;
  std::uint8_t conservative_rounds_ = 0;  ///< 0: ordinary slow start
  bool round_known_ = false;
};

}  // namespace morgana::net::tcp
