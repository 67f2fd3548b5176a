// Level time: what the guest's clocks say around a sleep; the kit compares with the host's.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out, monotonic_clock auto& clock, wall_clock auto& calendar, timer auto& sleeper) {
  fixed_text<128> line;
  int backwards = 0;
  auto last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    auto const now = clock.now();
    if (now < last) ++backwards;
    last = now;
  }
  line.append("kit:backwards {}\n", backwards);
  out.write(line.view());

  line.clear();
  // From this reading on, not from the beginning of this turn: a slow console may have taken a while since.
  auto const begin = clock.now();
  line.append("kit:sleep-begin {}\n", begin.time_since_epoch().count());
  out.write(line.view());
  co_await sleeper.sleep_until(begin + 300ms);
  line.clear();
  line.append("kit:sleep-end {}\n", clock.now().time_since_epoch().count());
  out.write(line.view());

  if (calendar.is_set()) {
    line.clear();
    line.append("kit:wall {}\n", calendar.now().time_since_epoch().count());
    out.write(line.view());
  } else {
    out.write("kit:wall unset\n");
  }
}
