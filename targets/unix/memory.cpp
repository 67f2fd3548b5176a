// The heap: the C library's malloc, limited by the kernel. MORGANA_MEMORY_BYTES, which the runner sets,
// becomes RLIMIT_DATA on top of what the image itself has, so that at the limit malloc gives a null pointer
// and operator new the crash report, instead of the host running out of memory.
#include <fcntl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "morgana/core/platform.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

std::uint64_t limit_bytes = 0;  ///< 0: none was set
std::uint64_t peak_bytes = 0;
[[maybe_unused]] std::uint64_t start_bytes = 0;  ///< data before the application

/// Bytes that count against RLIMIT_DATA now: the image's own data and what start-up took.
std::uint64_t data_bytes_now() {
  char text[256];
  auto const file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  auto const size = ::read(file, text, sizeof text);
  ::close(file);
  if (size <= 0) return 0;
  // Pages: size resident shared text lib data dirty (proc(5)).
  std::string_view rest(text, static_cast<std::size_t>(size));
  for (int field = 0; field < 5; ++field) {
    auto const space = rest.find(' ');
    if (space == std::string_view::npos) return 0;
    rest.remove_prefix(space + 1);
  }
  std::uint64_t pages = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), pages);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::uint64_t memory_limit_bytes() {
  if (limit_bytes != 0) return limit_bytes;
  // Nobody set a limit: what the host has.
  struct sysinfo host{};
  return ::sysinfo(&host) == 0 ? host.totalram * host.mem_unit : UINT64_MAX;
}

void start_memory() {
#if !defined(__GLIBC__)
  start_bytes = data_bytes_now();
#endif
  auto const text = environment("MORGANA_MEMORY_BYTES");
  if (text.empty()) return;
  std::uint64_t wanted = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), wanted);
  if (problem != std::errc() || end != text.data() + text.size() || wanted == 0) {
    platform::crash(platform::crash_reason::platform, "MORGANA_MEMORY_BYTES is not a number of bytes");
  }
  limit_bytes = wanted;
  rlimit data{};
  auto const now = data_bytes_now();
  if (now == 0 || ::getrlimit(RLIMIT_DATA, &data) != 0 || wanted > UINT64_MAX - now) return;
  data.rlim_cur = std::min<std::uint64_t>(data.rlim_max, now + wanted);
  ::setrlimit(RLIMIT_DATA, &data);
}

}  // namespace morgana::hosted

namespace morgana::platform {

memory_usage memory() noexcept {
#if defined(__GLIBC__)
  // malloc does not count its peak; what it took from the kernel and holds is close to it.
  auto const heap = ::mallinfo2();
  auto const held = heap.arena + heap.hblkhd;
  auto const used = heap.uordblks + heap.hblkhd;
#else
  // This C library's malloc does not count at all: what the kernel gave for data beyond start-up.
  auto const now = hosted::data_bytes_now();
  auto const held = now > hosted::start_bytes ? now - hosted::start_bytes : 0;
  auto const used = held;
#endif
  hosted::peak_bytes = std::max<std::uint64_t>(hosted::peak_bytes, held);
  return {.limit_bytes = hosted::memory_limit_bytes(), .used_bytes = used, .peak_bytes = hosted::peak_bytes};
}

}  // namespace morgana::platform
