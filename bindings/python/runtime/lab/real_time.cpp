#include "real_time.hpp"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace morgana::python {

namespace {
std::int64_t clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}
}  // namespace

real_time::real_time(sim::world& runs, std::function<bool()> is_worth_telling)
    : world_(runs),
      is_worth_telling_(std::move(is_worth_telling)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      began_ns_(clock_ns()),
      began_(runs.now()) {}

real_time::~real_time() {
  stop();
  ::close(wake_);
}

void real_time::start() {
  thread_ = std::thread([this] { work(); });
}

void real_time::stop() {
  stopping_ = true;
  changed();
  std::lock_guard const one_at_a_time(ending_);
  if (thread_.joinable()) thread_.join();
}

void real_time::changed() {
  std::uint64_t const one = 1;
  [[maybe_unused]] auto const written = ::write(wake_, &one, sizeof one);
}

instant real_time::now() const {
  return began_ + duration(clock_ns() - began_ns_);
}

void real_time::wait(std::unique_lock<std::mutex>& held, duration length) {
  (void)told_.wait_for(held, std::chrono::nanoseconds(length));
}

std::vector<pollfd> real_time::wanted() const {
  std::vector<pollfd> all{{wake_, POLLIN, 0}};
  for (auto const& one : sockets_) {
    all.push_back({one.is_open ? one.node->descriptor() : -1, POLLIN, 0});
  }
  return all;
}

void real_time::work() {
  std::unique_lock held(turn);
  while (!stopping_) {
    world_.run_until(now());
    if (is_worth_telling_()) told_.notify_all();
    if (world_.stopped()) return;
    auto const left = std::clamp<duration>(world_.next_event() - now(), 0ns, nap);
    auto polled = wanted();
    held.unlock();
    timespec const length{.tv_sec = 0, .tv_nsec = left.count()};
    (void)::ppoll(polled.data(), polled.size(), &length, nullptr);
    held.lock();
    std::uint64_t drained = 0;
    if (polled[0].revents != 0) [[maybe_unused]]
      auto const got = ::read(wake_, &drained, sizeof drained);
    for (std::size_t i = 1; i < polled.size(); ++i) {
      auto& one = sockets_[i - 1];
      if (polled[i].revents == 0 || world_.find(one.at) != one.node) continue;
      if (!one.node->read()) one.is_open = false;
      // Its frames leave at the time at which they came.
      world_.at(now(), [this, at = one.at] { world_.touch(at); });
    }
  }
}

}  // namespace morgana::python
