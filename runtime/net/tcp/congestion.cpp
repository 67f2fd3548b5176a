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
    last_round_minimum_ns_ = round_minimum_ns_;
    round_minimum_ns_ = unknown_ns;
    round_samples_ = 0;
    if (conservative_rounds_ > 0 && ++conservative_rounds_ > conservative_rounds) {
      threshold = window;  // congestion avoidance
      conservative_rounds_ = 0;
      return;
    }
  }
  round_minimum_ns_ = std::min(round_minimum_ns_, in_ns(latest));
  if (round_samples_ < 255) ++round_samples_;
  if (round_samples_ < samples_needed) return;
  if (conservative_rounds_ == 0) {
    if (last_round_minimum_ns_ == unknown_ns) return;
    auto const rise = std::clamp<duration>(duration(last_round_minimum_ns_) / 8, rise_min, rise_max);
    if (duration(round_minimum_ns_) >= duration(last_round_minimum_ns_) + rise) {
      baseline_ns_ = round_minimum_ns_;
      conservative_rounds_ = 1;
    }
  } else if (round_minimum_ns_ < baseline_ns_) {
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
    round_minimum_ns_ = unknown_ns;
    round_samples_ = 0;
  }
  round_minimum_ns_ = std::min(round_minimum_ns_, in_ns(latest));
  if (round_samples_ < samples_needed) {
    ++round_samples_;
  } else if (duration(round_minimum_ns_) > minimum + std::clamp<duration>(minimum / 8, rise_min, rise_max)) {
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
  auto& fraction = known().fraction;
  fraction += std::uint64_t{bytes} * segment_bytes;
  window += static_cast<std::uint32_t>(fraction / window);
  fraction %= window;
}

void congestion::cubic(std::uint32_t bytes, std::uint32_t segment_bytes, duration round_trip, instant now) {
  auto& c = known();
  if (c.epoch == never) {
    c.epoch = now;
    c.estimate = window;
    c.credit = c.acknowledged = 0;
    c.looked_at_window = 0;
    if (window < c.window_max) {
      // K of RFC 9438, 4.2, in milliseconds: the cube root of (W_max - cwnd) / C with C = 0.4 segments/s^3.
      auto const missing = std::uint64_t{c.window_max - window};
      c.inflection_ms = static_cast<std::int32_t>(cube_root(missing * 2'500'000'000u / segment_bytes));
      c.origin = c.window_max;
    } else {
      c.inflection_ms = 0;
      c.origin = window;
    }
  }
  c.acknowledged += bytes;
  if (window != c.looked_at_window || now >= c.look_again_at) look_at(c, segment_bytes, round_trip, now);
  auto const price = c.segments_needed * segment_bytes;
  // What was saved while more were needed is worth one segment, not several.
  auto segments = c.credit >= price ? 1u : 0u;
  c.credit = bytes + (segments == 0 ? c.credit : 0u);
  segments += c.credit / price;
  c.credit %= price;
  window = std::min(window + segments * segment_bytes, unlimited);
}

void congestion::look_at(curve& c, std::uint32_t segment_bytes, duration round_trip, instant now) {
  c.looked_at_window = window;
  c.look_again_at = now + std::min(curve_interval, round_trip);
  auto const since = std::chrono::duration_cast<std::chrono::milliseconds>(now - c.epoch + round_trip).count();
  auto const t = std::clamp<std::int64_t>(since - c.inflection_ms, -100'000, 100'000);
  // 0.4 * t^3 segments, t in seconds.
  auto const growth = t * t * t / 1'000'000 * (4 * std::int64_t{segment_bytes}) / 10'000;
  auto const target =
      std::clamp<std::int64_t>(std::int64_t{c.origin} + growth, window, std::int64_t{window} + window / 2);
  // The Reno-friendly region, 4.3: alpha is 3 * (1 - 0.7) / (1 + 0.7) = 9/17, and 1 once beyond the old
  // maximum.
  auto const gain = c.estimate < c.window_before ? 9u : 17u;
  auto const grown = std::uint64_t{c.acknowledged} * segment_bytes * gain / (std::uint64_t{window} * 17);
  c.estimate = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.estimate + grown, unlimited));
  c.acknowledged = 0;
  if (c.estimate > target) window = c.looked_at_window = std::min(std::max(window, c.estimate), unlimited);
  // A segment more for so many that are acknowledged, a whole number of them: what 4.4 has as a fraction.
  auto const missing = target > window ? static_cast<std::uint32_t>(target - window) / segment_bytes : 0u;
  c.segments_needed =
      std::clamp(missing == 0 ? UINT32_MAX : window / segment_bytes / missing, 2u, segments_needed_max);
  // Slow start that ended at once may have ended for a passing rise: until something is lost, the window
  // grows by a twentieth of what is acknowledged at least.
  if (left_at_once_) c.segments_needed = std::min(c.segments_needed, 20u);
}

void congestion::reduce(congestion_control how, std::uint32_t in_flight_bytes, std::uint32_t segment_bytes,
                        instant) {
  auto& c = known();
  c.window_before = window;
  c.threshold_before = threshold;
  auto const floor = 2 * segment_bytes;
  if (how == congestion_control::cubic) {
    // Fast convergence, 4.7: a flow that lost before it came back to its old maximum leaves room.
    c.window_max = window < c.window_max ? static_cast<std::uint32_t>(std::uint64_t{window} * 17 / 20) : window;
    threshold = std::max(static_cast<std::uint32_t>(std::uint64_t{window} * 7 / 10), floor);
  } else {
    threshold = std::max(in_flight_bytes / 2, floor);
  }
  c.epoch = never;
  c.fraction = 0;
  conservative_rounds_ = 0;
  left_at_once_ = false;
}

void congestion::time_out() {
  auto& c = known();
  c.window_max = 0;
}

void congestion::undo() {
  auto& c = known();
  window = std::max(window, c.window_before);
  threshold = std::max(threshold, c.threshold_before);
  c.window_max = std::max(c.window_max, c.window_before);
  c.epoch = never;
}

void congestion::restart(std::uint32_t segment_bytes) {
  threshold = std::max(threshold, static_cast<std::uint32_t>(std::uint64_t{window} * 3 / 4));
  congestion fresh;
  fresh.start(segment_bytes);
  window = std::min(window, fresh.window);
  if (curve_ != nullptr) curve_->epoch = never;
}

}  // namespace morgana::net::tcp
