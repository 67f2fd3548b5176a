// What a C library's caller finds besides memory (heap.cpp), locks (threads.c) and pure functions (libc.S):
// virtual time, the console as its standard output, an environment that is empty, and an end that is the
// host's. Whatever is not here and not there is refused by the linker. The functions that are defined here
// are inline in the C library's headers otherwise.
#define __NO_INLINE__ 1
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>

#include "host.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"

// The C library's own declarations differ in attributes; only names matter here.
#define MORGANA_LIBC_FUNCTION extern "C" [[gnu::used]]

namespace {

using morgana::platform::crash;
using morgana::platform::crash_reason;

constexpr std::int64_t second_ns = 1'000'000'000;

void split(std::int64_t time_ns, timespec& into) {
  into.tv_sec = time_ns / second_ns;
  into.tv_nsec = time_ns % second_ns;
}

std::size_t write_console(void const* bytes, std::size_t size) {
  morgana::platform::console_write({static_cast<std::byte const*>(bytes), size});
  return size;
}

int print(char const* format, std::va_list arguments) {
  constexpr std::size_t line_bytes_max = 4096;
  char line[line_bytes_max];
  auto const size = std::vsnprintf(line, sizeof line, format, arguments);
  if (size > 0) {
    auto const whole = static_cast<std::size_t>(size);
    write_console(line, whole < sizeof line ? whole : sizeof line - 1);
  }
  return size;
}

}  // namespace

// ---- time ----------------------------------------------------------------------------------------------

MORGANA_LIBC_FUNCTION int clock_gettime(clockid_t which, timespec* into) noexcept {
  auto const is_civil = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
  split(is_civil ? morgana::platform::wall_now().time_since_epoch().count()
                 : morgana::platform::monotonic_now().time_since_epoch().count(),
        *into);
  return 0;
}

MORGANA_LIBC_FUNCTION int clock_getres(clockid_t, timespec* into) noexcept {
  if (into != nullptr) *into = {.tv_sec = 0, .tv_nsec = 1};
  return 0;
}

MORGANA_LIBC_FUNCTION int timespec_get(timespec* into, int base) noexcept {
  split(morgana::platform::wall_now().time_since_epoch().count(), *into);
  return base;
}

MORGANA_LIBC_FUNCTION int gettimeofday(timeval* into, void*) noexcept {
  auto const now_ns = morgana::platform::wall_now().time_since_epoch().count();
  into->tv_sec = now_ns / second_ns;
  into->tv_usec = now_ns % second_ns / 1000;
  return 0;
}

MORGANA_LIBC_FUNCTION std::time_t time(std::time_t* into) noexcept {
  auto const now = morgana::platform::wall_now().time_since_epoch().count() / second_ns;
  if (into != nullptr) *into = now;
  return now;
}

/// Processor time: a simulated host computes in no time.
MORGANA_LIBC_FUNCTION std::clock_t clock() noexcept {
  return 0;
}

/// The local time of a host without a time zone.
MORGANA_LIBC_FUNCTION std::tm* localtime_r(std::time_t const* when, std::tm* into) noexcept {
  return gmtime_r(when, into);
}

// ---- the console ---------------------------------------------------------------------------------------

// Never looked into: every stream is the console.
extern "C" {
FILE* stdout = nullptr;
FILE* stderr = nullptr;
}

