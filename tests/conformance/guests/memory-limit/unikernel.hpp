// Level memory-limit: takes memory until there is no more, and says how far it came. At 512 MiB it gives up.
#pragma once

#include <cstring>

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out) {
  constexpr std::size_t mib = std::size_t{1} << 20;
  fixed_text<64> line;
  for (int taken = 1; taken <= 512; ++taken) {
    // Never given back; written through a volatile pointer so that it is really there.
    auto* const block = new char[mib];
    auto volatile* const touched = block;
    for (std::size_t at = 0; at < mib; at += 4096) touched[at] = 1;
    if (taken % 8 != 0) continue;
    line.clear();
    line.append("kit:allocated-mib-{}\n", taken);
    out.write(line.view());
  }
  co_return;
}
