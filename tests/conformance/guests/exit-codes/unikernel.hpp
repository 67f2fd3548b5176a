// Level exit-codes: ends as its option says.
#pragma once

#include <vector>

#include "morgana/app.hpp"
#include "morgana/core/event.hpp"

enum class way { returns, assertion, trap, waits };

template <>
struct morgana::option_names<way> {
  static constexpr std::pair<std::string_view, way> values[] = {
      {"return", way::returns}, {"assertion", way::assertion}, {"trap", way::trap}, {"wait", way::waits}};
};

using namespace morgana;

struct options {
  /// How to end.
  way mode = way::returns;
  /// What start() returns.
  int code = 0;
};

inline task<int> start(console auto& out, option_set<options> auto const& opt) {
  switch (opt.mode) {
    case way::returns: break;
    case way::assertion: {
      // The hardened library checks every access.
      std::vector<int> three(3);
      auto volatile index = std::size_t{3};
      co_return three[index];
    }
    case way::trap: __builtin_trap();
    case way::waits:
      out.write("kit:waiting\n");
      co_await stop_requested();
      out.write("kit:stopping\n");
      co_return 0;
  }
  co_return opt.code;
}
