#include "morgana/hosted/reactor.hpp"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>

#include "morgana/core/platform.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

constinit reactor process_reactor;
bool is_open = false;
/// epoll_pwait2 came with Linux 5.11; older kernels wait in milliseconds.
bool has_nanosecond_wait = true;

}  // namespace

reactor& reactor::of_process() {
  if (!is_open) {
    is_open = true;
    process_reactor.open();
  }
  return process_reactor;
}

void reactor::open() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_up_.descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || wake_up_.descriptor < 0 || watch(wake_up_.descriptor, wake_up_, EPOLLIN) != 0) {
    platform::crash(platform::crash_reason::platform, "the kernel gave no epoll instance");
  }
}

void reactor::wake_up::ready(std::uint32_t) {
  std::uint64_t count = 0;
  [[maybe_unused]] auto const taken = ::read(descriptor, &count, sizeof count);
}

int reactor::watch(int descriptor, pollable& who, std::uint32_t events) {
  epoll_event event{.events = events | EPOLLET, .data = {.ptr = &who}};
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno;
}

void reactor::forget(int descriptor) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }

void reactor::wait(instant deadline) {
  epoll_event events[events_max];
  timespec timeout{};
  timespec const* limit = nullptr;
  if (deadline != never) {
    limit = &timeout;
    auto const left = deadline - platform::monotonic_now();
    if (left > duration::zero()) {
      auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      timeout.tv_sec = seconds.count();
      timeout.tv_nsec = static_cast<long>((left - seconds).count());
    }
  }
  for (;;) {
    int count = -1;
    if (has_nanosecond_wait) {
      // By number: not every C library has a function for it.
      count = static_cast<int>(::syscall(SYS_epoll_pwait2, epoll_, events, events_max, limit, nullptr, 0));
      if (count < 0 && errno == ENOSYS) has_nanosecond_wait = false;
    }
    if (!has_nanosecond_wait) {
      // Rounded up, or the loop would spin through the last millisecond before a deadline.
      std::int64_t ms = limit == nullptr ? -1 : timeout.tv_sec * 1000 + (timeout.tv_nsec + 999'999) / 1'000'000;
      if (ms > INT32_MAX) ms = INT32_MAX;
      count = ::epoll_wait(epoll_, events, events_max, static_cast<int>(ms));
    }
    if (count < 0) {
      // A signal's handler has said what it had to say; its eventfd makes the next wait return.
      if (errno == EINTR) return;
      platform::crash(platform::crash_reason::platform, "epoll_wait failed");
    }
    for (auto const& event : std::span(events, static_cast<std::size_t>(count))) {
      static_cast<pollable*>(event.data.ptr)->ready(event.events);
    }
    if (count < events_max) return;
    timeout = {};
    limit = &timeout;
  }
}

void reactor::interrupt() noexcept {
  std::uint64_t const one = 1;
  auto const before = errno;
  [[maybe_unused]] auto const put = ::write(wake_up_.descriptor, &one, sizeof one);
  errno = before;
}

}  // namespace morgana::hosted

namespace morgana::platform {

void wait_until(instant deadline) noexcept {
  hosted::watch_console_input();
  hosted::reactor::of_process().wait(deadline);
}

}  // namespace morgana::platform
