#include "machine/runner_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "morgana/plugin/machine_protocol.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// How long a runner may take to end its guest after its socket was closed, before it is killed.
constexpr std::chrono::milliseconds end_grace{3'000};

bool is_program(fs::path const& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

std::vector<fs::path> search_folders(target const& on) {
  std::vector<fs::path> folders{on.folder};
  std::error_code error;
  if (auto const self = fs::read_symlink("/proc/self/exe", error); !error) {
    folders.push_back((self.parent_path() / "../libexec/morgana").lexically_normal());
  }
  // Inside another program (Python) the driver is found by its data.
  auto beside_data = (data_folder() / "../../libexec/morgana").lexically_normal();
  if (beside_data != folders.back()) folders.push_back(std::move(beside_data));
  if (auto const* path = std::getenv("PATH")) {
    std::string_view rest(path);
    while (!rest.empty()) {
      auto const end = std::min(rest.find(':'), rest.size());
      if (end != 0) folders.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return folders;
}

std::unexpected<diagnostics> system_failure(std::string_view what) {
  return fail({.code = "runner-failed", .message = fmt::format("{}: {}", what, std::strerror(errno))});
}

struct descriptor_pair {
  unique_descriptor ours, theirs;
};

/// The rest between fork() and exec(): nothing but system calls, because the caller may have threads.
[[noreturn]] void become_runner(char* const* arguments, char* const* environment, int null, int words,
                                int socket, int failure, std::vector<int> const& inherited) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGCHLD, SIG_DFL);
  ::dup2(null, 0);
  ::dup2(words, 1);
  ::dup2(words, 2);
  ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  ::fcntl(socket, F_SETFD, 0);
  for (auto const descriptor : inherited) ::fcntl(descriptor, F_SETFD, 0);
  ::execve(arguments[0], arguments, environment);
  auto const error = errno;
  [[maybe_unused]] auto const ignored = ::write(failure, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

outcome<std::vector<std::string>> find_runner(target const& on) {
  if (on.runner.empty() || on.runner.front().empty()) {
    return fail({.code = "no-runner",
                 .message = fmt::format("target `{}` cannot be run: its plugin names no runner", on.name),
                 .where = source_location{.file = on.file},
                 .help = {"add [runner] command = [\"...\"] to the plugin"}});
  }
  auto command = on.runner;
  fs::path const program = command.front();
  diagnostic missing{
      .code = "no-runner",
      .message = fmt::format("the runner `{}` of target `{}` was not found", command.front(), on.name),
      .where = source_location{.file = on.file}};
  // A program with a folder in its name is meant as it stands, relative to the plugin.
  auto const folders = program.has_parent_path() ? std::vector<fs::path>{on.folder} : search_folders(on);
  for (auto const& folder : folders) {
    auto const candidate = folder / program;
    if (is_program(candidate)) {
      std::error_code error;
      auto const absolute = fs::absolute(candidate, error);
      command.front() = error ? candidate.string() : absolute.string();
      return command;
    }
    missing.notes.push_back({.message = fmt::format("looked in {}", folder.string())});
  }
  missing.help.push_back(fmt::format("build or install the plugin `{}` with its runner", on.name));
  return fail(std::move(missing));
}

outcome<runner_process> spawn_runner(std::vector<std::string> const& command,
                                     std::vector<int> const& inherited) {
  int pair[2], words_pipe[2], failure_pipe[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return system_failure("cannot make a socket");
  unique_descriptor ours(pair[0]), theirs(pair[1]);
  if (::pipe2(words_pipe, O_CLOEXEC) != 0) return system_failure("cannot make a pipe");
  unique_descriptor words(words_pipe[0]), words_end(words_pipe[1]);
  if (::pipe2(failure_pipe, O_CLOEXEC) != 0) return system_failure("cannot make a pipe");
  unique_descriptor failure(failure_pipe[0]), failure_end(failure_pipe[1]);
  unique_descriptor const null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return system_failure("cannot open /dev/null");

  std::vector<std::string> variables;
  auto const socket_name = std::string(machine_protocol::socket_variable) + "=";
  for (auto const* const* variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with(socket_name)) variables.emplace_back(*variable);
  }
  variables.push_back(socket_name + std::to_string(theirs.get()));
  std::vector<char*> arguments, environment;
  for (auto const& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (auto const& variable : variables) environment.push_back(const_cast<char*>(variable.c_str()));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);

  runner_process out;
  out.pid = ::fork();
  if (out.pid < 0) return system_failure("cannot start a process");
  if (out.pid == 0) {
    become_runner(arguments.data(), environment.data(), null.get(), words_end.get(), theirs.get(),
                  failure_end.get(), inherited);
  }
  ::setpgid(out.pid, out.pid);  // also here: whoever is first
  theirs.reset();
  words_end.reset();
  failure_end.reset();
  out.process = unique_descriptor(static_cast<int>(::syscall(SYS_pidfd_open, out.pid, 0)));
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(failure.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(sizeof error)) {
    return fail({.code = "runner-failed",
                 .message = fmt::format("cannot run {}: {}", command.front(), std::strerror(error))});
  }
  if (!out.process) return system_failure("cannot watch the runner");
  out.socket = std::move(ours);
  out.words = std::move(words);
  ::fcntl(out.socket.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(out.words.get(), F_SETFL, O_NONBLOCK);
  return out;
}

void runner_process::reap(int options) {
  if (pid < 0) return;
  int status = 0;
  pid_t result = 0;
  do {
    result = ::waitpid(pid, &status, options);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return;
  if (result < 0) {
    ending_ = "ended";  // somebody else reaped it
  } else if (WIFSIGNALED(status)) {
    ending_ = fmt::format("was ended by signal {}", WTERMSIG(status));
  } else {
    ending_ = fmt::format("ended with status {}", WEXITSTATUS(status));
  }
  pid = -1;
}

std::string runner_process::ending() {
  reap(WNOHANG);
  return ending_;
}

runner_process::~runner_process() {
  if (pid < 0) return;
  socket.reset();
  words.reset();
  auto const until = std::chrono::steady_clock::now() + end_grace;
  while (process) {
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{process.get(), POLLIN, 0};
    auto const ready = left.count() > 0 ? ::poll(&wait, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    break;
  }
  // Its group first, while its number is still its own: helpers it started must not outlive it either.
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);
  reap(0);
}

}  // namespace morgana::driver
