#include "requirements/reader_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace morgana::driver {
namespace {

using clock = std::chrono::steady_clock;

/// A descriptor that closes itself.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor() { close(); }
  int get() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

/// The reader must see what the build will see: nothing from variables that change clang's search paths.
std::vector<char*> clean_environment() {
  constexpr std::array<std::string_view, 5> hidden = {
      "CPATH=", "C_INCLUDE_PATH=", "CPLUS_INCLUDE_PATH=", "CCC_OVERRIDE_OPTIONS=", "COMPILER_PATH="};
  std::vector<char*> kept;
  for (auto variable = environ; *variable; ++variable) {
    std::string_view const text = *variable;
    if (std::ranges::none_of(hidden, [&](auto name) { return text.starts_with(name); }))
      kept.push_back(*variable);
  }
  kept.push_back(nullptr);
  return kept;
}

enum class transfer { going, ended, failed };

transfer read_some(descriptor& from, std::string& into) {
  std::array<char, 1 << 16> buffer;
  auto const count = ::read(from.get(), buffer.data(), buffer.size());
  if (count > 0) {
    into.append(buffer.data(), static_cast<std::size_t>(count));
    return transfer::going;
  }
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return transfer::going;
  return count == 0 ? transfer::ended : transfer::failed;
}

std::unexpected<diagnostics> failed(std::string message, std::string_view said) {
  diagnostic one{.code = "parser-failed", .message = std::move(message)};
  // The last lines of a crash say most: clang ends with what it was parsing.
  auto const tail = said.substr(said.size() > 1500 ? said.size() - 1500 : 0);
  if (!tail.empty()) one.notes.push_back({.message = fmt::format("it said:\n{}", tail)});
  one.help.push_back(
      "if clang++-22 accepts the same file, report this as a defect of Morgana, with the file");
  return fail(std::move(one));
}

struct child {
  pid_t pid = -1;
  descriptor talk;    ///< a socket: its standard input and output
  descriptor errors;  ///< a pipe: its standard error
};

outcome<child> start(std::filesystem::path const& reader) {
  std::array<int, 2> talk{};
  std::array<int, 2> errors{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk.data()) != 0) {
    return failed(fmt::format("cannot make a socket: {}", std::strerror(errno)), "");
  }
  descriptor ours(talk[0]);
  descriptor theirs(talk[1]);
  if (::pipe2(errors.data(), O_CLOEXEC) != 0) {
    return failed(fmt::format("cannot make a pipe: {}", std::strerror(errno)), "");
  }
  descriptor error_read(errors[0]);
  descriptor error_write(errors[1]);
  for (int const number : {ours.get(), error_read.get()}) ::fcntl(number, F_SETFL, O_NONBLOCK);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, error_write.get(), STDERR_FILENO);
  auto program = reader.string();
  std::array<char*, 2> arguments = {program.data(), nullptr};
  auto environment = clean_environment();
  child made;
  int const error =
      ::posix_spawn(&made.pid, program.c_str(), &actions, nullptr, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail({.code = "missing-tool",
                 .message = fmt::format("cannot start {}: {}", program, std::strerror(error)),
                 .help = {"it is a part of Morgana: build or install Morgana again"}});
  }
  made.talk = std::move(ours);
  made.errors = std::move(error_read);
  return made;
}

/// Waits for the end of the process, whose output has ended already; kills it at the deadline.
int reap(pid_t pid, clock::time_point deadline) {
  int status = 0;
  for (;;) {
    auto const done = ::waitpid(pid, &status, WNOHANG);
    if (done == pid) return status;
    if (done < 0 && errno != EINTR) return -1;
    if (clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::filesystem::path default_reader() {
  std::error_code error;
  auto const self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path().parent_path() / "libexec/morgana/morgana-requirements").lexically_normal();
}

outcome<std::string> run_reader(std::filesystem::path const& reader, std::string_view request,
                                std::chrono::milliseconds deadline) {
  auto running = start(reader);
  if (!running) return fail(std::move(running));
  auto const end = clock::now() + deadline;
  std::string answer;
  std::string said;
  bool in_time = true;

  while (running->talk.open() || running->errors.open()) {
    auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
    if (left <= 0) {
      in_time = false;
      break;
    }
    std::array<pollfd, 2> wait = {
        pollfd{running->talk.get(), static_cast<short>(POLLIN | (request.empty() ? 0 : POLLOUT)), 0},
        pollfd{running->errors.get(), POLLIN, 0}};
    if (::poll(wait.data(), wait.size(), static_cast<int>(left) + 1) < 0 && errno != EINTR) break;
    if (wait[0].revents & POLLOUT && !request.empty()) {
      // A socket, not a pipe, so that a reader that died early costs an error and not a SIGPIPE.
      auto const count = ::send(running->talk.get(), request.data(), request.size(), MSG_NOSIGNAL);
      if (count > 0) request.remove_prefix(static_cast<std::size_t>(count));
      if (count < 0 && errno != EINTR && errno != EAGAIN) request = {};
      if (request.empty()) ::shutdown(running->talk.get(), SHUT_WR);
    }
    if (wait[0].revents & (POLLIN | POLLHUP | POLLERR) &&
        read_some(running->talk, answer) != transfer::going) {
      running->talk.close();
    }
    if (wait[1].revents & (POLLIN | POLLHUP | POLLERR) &&
        read_some(running->errors, said) != transfer::going) {
      running->errors.close();
    }
    if (answer.size() > reader_answer_bytes_max || said.size() > reader_answer_bytes_max) break;
  }
  bool const complete = !running->talk.open() && !running->errors.open();
  int const status = reap(running->pid, complete ? end : clock::now());

  auto const name = reader.filename().string();
  if (!in_time) {
    return failed(fmt::format("{} did not finish within {} ms and was stopped", name, deadline.count()),
                  said);
  }
  if (WIFSIGNALED(status)) {
    return failed(fmt::format("{} was ended by a signal: {}", name, ::strsignal(WTERMSIG(status))), said);
  }
  if (!complete || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return failed(
        fmt::format("{} failed with exit code {}", name, WIFEXITED(status) ? WEXITSTATUS(status) : -1), said);
  }
  return answer;
}

}  // namespace morgana::driver
