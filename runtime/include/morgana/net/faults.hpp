// A device around a device that loses, duplicates, swaps and damages frames, as its seed says: the same seed,
// the same faults. For tests of what is above it; `wrap = "faults"` puts it around any net::device.
//
// Faults happen to frames in both directions. A damaged frame loses whatever the device below said of its
// checksum, so that the stack has to find out. A swapped frame waits for the next one of its direction and
// goes behind it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

struct faults_options {
  /// What the faults are drawn from.
  std::uint64_t seed = 1;
  /// Frames lost, of a million.
  std::uint32_t loss_ppm = 0;
  /// Frames that come twice, of a million.
  std::uint32_t duplicate_ppm = 0;
  /// Frames that go behind the next one, of a million.
  std::uint32_t swap_ppm = 0;
  /// Arriving frames of which one bit is wrong, of a million.
  std::uint32_t damage_ppm = 0;
};

struct faults_counters {
  std::uint64_t lost = 0, duplicated = 0, swapped = 0, damaged = 0;
};

template <device Device>
class faults {
 public:
  [[nodiscard]] static task<result<faults>> connect(context&, Device& below, faults_options const& options) {
    co_return faults(below, options);
  }

  [[nodiscard]] device_capabilities capabilities() const { return below_->capabilities(); }
  [[nodiscard]] faults_counters const& counters() const { return counters_; }

  /// Waits as long as the frames that come are lost. Errors: those of the device below.
  [[nodiscard]] task<result<std::size_t>> receive(std::span<segment> into, instant deadline) {
    if (into.empty()) co_return 0;
    for (;;) {
      // Half of the room is for those that come twice.
      auto const count = co_await below_->receive(into.first((into.size() + 1) / 2), deadline);
      if (!count) co_return count;
      if (auto const left = arrived(into, *count); left != 0) co_return left;
    }
  }

  /// Errors: those of the device below.
  [[nodiscard]] result<std::size_t> transmit(std::span<segment> from) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (random_.chance(options_.loss_ppm)) {
        ++counters_.lost;
        from[i].clear();
        continue;
      }
      auto const twice = random_.chance(options_.duplicate_ppm);
      if (twice) spare_ = from[i];
      auto const taken = below_->transmit(from.subspan(i, 1));
      if (!taken) return taken;
      if (*taken == 0) return i;
      if (!twice) continue;
      ++counters_.duplicated;
      auto const again = below_->transmit(std::span(&spare_, 1));
      spare_.clear();
      if (!again) return again;
    }
    return from.size();
  }

  [[nodiscard]] auto room(instant deadline)
    requires device_with_room<Device>
  {
    return below_->room(deadline);
  }

 private:
  faults(Device& below, faults_options const& options)
      : below_(&below), options_(options), random_({options.seed, 0x6661'756c'7473}) {}

  /// What is left of `count` frames that stand first in `into`.
  std::size_t arrived(std::span<segment> into, std::size_t count) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (random_.chance(options_.loss_ppm)) {
        ++counters_.lost;
        into[i].clear();
        continue;
      }
      if (left != i) into[left] = std::move(into[i]);
      if (random_.chance(options_.damage_ppm)) damage(into[left]);
      if (left != 0 && random_.chance(options_.swap_ppm)) {
        ++counters_.swapped;
        std::swap(into[left - 1], into[left]);
      }
      ++left;
    }
    for (std::size_t i = 0, first = left; i < first && left < into.size(); ++i) {
      if (!random_.chance(options_.duplicate_ppm)) continue;
      ++counters_.duplicated;
      into[left++] = into[i];
    }
    return left;
  }

  /// Behind the Ethernet header, whose own sum a network card would have found wrong.
  void damage(segment& frame) {
    constexpr std::size_t ethernet_bytes = 14;
    if (frame.slices().empty()) return;
    auto const bytes = frame.slices().front().writable();
    if (bytes.size() <= ethernet_bytes) return;
    auto const at = ethernet_bytes + static_cast<std::size_t>(random_.below(bytes.size() - ethernet_bytes));
    bytes[at] ^= static_cast<std::byte>(1u << random_.below(8));
    frame.checksum = checksum_state::unchecked;
    ++counters_.damaged;
  }

  Device* below_;
  faults_options options_;
  random_stream random_;
  segment spare_;
  faults_counters counters_;
};

}  // namespace morgana::net
