// How much may be in flight: NewReno (RFC 5681) and CUBIC (RFC 9438) with HyStart++ (RFC 9406), in bytes and
// integers. Recovery (recovery.cpp) decides when something was lost; this decides what follows from it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

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

  /// `bytes` were acknowledged while the window was what held the sender back. `round_trip` is the shortest one: RFC
  /// 9438 looks ahead by the smoothed one, with which a flow that fills a queue would grow the faster for it.
  void acknowledged(congestion_control how, std::uint32_t bytes, std::uint32_t segment_bytes,
                    duration round_trip, instant now);
  /// Data goes out after nothing was out since `idle` ago: time that was not used is none of CUBIC's (RFC 9438, 5.8).
  void resume(duration idle, instant now) {
    if (curve_ != nullptr && curve_->epoch != never) curve_->epoch = std::min(curve_->epoch + idle, now);
  }
  /// A round's samples for HyStart++; `next` is SND.NXT and `una` what is acknowledged up to.
  void measure(duration latest, wire::sequence una, wire::sequence next);
  /// The same for HyStart, by which slow start ends at once.
  void measure_at_once(duration latest, duration minimum, wire::sequence una, wire::sequence next,
                       std::uint32_t segment_bytes);
  /// Remembers what undo() brings back, and lowers the threshold: a loss or a congestion mark.
  void reduce(congestion_control how, std::uint32_t in_flight_bytes, std::uint32_t segment_bytes,
              instant now);
  /// The reduction was for a timeout: CUBIC begins a curve of its own behind slow start (RFC 9438, 4.8).
  void time_out();
  /// The reduction was for nothing.
  void undo();
  /// After an idle time of more than a timeout (RFC 5681, 4.1).
  void restart(std::uint32_t segment_bytes);

 private:
  struct curve;
  void cubic(std::uint32_t bytes, std::uint32_t segment_bytes, duration round_trip, instant now);
  void look_at(curve& c, std::uint32_t segment_bytes, duration round_trip, instant now);

  /// What a connection has from its first loss on, or from the end of slow start.
  struct curve {
    instant epoch = never;  ///< never: the next acknowledgment begins one
    instant look_again_at{};
    std::uint64_t fraction = 0;  ///< acknowledged bytes times growth, below one byte of window
    std::uint32_t window_max = 0;
    std::uint32_t origin = 0;
    std::uint32_t estimate = 0;      ///< what Reno would have
    std::uint32_t credit = 0;        ///< acknowledged bytes that no segment of growth has used yet
    std::uint32_t acknowledged = 0;  ///< bytes that the estimate does not have yet
    std::int32_t inflection_ms = 0;
    std::uint32_t segments_needed = 1;  ///< acknowledged, for one of growth
    std::uint32_t looked_at_window = 0;
    // For undo()
    std::uint32_t window_before = 0;
    std::uint32_t threshold_before = 0;
  };
  [[nodiscard]] curve& known() {
    if (curve_ == nullptr) curve_ = std::make_unique<curve>();
    return *curve_;
  }
  /// A round trip as HyStart++ keeps it: 4.2 s and longer is too long to tell anything.
  static constexpr std::uint32_t unknown_ns = UINT32_MAX;
  [[nodiscard]] static std::uint32_t in_ns(duration length) {
    return static_cast<std::uint32_t>(std::min<duration>(length, duration(unknown_ns)).count());
  }

  std::unique_ptr<curve> curve_;
  // HyStart++
  wire::sequence round_end_;
  std::uint32_t round_minimum_ns_ = unknown_ns;
  std::uint32_t last_round_minimum_ns_ = unknown_ns;
  std::uint32_t baseline_ns_ = 0;
  std::uint8_t round_samples_ = 0;
  std::uint8_t conservative_rounds_ = 0;  ///< 0: ordinary slow start
  bool round_known_ = false;
  bool left_at_once_ = false;  ///< slow start, by measure_at_once(), and nothing was lost since
};

}  // namespace morgana::net::tcp
