// Does what an attacker would like to, as its option says. The guest must die of it, with the right report.
#pragma once

#include <cstring>

#include "morgana/app.hpp"

enum class attack { none, write_code, write_constant, execute_data, execute_heap, read_null, overflow, smash };

template <>
struct morgana::option_names<attack> {
  static constexpr std::pair<std::string_view, attack> values[] = {
      {"none", attack::none},
      {"write-code", attack::write_code},
      {"write-constant", attack::write_constant},
      {"execute-data", attack::execute_data},
      {"execute-heap", attack::execute_heap},
      {"read-null", attack::read_null},
      {"overflow", attack::overflow},
      {"smash", attack::smash}};
};

struct options {
  /// What to try.
  attack how = attack::none;
};

inline constexpr char const* names[] = {"one", "two"};

[[gnu::noinline]] inline void smash_on_purpose(int bytes) {
  char frame[16];
  char* volatile at = frame;
  for (int i = 0; i < bytes; ++i) at[i] = 'x';
}

[[gnu::noinline]] inline int overflow_on_purpose(unsigned depth) {
  char volatile frame[1024];
  frame[0] = static_cast<char>(depth);
  return overflow_on_purpose(depth + 1) + frame[0];
}

inline void run(void const* code) {
  void (*volatile function)() = nullptr;
  std::memcpy(const_cast<void (**)()>(&function), &code, sizeof code);
  function();
}

/// Its name must stand in the crash report.
[[gnu::noinline]] inline int attack_on_purpose(attack how) {
  static unsigned char data[16] = {0xc3};  // ret
  switch (how) {
    case attack::write_code: {
      auto* const code = reinterpret_cast<unsigned char volatile*>(&smash_on_purpose);
      code[0] = 0xc3;
      return 1;
    }
    case attack::write_constant: {
      auto** volatile table = const_cast<char const**>(names);
      table[1] = "three";
      return 1;
    }
    case attack::execute_data: run(data); return 1;
    case attack::execute_heap: {
      auto* const heap = new unsigned char[16]{0xc3};
      run(heap);
      return 1;
    }
    case attack::read_null: {
      int volatile* volatile nowhere = nullptr;
      return *nowhere;
    }
    case attack::overflow: return overflow_on_purpose(0);
    case attack::smash: smash_on_purpose(128); return 1;
    case attack::none: return 0;
  }
  return 0;
}

/// What the compiler's code compares.
inline std::uint64_t canary() {
  std::uint64_t value = 0;
  asm("mov %%fs:0x28, %0" : "=r"(value));
  return value;
}

inline morgana::task<int> start(morgana::option_set<options> auto const& opt) {
  morgana::log_source const log((co_await morgana::this_context()).log(), "attacks");
  if (opt.how == attack::none) log.info("canary {}", canary());
  co_return attack_on_purpose(opt.how);
}
