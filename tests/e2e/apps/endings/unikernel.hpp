// Ends in every way that a unikernel can end (docs/exit-codes.md), as its options say.
#pragma once

#include <exception>
#include <vector>

#include "morgana/app.hpp"

enum class way { returns, assertion, fault, trap, overflow, smash, terminate, memory, waits };

template <>
struct morgana::option_names<way> {
  static constexpr std::pair<std::string_view, way> values[] = {
      {"return", way::returns},     {"assertion", way::assertion}, {"fault", way::fault},
      {"trap", way::trap},          {"overflow", way::overflow},   {"smash", way::smash},
      {"terminate", way::terminate}, {"memory", way::memory},       {"wait", way::waits}};
};

struct options {
  /// How to end.
  way how = way::returns;
  /// What start() returns.
  int code = 0;
};

/// Writes past an array of its own: found when it returns.
[[gnu::noinline]] inline void smash_on_purpose(int bytes) {
  char frame[16];
  char* volatile at = frame;
  for (int i = 0; i < bytes; ++i) at[i] = 'x';
}

/// Its name must stand in the crash report. What cannot be known at build time is read through a volatile.
[[gnu::noinline]] inline int crash_on_purpose(way how, unsigned depth) {
  int volatile four = 4;
  switch (how) {
    case way::assertion: {
      std::vector<int> three(3);
      return three[static_cast<std::size_t>(four)];
    }
    case way::fault: {
      int volatile* volatile nowhere = nullptr;
      return *nowhere;
    }
    case way::trap: __builtin_trap();
    case way::overflow: {
      char volatile frame[4096];
      frame[0] = static_cast<char>(depth);
      return crash_on_purpose(how, depth + 1) + frame[0];
    }
    case way::smash: smash_on_purpose(four * 32); return 0;
    case way::terminate: std::terminate();
    default: return 0;
  }
}

inline morgana::task<int> start(morgana::console auto& first, morgana::console auto& second,
                                morgana::option_set<options> auto const& opt) {
  first.write("started");
  static_cast<void>(second);
  if (opt.how == way::waits) {
    // Not even a stop ends it: it is cancelled when --shutdown-grace has passed.
    co_await morgana::sleep_until(morgana::never);
  }
  if (opt.how == way::memory) {
    std::vector<std::vector<char>> kept;
    for (;;) kept.emplace_back(1u << 20, 'x');
  }
  if (opt.how != way::returns) co_return crash_on_purpose(opt.how, 0);
  co_return opt.code;
}
