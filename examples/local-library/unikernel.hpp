// Uses a library of its own: sources and headers in a folder beside this file, named in unikernel.toml.
#pragma once

#include "hello/hello.hpp"
#include "morgana/app.hpp"

inline morgana::task<> start() {
  morgana::log_source const log((co_await morgana::this_context()).log(), "hello");
  log.info("{}", hello::greeting());
}
