// The same as task_heads1 with a combinator: all() runs its tasks side by side to their ends.
#pragma once

#include <string_view>

#include "morgana/app.hpp"

/// Gives what it said, because all() collects results.
inline morgana::task<std::string_view> say_after(morgana::duration delay, std::string_view what,
                                                 morgana::log_source log) {
  co_await morgana::sleep_for(delay);
  log.info("{}", what);
  co_return what;
}

inline morgana::task<> start() {
  using namespace std::chrono_literals;
  morgana::log_source const log((co_await morgana::this_context()).log(), "heads");
  auto const [first, second] =
      co_await morgana::all(say_after(1s, "Heads", log), say_after(2s, "Tails", log));
  log.info("Finished: {} and {}", first, second);
}
