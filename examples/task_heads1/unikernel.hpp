// Two tasks side by side in a scope: "Heads" after a second, "Tails" after two, then "Finished".
#pragma once

#include <string_view>

#include "morgana/app.hpp"

inline morgana::task<> say_after(morgana::duration delay, std::string_view what, morgana::log_source log) {
  co_await morgana::sleep_for(delay);
  log.info("{}", what);
}

inline morgana::task<morgana::result<void>> start() {
  using namespace std::chrono_literals;
  morgana::log_source const log((co_await morgana::this_context()).log(), "heads");
  morgana::scope both = co_await morgana::open_scope();
  both.spawn(say_after(1s, "Heads", log));
  both.spawn(say_after(2s, "Tails", log));
  if (auto ended = co_await both.join(); !ended) co_return ended;
  log.info("Finished");
  co_return morgana::result<void>();
}