MORGANA_LIBC_FUNCTION int vfprintf(FILE*, char const* format, std::va_list arguments) {
  return print(format, arguments);
}
MORGANA_LIBC_FUNCTION int vprintf(char const* format, std::va_list arguments) {
  return print(format, arguments);
}
MORGANA_LIBC_FUNCTION int fprintf(FILE*, char const* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  auto const size = print(format, arguments);
  va_end(arguments);
  return size;
}
MORGANA_LIBC_FUNCTION int printf(char const* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  auto const size = print(format, arguments);
  va_end(arguments);
  return size;
}
// What fortified headers make of these names.
MORGANA_LIBC_FUNCTION int __vfprintf_chk(FILE*, int, char const* format, std::va_list arguments) {
  return print(format, arguments);
}
MORGANA_LIBC_FUNCTION int __fprintf_chk(FILE*, int, char const* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  auto const size = print(format, arguments);
  va_end(arguments);
  return size;
}
MORGANA_LIBC_FUNCTION int __printf_chk(int, char const* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  auto const size = print(format, arguments);
  va_end(arguments);
  return size;
}
MORGANA_LIBC_FUNCTION int fputs(char const* text, FILE*) {
  write_console(text, std::strlen(text));
  return 1;
}
MORGANA_LIBC_FUNCTION int puts(char const* text) {
  write_console(text, std::strlen(text));
  write_console("\n", 1);
  return 1;
}
MORGANA_LIBC_FUNCTION int fputc(int byte, FILE*) {
  auto const one = static_cast<unsigned char>(byte);
  write_console(&one, 1);
  return one;
}
MORGANA_LIBC_FUNCTION int putc(int byte, FILE* to) {
  return fputc(byte, to);
}
MORGANA_LIBC_FUNCTION int putchar(int byte) {
  return fputc(byte, nullptr);
}
MORGANA_LIBC_FUNCTION std::size_t fwrite(void const* from, std::size_t size, std::size_t count, FILE*) {
  write_console(from, size * count);
  return count;
}
MORGANA_LIBC_FUNCTION int fflush(FILE*) {
  return 0;
}

// ---- the environment and the end -----------------------------------------------------------------------

MORGANA_LIBC_FUNCTION char* getenv(char const*) noexcept {
  return nullptr;
}
MORGANA_LIBC_FUNCTION char* secure_getenv(char const*) noexcept {
  return nullptr;
}

// A host's objects end with its memory.
MORGANA_LIBC_FUNCTION int __cxa_atexit(void (*)(void*), void*, void*) noexcept {
  return 0;
}
MORGANA_LIBC_FUNCTION int __cxa_thread_atexit_impl(void (*)(void*), void*, void*) noexcept {
  return 0;
}
MORGANA_LIBC_FUNCTION int atexit(void (*)()) noexcept {
  return 0;
}
extern "C" {
[[gnu::visibility("hidden")]] void* __dso_handle = nullptr;
}

MORGANA_LIBC_FUNCTION [[gnu::noreturn]] void exit(int status) noexcept {
  morgana::platform::power_off(status);
}
MORGANA_LIBC_FUNCTION [[gnu::noreturn]] void _Exit(int status) noexcept {
  morgana::platform::power_off(status);
}
MORGANA_LIBC_FUNCTION [[gnu::noreturn]] void _exit(int status) {
  morgana::platform::power_off(status);
}
MORGANA_LIBC_FUNCTION [[gnu::noreturn]] void abort() noexcept {
  crash(crash_reason::assertion, "abort() was called");
}

MORGANA_LIBC_FUNCTION [[gnu::noreturn]] void __assert_fail(char const* expression, char const* file,
                                                           unsigned line, char const* function) noexcept {
  morgana::fixed_text<512> text;
  text.append("{}:{}: {}: assertion `{}` failed", std::string_view(file), line,
              std::string_view(function == nullptr ? "" : function), std::string_view(expression));
  crash(crash_reason::assertion, text.view());
}

/// What libc++ calls when a function of its library cannot go on.
[[noreturn]] void std::__libcpp_verbose_abort(char const* format, ...) noexcept {
  char text[512];
  std::va_list arguments;
  va_start(arguments, format);
  auto const size = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  crash(crash_reason::assertion, size > 0 ? std::string_view(text) : std::string_view(format));
}

MORGANA_LIBC_FUNCTION [[gnu::noreturn, gnu::noinline]] void __stack_chk_fail() {
  crash(crash_reason::stack_smashed, "a function wrote past the end of a local array");
}
