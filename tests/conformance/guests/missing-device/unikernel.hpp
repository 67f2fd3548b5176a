// Level missing-device: nobody attaches this disk, so start() must not be reached.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out, block_device auto& absent_disk) {
  static_cast<void>(absent_disk);
  out.write("kit:started\n");
  co_return;
}
