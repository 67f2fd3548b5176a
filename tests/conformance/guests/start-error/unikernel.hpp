// Level exit-codes: start() returns an error.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<result<void>> start(console auto& out) {
  out.write("kit:failing\n");
  co_return failure(core_error::not_found);
}
