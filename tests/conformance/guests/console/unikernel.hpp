// Level console: every byte value, empty lines, and 64 lines of 240 characters, between two marks. The kit holds
// the same pattern (driver/conformance/levels.cpp). Small enough for any console's buffer, so nothing may be lost.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out) {
  out.write("kit:begin\n");
  char bytes[256];
  for (unsigned i = 0; i < 256; ++i) bytes[i] = static_cast<char>(i);
  out.write(std::string_view(bytes, sizeof bytes));
  out.write("\n\n\n");
  for (unsigned line = 0; line < 64; ++line) {
    char text[241];
    for (unsigned i = 0; i < 240; ++i) text[i] = static_cast<char>('!' + (line * 7 + i) % 90);
    text[240] = '\n';
    // In two pieces, so that a console that works by lines or by writes shows itself.
    out.write(std::string_view(text, 100));
    out.write(std::string_view(text + 100, 141));
  }
  out.write("\nkit:end\n");
  co_return;
}
