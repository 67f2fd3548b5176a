// Level arguments: what arrived, in hexadecimal, so that no console can change it.
#pragma once

#include <string>

#include "morgana/app.hpp"

using namespace morgana;

struct options {
  /// Any text.
  std::string text = "default";
  /// Any number.
  std::int64_t number = -1;
  /// A switch.
  bool flag = false;
};

inline task<> start(console auto& out, option_set<options> auto const& opt) {
  fixed_text<2048> line;
  line.put("kit:text ");
  for (char const c : opt.text) line.put_unsigned(static_cast<unsigned char>(c), 16, 2, '0');
  line.append("\nkit:number {}\nkit:flag {}\n", opt.number, opt.flag);
  out.write(line.view());
  co_return;
}
