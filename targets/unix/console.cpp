// The console: descriptor 1 out, descriptor 0 in. Both may be shared with other processes (a shell's
// terminal, a pipe), so their O_NONBLOCK is left alone and readiness is asked for before each transfer.
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "morgana/core/platform.hpp"
#include "morgana/hosted/reactor.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

constexpr int input = 0;
constexpr int output = 1;
constexpr duration write_wait_max = 100ms;
/// A pipe that polls as writable takes this much without blocking (POSIX's PIPE_BUF on Linux).
constexpr std::size_t chunk_bytes = 4096;

enum class output_kind : std::uint8_t { unknown, file, socket, stream };
output_kind kind = output_kind::unknown;

output_kind kind_of(int descriptor) {
  struct stat about {};
  if (::fstat(descriptor, &about) != 0) return output_kind::stream;
  if (S_ISREG(about.st_mode)) return output_kind::file;
  return S_ISSOCK(about.st_mode) ? output_kind::socket : output_kind::stream;
}

std::uint64_t dropped_bytes = 0;
/// Nobody reads: the last write waited in vain. Until one succeeds again, none waits.
bool is_stuck = false;
bool input_ended = false;

struct input_watch final : pollable {
  // That the wait ended is all: the console device reads.
  void ready(std::uint32_t) override {}
  bool is_watched = false;
};
constinit input_watch watch;

}  // namespace

void watch_console_input() {
  if (watch.is_watched) return;
  watch.is_watched = true;
  auto& events = reactor::of_process();
  // EPERM: a regular file or /dev/null, which is always ready: say so once. EBADF: there is no input.
  if (auto const number = events.watch(input, watch, EPOLLIN | EPOLLRDHUP); number != 0) {
    input_ended = number == EBADF;
    events.interrupt();
  }
}

}  // namespace morgana::hosted

namespace morgana::platform {

void console_write(std::span<std::byte const> bytes) noexcept {
  using namespace hosted;
  if (kind == output_kind::unknown) kind = kind_of(output);
  auto wait_until = instant();
  while (!bytes.empty()) {
    auto const size = kind == output_kind::stream ? std::min(bytes.size(), chunk_bytes) : bytes.size();
    // A file has always room; a socket says so itself; of a pipe or terminal one has to ask.
    auto count = ssize_t{-1};
    errno = EAGAIN;
    pollfd room{.fd = output, .events = POLLOUT, .revents = 0};
    if (kind == output_kind::socket) {
      count = ::send(output, bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (kind == output_kind::file || ::poll(&room, 1, 0) > 0) {
      count = ::write(output, bytes.data(), size);
    }
    if (count > 0) {
      is_stuck = false;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      continue;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) break;  // closed, or a full disk
    if (is_stuck) break;
    auto const now = monotonic_now();
    if (wait_until == instant()) wait_until = now + write_wait_max;
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(wait_until - now).count();
    if (left <= 0 || ::poll(&room, 1, static_cast<int>(left)) == 0) {
      is_stuck = true;
      break;
    }
  }
  dropped_bytes += bytes.size();
}

std::uint64_t console_dropped_bytes() noexcept { return hosted::dropped_bytes; }

std::size_t console_read(std::span<std::byte> into) noexcept {
  if (hosted::input_ended || into.empty()) return 0;
  pollfd poll{.fd = hosted::input, .events = POLLIN, .revents = 0};
  if (::poll(&poll, 1, 0) <= 0) return 0;
  auto const count = ::read(hosted::input, into.data(), into.size());
  if (count > 0) return static_cast<std::size_t>(count);
  if (count == 0 || (errno != EINTR && errno != EAGAIN)) hosted::input_ended = true;
  return 0;
}

bool console_input_ended() noexcept { return hosted::input_ended; }

}  // namespace morgana::platform
