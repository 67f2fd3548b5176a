#include "congestion.hpp"

#include <algorithm>

namespace morgana::net::tcp {
namespace {

/// The largest r with r * r * r <= value.
std::uint64_t cube_root(std::uint64_t value) {
  std::uint64_t root = 0;
  for (int bit = 20; bit >= 0; --bit) {  // 2^63 has a cube root of 21 bits
    auto const tried = root | std::uint64_t{1} << bit;
    if (tried * tried * tried <= value) root = tried;
  }
  return root;
}

// RFC 9406, 4.3
constexpr std::uint8_t samples_needed = 8;
constexpr std::uint8_t conservative_rounds = 5;
constexpr std::uint32_t conservative_growth_divisor = 4;
constexpr duration rise_min = 4ms;
constexpr duration rise_max = 16ms;
// The curve is looked at so often, once a round trip at least, and when the window has changed.
constexpr duration curve_interval = duration(1s) / 32;
constexpr std::uint32_t segments_needed_max = 16'384;

}  // namespace

void congestion::start(std::uint32_t segment_bytes) {
  window = std::min(10 * segment_bytes, std::max(2 * segment_bytes, 14'600u));
}

void congestion::measure(duration latest, wire::sequence una, wire::sequence next) {
  if (!in_slow_start()) return;
  if (!round_known_ || una >= round_end_) {
    round_known_ = true;
    round_end_ = next;
    last_round_minimum_ = round_minimum_;
    round_minimum_ = duration::max();
    round_samples_ = 0;
    if (conservative_rounds_ > 0 && ++conservative_rounds_ > conservative_rounds) {
      threshold = window;  // congestion avoidance
      conservative_rounds_ = 0;
      return;
    }
  }
  round_minimum_ = std::min(round_minimum_, latest);
  if (round_samples_ < 255) ++round_samples_;
  if (round_samples_ < samples_needed) return;
  if (conservative_rounds_ == 0) {
    if (last_round_minimum_ == duration::max()) return;
    auto const rise = std::clamp<duration>(last_round_minimum_ / 8, rise_min, rise_max);
    if (round_minimum_ >= last_round_minimum_ + rise) {
      baseline_ = round_minimum_;
      conservative_rounds_ = 1;
    }
  } else if (round_minimum_ < baseline_) {
    conservative_rounds_ = 0;  // the rise was passing
  }
}

void congestion::measure_at_once(duration latest, duration minimum, wire::sequence una, wire::sequence next,
                                 std::uint32_t segment_bytes) {
  constexpr std::uint32_t window_min_segments = 16;
  if (window < window_min_segments * segment_bytes) return;
  if (!round_known_ || una > round_end_) {
    round_known_ = true;
    round_end_ = next;
    round_minimum_ = duration::max();
    round_samples_ = 0;
  }
  round_minimum_ = std::min(round_minimum_, latest);
  if (round_samples_ < samples_needed) {
    ++round_samples_;
  } else if (round_minimum_ > minimum + std::clamp<duration>(minimum / 8, rise_min, rise_max)) {
    threshold = window;
    left_at_once_ = true;
  }
}

void congestion::acknowledged(congestion_control how, std::uint32_t bytes, std::uint32_t segment_bytes,
                              duration round_trip, instant now) {
  if (window >= unlimited) return;
  if (in_slow_start()) {
    // All that was acknowledged counts (RFC 3465, without its L): receivers that merge acknowledge much at
    // once, and bursts are bounded by the window's half.
    auto growth = bytes;
    if (conservative_rounds_ > 0) growth /= conservative_growth_divisor;
    window = std::min(window + growth, std::max(threshold, window));
    return;
  }
  if (how == congestion_control::cubic) return cubic(bytes, segment_bytes, round_trip, now);
  fraction_ += std::uint64_t{bytes} * segment_bytes;
  window += static_cast<std::uint32_t>(fraction_ / window);
  fraction_ %= window;
}

void congestion::cubic(std::uint32_t bytes, std::uint32_t segment_bytes, duration round_trip, instant now) {
  if (epoch_ == never) {
    epoch_ = now;
    estimate_ = window;
    credit_ = acknowledged_ = 0;
    looked_at_window_ = 0;
    if (window < window_max_) {
      // K of RFC 9438, 4.2, in milliseconds: the cube root of (W_max - cwnd) / C with C = 0.4 segments/s^3.
      auto const missing = std::uint64_t{window_max_ - window};
      inflection_ms_ = static_cast<std::int32_t>(cube_root(missing * 2'500'000'000u / segment_bytes));
      origin_ = window_max_;
    } else {
      inflection_ms_ = 0;
      origin_ = window;
    }
  }
  acknowledged_ += bytes;
  if (window != looked_at_window_ || now >= look_again_at_) look_at_curve(segment_bytes, round_trip, now);
  auto const price = segments_needed_ * segment_bytes;
  // What was saved while more were needed is worth one segment, not several.
  auto segments = credit_ >= price ? 1u : 0u;
  credit_ = bytes + (segments == 0 ? credit_ : 0u);
  segments += credit_ / price;
  credit_ %= price;
  window = std::min(window + segments * segment_bytes, unlimited);
}

void congestion::look_at_curve(std::uint32_t segment_bytes, duration round_trip, instant now) {
  looked_at_window_ = window;
  look_again_at_ = now + std::min(curve_interval, round_trip);
  auto const since = std::chrono::duration_cast<std::chrono::milliseconds>(now - epoch_ + round_trip).count();
  auto const t = std::clamp<std::int64_t>(since - inflection_ms_, -100'000, 100'000);
  // 0.4 * t^3 segments, t in seconds.
  auto const growth = t * t * t / 1'000'000 * (4 * std::int64_t{segment_bytes}) / 10'000;
  auto const target =
      std::clamp<std::int64_t>(std::int64_t{origin_} + growth, window, std::int64_t{window} + window / 2);
  // The Reno-friendly region, 4.3: alpha is 3 * (1 - 0.7) / (1 + 0.7) = 9/17, and 1 once beyond the old
  // maximum.
  auto const gain = estimate_ < window_before_ ? 9u : 17u;
  auto const grown = std::uint64_t{acknowledged_} * segment_bytes * gain / (std::uint64_t{window} * 17);
  estimate_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(estimate_ + grown, unlimited));
  acknowledged_ = 0;
  if (estimate_ > target) window = looked_at_window_ = std::min(std::max(window, estimate_), unlimited);
  // A segment more for so many that are acknowledged, a whole number of them: what 4.4 has as a fraction.
  auto const missing = target > window ? static_cast<std::uint32_t>(target - window) / segment_bytes : 0u;
  segments_needed_ =
      std::clamp(missing == 0 ? UINT32_MAX : window / segment_bytes / missing, 2u, segments_needed_max);
  // Slow start that ended at once may have ended for a passing rise: until something is lost, the window
  // grows by a twentieth of what is acknowledged at least.
  if (left_at_once_) segments_needed_ = std::min(segments_needed_, 20u);
}

void congestion::reduce(congestion_control how, std::uint32_t in_flight_bytes, std::uint32_t segment_bytes,
                        instant) {
  window_before_ = window;
  threshold_before_ = threshold;
  auto const floor = 2 * segment_bytes;
  if (how == congestion_control::cubic) {
    // Fast convergence, 4.7: a flow that lost before it came back to its old maximum leaves room.
    window_max_ = window < window_max_ ? static_cast<std::uint32_t>(std::uint64_t{window} * 17 / 20) : window;
    threshold = std::max(static_cast<std::uint32_t>(std::uint64_t{window} * 7 / 10), floor);
  } else {
    threshold = std::max(in_flight_bytes / 2, floor);
  }
  epoch_ = never;
  fraction_ = 0;
  conservative_rounds_ = 0;
  left_at_once_ = false;
}

void congestion::time_out() {
  window_max_ = 0;
}

void congestion::undo() {
  window = std::max(window, window_before_);
  threshold = std::max(threshold, threshold_before_);
  window_max_ = std::max(window_max_, window_before_);
  epoch_ = never;
}

void congestion::restart(std::uint32_t segment_bytes) {
  threshold = std::max(threshold, static_cast<std::uint32_t>(std::uint64_t{window} * 3 / 4));
  congestion fresh;
  fresh.start(segment_bytes);
  window = std::min(window, fresh.window);
  epoch_ = never;
}

}  // namespace morgana::net::tcp
