// Time: CLOCK_MONOTONIC counted from the start of this process, and CLOCK_REALTIME.
#include <time.h>

#include "morgana/core/platform.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

std::int64_t boot_ns = 0;

std::int64_t read_clock_ns(clockid_t which) noexcept {
  timespec now{};
  if (::clock_gettime(which, &now) != 0) {
    platform::crash(platform::crash_reason::platform, "clock_gettime failed");
  }
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void start_clock() { boot_ns = read_clock_ns(CLOCK_MONOTONIC); }

}  // namespace morgana::hosted

namespace morgana::platform {

instant monotonic_now() noexcept {
  if (hosted::boot_ns == 0) hosted::start_clock();
  return instant(duration(hosted::read_clock_ns(CLOCK_MONOTONIC) - hosted::boot_ns));
}

wall_time wall_now() noexcept { return wall_time(duration(hosted::read_clock_ns(CLOCK_REALTIME))); }

bool wall_clock_is_set() noexcept { return true; }

}  // namespace morgana::platform
