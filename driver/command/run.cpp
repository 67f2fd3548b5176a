// `morgana run`: the guest's console is ours, byte for byte, and its exit status too.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "command/commands.hpp"
#include "morgana/driver/machine.hpp"
#include "workspace/symbolize.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using clock = machine::clock;

/// The write end of a pipe that a signal's handler writes its number to: all a handler may do.
int signal_pipe_in = -1;

extern "C" void on_signal(int number) {
  auto const saved = errno;
  auto const byte = static_cast<char>(number);
  [[maybe_unused]] auto const written = ::write(signal_pipe_in, &byte, 1);
  errno = saved;
}

/// SIGINT and SIGTERM as a descriptor; the runner, which is started by exec, gets the default handlers back.
class signal_watch {
 public:
  signal_watch() {
    if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) return;
    signal_pipe_in = ends_[1];
    struct sigaction action{};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, &before_[0]);
    ::sigaction(SIGTERM, &action, &before_[1]);
    // A reader that went away is told by write(), in the loop.
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, &before_[2]);
  }
  signal_watch(signal_watch const&) = delete;
  signal_watch& operator=(signal_watch const&) = delete;
  ~signal_watch() {
    ::sigaction(SIGINT, &before_[0], nullptr);
    ::sigaction(SIGTERM, &before_[1], nullptr);
    ::sigaction(SIGPIPE, &before_[2], nullptr);
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  [[nodiscard]] int descriptor() const { return ends_[0]; }
  [[nodiscard]] bool take() {
    char byte = 0;
    return ::read(ends_[0], &byte, 1) == 1;
  }

 private:
  int ends_[2] = {-1, -1};
  struct sigaction before_[3]{};
};

bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    auto const count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// The loop of one guest.
class session {
 public:
  session(output& out, machine& guest, fs::path debug, double timeout_s)
      : out_(out), guest_(guest), debug_(std::move(debug)) {
    if (timeout_s > 0) {
      deadline_ = clock::now() +
                  std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(timeout_s));
    }
  }

  int run() {
    while (true) {
      if (auto const status = drain_events()) return *status;
      pollfd watched[3] = {{guest_.descriptor(), POLLIN, 0},
                           {signals_.descriptor(), POLLIN, 0},
                           {input_open_ ? STDIN_FILENO : -1, POLLIN, 0}};
      auto const count = ::poll(watched, 3, wait_ms());
      if (count < 0 && errno != EINTR) return failed("poll", std::strerror(errno));
      if (watched[1].revents != 0 || count < 0) take_signals();
      if (count > 0 && watched[2].revents != 0) take_input();
      if (deadline_ && clock::now() >= *deadline_) timed_out();
    }
  }

 private:
  static constexpr auto kill_grace = std::chrono::seconds(10);

  int failed(std::string_view what, std::string_view why) {
    out_.report({.code = "run-failed", .message = fmt::format("{}: {}", what, why)});
    return exit_code::run_failed;
  }

  int wait_ms() const {
    if (!deadline_) return -1;
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
  }

  std::optional<int> drain_events() {
    while (true) {
      auto event = guest_.next(clock::now());
      if (!event) {
        out_.report(event.error());
        return exit_code::run_failed;
      }
      if (!*event) return std::nullopt;
      if (auto const status = take(**event)) return status;
    }
  }

  std::optional<int> take(machine_event const& event) {
    if (auto const* console = std::get_if<console_event>(&event)) {
      if (out_.is_json()) {
        out_.result("", {{"kind", "console"}, {"text", console->data}});
      } else if (!write_all(console->data)) {
        // Nobody reads: as a shell's pipe would, end the guest.
        stop();
      }
    } else if (auto const* error = std::get_if<error_event>(&event)) {
      failed_ = true;
      out_.report({.code = "runner-failed", .message = error->message, .help = error->help});
    } else if (auto const* end = std::get_if<exit_event>(&event)) {
      return ended(*end);
    }
    return std::nullopt;
  }

  int ended(exit_event const& end) {
    if (!end.report.empty()) {
      auto const text = symbolize_report(end.report, debug_);
      if (!text.empty()) out_.say(text);
    }
    if (out_.is_json()) {
      out_.result("", {{"kind", "exit"},
                       {"status", end.status},
                       {"reason", machine_protocol::to_string(end.reason)},
                       {"report", end.report}});
    }
    if (timed_out_) {
      out_.report(
          {.code = "run-timeout", .message = "the guest did not end before `--timeout`; it was stopped"});
      return exit_code::run_failed;
    }
    return end.reason == machine_protocol::exit_reason::failed ? exit_code::run_failed : end.status;
  }

  /// First an orderly end, then none.
  void stop() {
    auto const done = stopping_ ? guest_.kill() : guest_.stop();
    stopping_ = true;
    if (!done) out_.report(done.error());
  }

  void take_signals() {
    while (signals_.take()) stop();
  }

  void timed_out() {
    timed_out_ = true;
    stop();
    deadline_ = clock::now() + kill_grace;
  }

  void take_input() {
    char buffer[16 * 1024];
    auto const count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count > 0) {
      [[maybe_unused]] auto const sent = guest_.input({buffer, static_cast<std::size_t>(count)});
      return;
    }
    input_open_ = false;
    [[maybe_unused]] auto const sent = guest_.end_input();
  }

  output& out_;
  machine& guest_;
  fs::path debug_;
  signal_watch signals_;
  std::optional<clock::time_point> deadline_;
  bool input_open_ = true;
  bool stopping_ = false;
  bool timed_out_ = false;
  bool failed_ = false;
};

}  // namespace

int run_guest_command(output& out, run_arguments const& with) {
  auto failed = [&](diagnostics const& why) {
    out.report(why);
    return exit_code::run_failed;
  };
  auto state = ensure_built(out, with.place);
  if (!state) return failed(state.error());
  auto on = find_target(state->target, application_folder(with.place.path));
  if (!on) return failed(on.error());
  auto what = machine_for(*state, with);
  if (!what) return failed(what.error());
  auto guest = machine::start(*on, *what, clock::now() + std::chrono::seconds(30));
  if (!guest) return failed(guest.error());
  return session(out, **guest, artefact(*state, with.place.build_root(), "debug"), with.timeout_s).run();
}

}  // namespace morgana::driver
