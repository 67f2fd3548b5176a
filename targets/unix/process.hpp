// What the parts of the hosted platform know of each other. Private to targets/unix.
//
// A platform is the one place of a guest with state that belongs to the whole program: it is this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace morgana::hosted {

/// Sets the process up, in order: time, secret, memory limit, signals, crash handlers. `arguments` is
/// main's argv.
void start_process(int count, char** arguments);

// ---- the parts that start_process() starts --------------------------------------------------------------

void start_clock();
void start_secret();
/// Reads MORGANA_MEMORY_BYTES and makes it a limit of the kernel's too.
void start_memory();
[[nodiscard]] std::uint64_t memory_limit_bytes();
void start_signals();
/// Fault handlers on a stack of their own.
void start_crash_handlers();

/// Makes console input end a wait_until; registers the input descriptor at its first call.
void watch_console_input();

/// Where a crash happened; `fault_address` means something when `has_fault`.
struct crash_place {
  std::uintptr_t program_counter = 0;
  std::uintptr_t frame = 0;
  std::uintptr_t stack = 0;
  std::uintptr_t fault_address = 0;
  bool has_fault = false;
  bool is_return_address = false;    ///< `program_counter` stands after a call
};

/// An environment variable's text, or an empty view.
[[nodiscard]] std::string_view environment(char const* name);

/// The file's name of a function's address, from the image's own symbol table; reads the file the first
/// time. Does not allocate. Empty when the image is stripped.
class symbol_table {
 public:
  symbol_table();
  struct found {
    std::string_view name;           ///< as in the file, mangled
    std::uintptr_t offset = 0;       ///< from the function's start
  };
  /// `offset` is relative to the image's load address.
  [[nodiscard]] found find(std::uintptr_t offset) const;

 private:
  bool open(char const* path);
  void const* symbols_ = nullptr;
  std::size_t symbol_count_ = 0;
  std::string_view names_;
};

}  // namespace morgana::hosted
