// A speaking clock: once a second, for ever, the time since boot and the time of day.
#pragma once

#include <chrono>
#include <cstdint>

#include "morgana/app.hpp"

struct options {
  /// How often to speak; 0: for ever.
  std::uint32_t times = 0;
};

/// "2026-11-22 15:04:05 +00:00"
inline void write_utc(morgana::text_writer& out, morgana::wall_time when) {
  auto const day = std::chrono::floor<std::chrono::days>(when);
  std::chrono::year_month_day const date(day);
  std::chrono::hh_mm_ss const time(std::chrono::floor<std::chrono::seconds>(when - day));
  out.put_signed(static_cast<int>(date.year()));
  for (auto const& [mark, value] : {std::pair('-', static_cast<unsigned>(date.month())),
                                    std::pair('-', static_cast<unsigned>(date.day())),
                                    std::pair(' ', static_cast<unsigned>(time.hours().count())),
                                    std::pair(':', static_cast<unsigned>(time.minutes().count())),
                                    std::pair(':', static_cast<unsigned>(time.seconds().count()))}) {
    out.put(mark);
    out.put_unsigned(value, 10, 2, '0');
  }
  out.put(" +00:00");
}

morgana::task<> start(morgana::monotonic_clock auto& uptime, morgana::wall_clock auto& wall,
                      morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  morgana::log_source const log((co_await morgana::this_context()).log(), "clock");
  for (std::uint32_t said = 0; opt.times == 0 || said < opt.times; ++said) {
    if (said != 0) co_await morgana::sleep_for(1s);
    morgana::fixed_text<32> civil;
    if (wall.is_set()) {
      write_utc(civil, wall.now());
    } else {
      civil.put("civil time unknown");
    }
    log.info("{} ns since boot, {}", uptime.now().time_since_epoch().count(), civil.view());
  }
}
