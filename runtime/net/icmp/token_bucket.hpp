// Rates: `per_second` tokens come in each second, at most one second's worth is kept.
#pragma once

#include <algorithm>
#include <cstdint>

#include "morgana/core/time.hpp"

namespace morgana::net::host {

class token_bucket {
 public:
  token_bucket() = default;
  token_bucket(std::uint32_t per_second, instant now)
      : per_second_(per_second), level_(std::uint64_t{per_second} * unit), last_(now) {}

  /// Takes one token if there is one.
  [[nodiscard]] bool take(instant now) {
    if (now > last_) {
      auto const passed = static_cast<std::uint64_t>((now - last_).count());
      // A second fills it, so what is older does not matter (and cannot overflow).
      level_ += std::min<std::uint64_t>(passed, unit) * per_second_;
      level_ = std::min(level_, per_second_ * unit);
      last_ = now;
    }
    if (level_ < unit) return false;
    level_ -= unit;
    return true;
  }

 private:
  static constexpr std::uint64_t unit = 1'000'000'000;     ///< one token, so that a nanosecond adds per_second of it
  std::uint64_t per_second_ = 0;
  std::uint64_t level_ = 0;
  instant last_{};
};

}  // namespace morgana::net::host
