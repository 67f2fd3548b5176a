// An echo server without a network: lines of random length arrive after random delays, and are said again.
#pragma once

#include <string>
#include <string_view>

#include "morgana/app.hpp"

struct options {
  /// Lines to echo.
  std::uint32_t lines = 10;
  /// Longest delay before a line.
  std::chrono::milliseconds delay_max = std::chrono::milliseconds(2500);
};

/// A line of up to 20 characters, after a while.
template <morgana::random_generator Random>
morgana::task<morgana::result<std::string>> read_line(Random& random, std::chrono::milliseconds delay_max) {
  auto const delay = morgana::random_below(random, static_cast<std::uint64_t>(delay_max.count()) + 1);
  if (!delay) co_return morgana::failure(delay.error());
  co_await morgana::sleep_for(std::chrono::milliseconds(*delay));
  auto const length = morgana::random_below(random, 20);
  if (!length) co_return morgana::failure(length.error());
  co_return std::string(static_cast<std::size_t>(*length) + 1, 'a');
}

morgana::task<morgana::result<void>> start(morgana::random_generator auto& random,
                                           morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "echo");
  if (auto seeded = co_await random.seeded(here.now() + 5s); !seeded) co_return seeded;
  for (std::uint32_t i = 0; i < opt.lines; ++i) {
    auto const line = co_await read_line(random, opt.delay_max);
    if (!line) co_return morgana::failure(line.error());
    log.info("{}", std::string_view(*line));
  }
  log.info("Finished");
  co_return morgana::result<void>();
}
