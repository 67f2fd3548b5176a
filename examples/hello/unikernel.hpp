// Says hello four times, a second apart.
#pragma once

#include "morgana/app.hpp"

inline morgana::task<> start() {
  using namespace std::chrono_literals;
  morgana::log_source const log((co_await morgana::this_context()).log(), "hello");
  for (int i = 0; i < 4; ++i) {
    if (i != 0) co_await morgana::sleep_for(1s);
    log.info("hello");
  }
}
