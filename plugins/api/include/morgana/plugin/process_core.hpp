// The core of a process that goes on: its memory and registers as an ELF core file, which gdb opens. gdb makes it, as a
// child beside the runner's loop; the process stands still meanwhile, some tenths of a second.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <filesystem>

#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

/// `name` as a program on PATH.
[[nodiscard]] inline std::optional<std::string> program_path(std::string_view name) {
  auto const* const path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path; !rest.empty();) {
    auto const folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    auto candidate = std::string(folder) + '/' + std::string(name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

class process_core {
 public:
  process_core() = default;
  process_core(process_core const&) = delete;
  process_core& operator=(process_core const&) = delete;
  ~process_core() {
    if (gdb_ < 0) return;
    ::kill(gdb_, SIGKILL);
    ::waitpid(gdb_, nullptr, 0);
    ::close(ended_);
  }

  /// Begins; a descriptor that is readable when written() is to be asked. What stands at `path` goes.
  [[nodiscard]] std::expected<int, runner_error> begin(pid_t process, std::string const& path) {
    auto const program = program_path("gdb");
    if (!program) {
      return std::unexpected(
          runner_error{"a core is made by gdb, which is not there", {"install it: apt-get install gdb"}});
    }
    if (path.find('\n') != std::string::npos)
      return std::unexpected(runner_error{"a core's file name has no line ends"});
    std::error_code error;
    std::filesystem::remove(path, error);
    auto const command = "gcore " + path;
    auto const number = std::to_string(process);
    char const* const words[] = {program->c_str(), "-nx", "-batch", "-iex", "set debuginfod enabled off",
                                 "-iex", "set auto-load no", "-iex", "set auto-solib-add off", "-p",
                                 number.c_str(), "-ex", command.c_str(), nullptr};
    auto const runner = ::getpid();
    gdb_ = ::fork();
    if (gdb_ < 0) return std::unexpected(runner_error{std::string("cannot fork: ") + std::strerror(errno)});
    if (gdb_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != runner) ::_exit(127);
      auto const nothing = ::open("/dev/null", O_RDWR);
      for (int const stream : {0, 1, 2}) ::dup2(nothing, stream);
      ::close_range(3, ~0u, 0);
      ::execv(words[0], const_cast<char* const*>(words));
      ::_exit(127);
    }
    path_ = path;
    ended_ = static_cast<int>(::syscall(SYS_pidfd_open, gdb_, 0));
    return ended_;
  }

  /// Once begin()'s descriptor is readable, which is closed here.
  [[nodiscard]] std::expected<void, runner_error> written() {
    ::waitpid(std::exchange(gdb_, -1), nullptr, 0);
    ::close(std::exchange(ended_, -1));
    struct stat about {};
    if (::stat(path_.c_str(), &about) == 0 && about.st_size > 0) return {};
    return std::unexpected(runner_error{"gdb wrote no core to " + path_,
                                        {"the folder must be there and writable, and this user allowed to "
                                         "trace processes: see kernel.yama.ptrace_scope"}});
  }

 private:
  pid_t gdb_ = -1;
  int ended_ = -1;
  std::string path_;
};

}  // namespace morgana::plugin
