#include "process.hpp"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace morgana::sim {
namespace {

constexpr int input = 0;
constexpr int output = 1;
/// Exit status when the simulator itself cannot do its work; the runner makes `failed` of it.
constexpr int failed_status = 125;
/// Civil time at the boot of a simulated host: 2030-01-01 00:00:00 UTC.
constexpr wall_time first_day = wall_time(1'893'456'000s);

std::int64_t clock_ns(clockid_t which) {
  timespec now{};
  ::clock_gettime(which, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int refuse(std::string const& what) {
  auto const text = "sim: error: " + what + "\n";
  [[maybe_unused]] auto const written = ::write(output, text.data(), text.size());
  return failed_status;
}

process::process(process_settings settings)
    : settings_(std::move(settings)), random_(settings_.seed, "host " + settings_.name) {
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTERM);
  ::sigaddset(&stops, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stops, &signals_before_);
  signals_ = ::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
  ::signal(SIGPIPE, SIG_IGN);
}

process::~process() {
  for (auto const& one : networks_) ::close(one.descriptor);
  for (auto const& one : disks_) ::close(one.descriptor);
  for (auto const one : recordings_) {
    if (one >= 0) ::close(one);
  }
  if (signals_ >= 0) ::close(signals_);
  ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
}

int process::run() {
  if (auto const wrong = attach(); !wrong.empty()) return refuse(wrong);
  is_real_time_ = !networks_.empty();
  auto image = image::open(settings_.image);
  if (!image) return refuse(image.error());
  guest_settings settings{.name = settings_.name,
                          .arguments = settings_.arguments,
                          .memory_bytes = settings_.memory_bytes,
                          .replay = "seed " + std::to_string(settings_.seed)};
  random(settings.boot_secret);
  auto one = guest::load(*std::move(image), *this, std::move(settings));
  if (!one) return refuse(one.error());
  running_ = one->get();

  started_ns_ = clock_ns(CLOCK_MONOTONIC);
  auto now = instant();
  // A look at the signals costs a system call: often enough to stop a guest that never waits in real time.
  constexpr unsigned turns_between_looks = 256;
  for (unsigned turn = 1;; ++turn) {
    wants_input_ = false;
    running_->run(now);
    if (running_->has_ended()) break;
    auto const next = running_->next_deadline();
    if (is_real_time_) {
      wait(next);
      now = std::max(now, real_now());
    } else if (next <= now) {
      if (turn % turns_between_looks == 0) take_signals();
    } else if (wants_input_) {
      // Input comes at the moment at which the guest waits for it, whenever that is for us.
      wait(never);
    } else if (next == never) {
      say_idle(now);
      wait(never);
    } else {
      now = next;
      if (turn % turns_between_looks == 0) take_signals();
    }
  }
  auto const& end = running_->end();
  if (end.how != guest_ending::finished) await_core();
  return end.status;
}

void process::await_core() const {
  char byte = 'c';
  if (settings_.crash_line < 0 || ::write(settings_.crash_line, &byte, 1) != 1) return;
  while (::read(settings_.crash_line, &byte, 1) < 0 && errno == EINTR) {
  }
}

instant process::real_now() const {
  return instant(duration(clock_ns(CLOCK_MONOTONIC) - started_ns_));
}

void process::take_signals() {
  signalfd_siginfo about{};
  while (::read(signals_, &about, sizeof about) == static_cast<ssize_t>(sizeof about)) {
    running_->request_stop();
    // A person whose guest does not stop.
    if (about.ssi_signo == SIGINT && ++interrupts_ >= 2) ::_exit(128 + SIGINT);
  }
}

void process::wait(instant deadline) {
  std::vector<pollfd> watched{{.fd = signals_, .events = POLLIN, .revents = 0}};
  if (wants_input_ && !input_ended_) watched.push_back({.fd = input, .events = POLLIN, .revents = 0});
  auto const first_network = watched.size();
  for (auto const& one : networks_) {
    auto const events = (one.has_unread ? 0 : POLLIN) | (one.is_full ? POLLOUT : 0);
    watched.push_back({.fd = one.is_used && !one.is_gone && events != 0 ? one.descriptor : -1,
                       .events = static_cast<short>(events),
                       .revents = 0});
  }
  timespec left{};
  auto const has_deadline = deadline != never;
  if (has_deadline) {
    auto const ns = std::max<std::int64_t>(0, (deadline - real_now()).count());
    left = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  }
  if (::ppoll(watched.data(), watched.size(), has_deadline ? &left : nullptr, nullptr) > 0) {
    for (std::size_t i = 0; i < networks_.size(); ++i) {
      auto const happened = watched[first_network + i].revents;
      if ((happened & ~POLLOUT) != 0) networks_[i].has_unread = true;
      if (happened != 0) networks_[i].is_full = false;
    }
  }
  take_signals();
}

void process::say_idle(instant now) {
  if (said_idle_) return;
  said_idle_ = true;
  auto const text = "sim: nothing is left to happen to `" + settings_.name + "` at " +
                    std::to_string(now.time_since_epoch() / 1ms) +
                    " ms: it has no timer, no network and reads no input; it waits to be stopped\n";
  console_write(std::as_bytes(std::span(text)));
}

// ---- console -------------------------------------------------------------------------------------------

void process::console_write(std::span<std::byte const> bytes) {
  // Virtual time stands still while the reader is slow.
  while (!bytes.empty()) {
    auto const count = ::write(output, bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      pollfd room{.fd = output, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
    } else if (count == 0 || errno != EINTR) {
      dropped_ += bytes.size();
      return;
    }
  }
}

std::size_t process::console_read(std::span<std::byte> into) {
  if (input_ended_ || into.empty()) return 0;
  pollfd poll{.fd = input, .events = POLLIN, .revents = 0};
  if (::poll(&poll, 1, 0) <= 0) {
    wants_input_ = true;
    return 0;
  }
  auto const count = ::read(input, into.data(), into.size());
  if (count > 0) return static_cast<std::size_t>(count);
  if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    input_ended_ = true;
  } else {
    wants_input_ = true;
  }
  return 0;
}

wall_time process::wall_now(instant since_boot) {
  return is_real_time_ ? wall_time(duration(clock_ns(CLOCK_REALTIME)))
                       : first_day + since_boot.time_since_epoch();
}

void process::random(std::span<std::byte> into) {
  while (!into.empty()) {
    auto const drawn = random_.next();
    auto const size = std::min(into.size(), sizeof drawn);
    std::memcpy(into.data(), &drawn, size);
    into = into.subspan(size);
  }
}

}  // namespace morgana::sim
