// How a hosted guest that has crashed waits for its core: a socket, whose number it finds in MORGANA_CRASH_LINE. After its crash
// report it writes a byte there and reads; the end of what it reads is its leave to end.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

enum class crash_news {
  none,  ///< none yet
  held,  ///< the guest has crashed and stands still
};

class crash_line {
 public:
  static constexpr char const* variable = "MORGANA_CRASH_LINE";

  crash_line() = default;
  crash_line(crash_line const&) = delete;
  crash_line& operator=(crash_line const&) = delete;
  ~crash_line() { release(); }

  /// The guest's end.
  [[nodiscard]] std::expected<int, runner_error> open() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return std::unexpected(runner_error{std::string("cannot make a socket: ") + std::strerror(errno)});
    }
    end_ = ends[0];
    return ends[1];
  }

  /// -1 when nobody is at the other end.
  [[nodiscard]] int descriptor() const { return end_; }

  [[nodiscard]] crash_news seen() {
    char byte = 0;
    auto const count = ::recv(end_, &byte, 1, MSG_DONTWAIT);
    if (count == 1) return crash_news::held;
    if (count == 0) release();  // it has ended otherwise
    return crash_news::none;
  }

  void release() {
    if (end_ >= 0) ::close(std::exchange(end_, -1));
  }

 private:
  int end_ = -1;
};

}  // namespace morgana::plugin
