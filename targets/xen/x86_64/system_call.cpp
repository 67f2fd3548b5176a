// What is below the C library (packages/sysroot/os_syscall.h): nearly nothing. There are no files, no
// processes and no other threads; memory comes from heap.cpp, which replaces malloc.
#include <errno.h>
#include <os_syscall.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <cstring>

#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "processor.hpp"

namespace {

using namespace morgana;

long write(long file, void const* bytes, std::size_t size) {
  if (file != 1 && file != 2) return -EBADF;
  platform::console_write({static_cast<std::byte const*>(bytes), size});
  return static_cast<long>(size);
}

long tell_time(long clock, timespec* into) {
  auto const is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  auto const since =
      is_wall ? platform::wall_now().time_since_epoch() : platform::monotonic_now().time_since_epoch();
  auto const ns = since.count();
  into->tv_sec = ns / 1'000'000'000;
  into->tv_nsec = static_cast<long>(ns % 1'000'000'000);
  return 0;
}

/// Only from what gives random bytes itself. Nothing that needs them for a secret comes through here.
long fill_random(void* into, std::size_t size) {
  for (auto const& source : platform::entropy_sources()) {
    auto const done = source.sample({static_cast<std::byte*>(into), size});
    if (done == size) return static_cast<long>(size);
  }
  return -ENOSYS;
}

long other_call(long number, long a, long b, long c) {
  switch (number) {
    case SYS_write:
      return write(a, reinterpret_cast<void const*>(b), static_cast<std::size_t>(c));
    case SYS_writev: {
      long all = 0;
      for (auto const* one = reinterpret_cast<iovec const*>(b); c > 0; ++one, --c) {
        auto const done = write(a, one->iov_base, one->iov_len);
        if (done < 0) return done;
        all += done;
      }
      return all;
    }
    case SYS_clock_gettime:
      return tell_time(a, reinterpret_cast<timespec*>(b));
    case SYS_getrandom:
      return fill_random(reinterpret_cast<void*>(a), static_cast<std::size_t>(b));
    case SYS_exit:
    case SYS_exit_group:
      platform::power_off(static_cast<int>(a));
    case SYS_tkill:
      platform::crash(platform::crash_reason::assertion, "abort() was called");
    case SYS_set_tid_address:
    case SYS_gettid:
    case SYS_getpid:
      return 1;
    case SYS_futex:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_madvise:
    case SYS_mprotect:
      return 0;
    case SYS_ioctl:
      return -ENOTTY;
    default:
      return -ENOSYS;
  }
}

}  // namespace

// Changes the thread register below its own frame, so it must not check a canary.
extern "C" [[gnu::no_stack_protector]] long os_syscall(long number, long a, long b, long c, long, long,
                                                       long) {
  if (number == SYS_set_thread_area) {
    xen::processor::write_model_register(xen::processor::thread_base, static_cast<std::uint64_t>(a));
    return 0;
  }
  return other_call(number, a, b, c);
}
