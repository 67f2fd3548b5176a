#include "package/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t line_bytes_max = 64U << 10;
constexpr std::size_t kept_bytes_max = 16U << 10;
constexpr int tick_ms = 200;

// Our environment with the call's additions in place of what they name.
std::vector<std::string> environment_with(std::vector<std::string> const& more) {
  std::vector<std::string> all;
  for (char** one = environ; one && *one; ++one) {
    std::string_view const text = *one;
    auto const name = text.substr(0, text.find('='));
    bool replaced = false;
    for (auto const& added : more) replaced = replaced || added.substr(0, added.find('=')) == name;
    if (!replaced) all.emplace_back(text);
  }
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& one : texts) all.push_back(one.data());
  all.push_back(nullptr);
  return all;
}

class line_splitter {
 public:
  explicit line_splitter(process_call const& call, std::string& kept) : call_(call), kept_(kept) {}

  void add(std::string_view bytes) {
    kept_ += bytes;
    if (kept_.size() > 2 * kept_bytes_max) kept_.erase(0, kept_.size() - kept_bytes_max);
    for (char const one : bytes) {
      if (one == '\n')
        flush();
      else if (line_.size() < line_bytes_max)
        line_ += one;
    }
  }
  [[nodiscard]] std::size_t lines() const { return count_; }
  void finish() {
    if (!line_.empty()) flush();
    if (kept_.size() > kept_bytes_max) kept_.erase(0, kept_.size() - kept_bytes_max);
  }

 private:
  void flush() {
    if (call_.line) call_.line(line_);
    line_.clear();
    ++count_;
  }

  process_call const& call_;
  std::string& kept_;
  std::string line_;
  std::size_t count_ = 0;
};

}  // namespace

process_end run_process(process_call const& call) {
  process_end end;
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    end.error = std::strerror(errno);
    return end;
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], 2);
  if (!call.folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, call.folder.c_str());
  auto arguments = call.arguments;
  auto environment = environment_with(call.environment);
  pid_t child = -1;
  int const failed = ::posix_spawnp(&child, arguments.front().c_str(), &actions, nullptr,
                                    pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (failed != 0) {
    ::close(pipe[0]);
    end.error = std::strerror(failed);
    return end;
  }
  end.started = true;

  line_splitter lines(call, end.output);
  std::vector<char> buffer(1U << 16);
  bool enough = false;
  for (;;) {
    pollfd ready{.fd = pipe[0], .events = POLLIN, .revents = 0};
    int const count = ::poll(&ready, 1, call.tick ? tick_ms : -1);
    if (count < 0 && errno != EINTR) break;
    if (count <= 0) {
      if (call.tick) call.tick();
      continue;
    }
    auto const size = ::read(pipe[0], buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    lines.add({buffer.data(), static_cast<std::size_t>(size)});
    if (call.lines_max != 0 && lines.lines() >= call.lines_max) {
      enough = true;
      ::kill(child, SIGKILL);
      break;
    }
  }
  lines.finish();
  ::close(pipe[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (enough)
    end.status = 0;
  else
    end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

std::optional<fs::path> find_program(std::string const& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    return std::nullopt;
  }
  char const* const path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    auto const end = std::min(rest.find(':'), rest.size());
    auto candidate = fs::path(rest.substr(0, end)) / name;
    std::error_code error;
    if (::access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate, error)) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

std::string last_lines(std::string_view output, std::size_t most) {
  std::vector<std::string_view> lines;
  while (!output.empty()) {
    auto const end = std::min(output.find('\n'), output.size());
    if (end != 0) lines.push_back(output.substr(0, end));
    output.remove_prefix(std::min(end + 1, output.size()));
  }
  std::string text;
  for (std::size_t at = lines.size() > most ? lines.size() - most : 0; at < lines.size(); ++at) {
    if (!text.empty()) text += '\n';
    text += lines[at];
  }
  return text;
}

}  // namespace morgana::driver::package_detail
