// Level boot: an image that does as little as can be seen.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out) {
  out.write("kit:booted\n");
  co_return;
}
