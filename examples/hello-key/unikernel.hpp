// Says what it is told, four times. Each field of `options` is a boot option, with its comment as the help.
#pragma once

#include <string_view>

#include "morgana/app.hpp"

struct options {
  /// What to say.
  std::string_view hello = "Hello World!";
};

morgana::task<> start(morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  morgana::log_source const log((co_await morgana::this_context()).log(), "hello");
  for (int i = 0; i < 4; ++i) {
    if (i != 0) co_await morgana::sleep_for(1s);
    log.info("{}", opt.hello);
  }
}
