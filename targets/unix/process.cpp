// The process: how it starts, its arguments, its end.
#include "process.hpp"

#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "morgana/core/platform.hpp"

namespace morgana::hosted {
namespace {

std::span<std::string_view> boot_arguments;

}  // namespace

std::string_view environment(char const* name) {
  char const* text = ::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

void start_process(int count, char** arguments) {
  // Nothing that this process might run could gain privileges by it.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  start_clock();
  start_secret();
  start_crash_handlers();
  start_memory();
  start_signals();
  if (count > 1) {
    auto const size = static_cast<std::size_t>(count - 1);
    boot_arguments = {new std::string_view[size], size};
    for (std::size_t i = 0; i < size; ++i) boot_arguments[i] = arguments[i + 1];
  }
}

}  // namespace morgana::hosted

namespace morgana::platform {

std::span<std::string_view const> arguments() noexcept { return hosted::boot_arguments; }

void power_off(int status) noexcept {
  // The console is not buffered; what is written is written.
  ::_exit(status);
}

std::uint64_t resume_generation() noexcept {
  // A process cannot tell that it was frozen and thawed (CRIU, a virtual machine's snapshot): its only
  // source is the kernel's generator, which reseeds itself on such an event.
  return 0;
}

}  // namespace morgana::platform
