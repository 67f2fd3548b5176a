// The log sink of every guest: one line a record on the console, `[   1.042] http: info: listening`.
#pragma once

#include "morgana/core/executor.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/log_levels.hpp"

namespace morgana {

class console_log final : public log_sink {
 public:
  explicit console_log(executor const& clock) : clock_(&clock) {}

  /// Holds for sources made from now on.
  void set_levels(log_levels const& levels) { levels_ = levels; }

  void write(log_record const& record) override;
  [[nodiscard]] log_level level_of(std::string_view source) const override { return levels_.of(source); }
  [[nodiscard]] instant now() const override { return clock_->now(); }

 private:
  executor const* clock_;
  log_levels levels_;
};

}  // namespace morgana
