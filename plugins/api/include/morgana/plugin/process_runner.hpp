// A runner for guests that are processes of this host: a hosted guest, or an emulator that runs one.
//
//   struct my_runner final : morgana::plugin::process_runner {
//     std::vector<std::string> capabilities() const override { ... }
//     std::expected<process_launch, runner_error> launch(start_request const& what) override { ... }
//   };
//   int main() { return my_runner{}.run(); }
//
// Its defaults run `image` itself as a hosted guest, which is told about its limits and devices by its
// environment (hosted_launch below). What it guarantees:
//   - the guest's stdout and stderr, merged, arrive byte for byte; a guest that prints without end is held
//     back by its pipe, nothing grows;
//   - console input waits in a queue of `input_bytes_max`; more is dropped, with an error that says so;
//   - stop is SIGTERM, kill is SIGKILL, pause and resume are SIGSTOP and SIGCONT, to the guest's whole
//   session;
//   - a core of the guest, which is running or held after its crash (crash_line.hpp), is made by gdb (process_core.hpp);
//   - the guest dies with the runner (PR_SET_PDEATHSIG), the runner ends with its socket;
//   - the guest inherits the descriptors it was given and no other, leaves no core file, and its fatal
//   signals
//     become status 70.
// One thread, one poll loop.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstring>

#include "morgana/plugin/crash_line.hpp"
#include "morgana/plugin/process_core.hpp"
#include "morgana/plugin/runner.hpp"
#include "morgana/plugin/tap.hpp"

namespace morgana::plugin {

/// A process to start.
struct process_launch {
  std::vector<std::string> command = {};  ///< path of the program, then its arguments
  std::map<std::string, std::string> environment = {};
  std::vector<int> descriptors = {};  ///< inherited under the same numbers
  std::vector<std::string> notes = {};  ///< lines for the user, once the guest has started
  std::optional<std::vector<std::string>> capabilities = {};  ///< of this guest, when they are fewer than hello's
  /// RLIMIT_DATA, bytes; 0: none. A backstop for guests that do not count for themselves.
  std::uint64_t data_bytes_max = 0;
};

/// How a process ended, for process_runner::classify().
struct process_end {
  int wait_status = 0;
  bool kill_requested = false;
  std::string report = {};
};

/// How a hosted guest is started. Besides `what.environment` it finds in its environment:
///   MORGANA_NAME=NAME, MORGANA_MEMORY_BYTES=N (when limited)
///   MORGANA_NETWORK_<name>=fd:N,mac=02:...,mtu=1500,vnet=0      (mac is empty when it may choose; MORGANA_NETWORK
///                                                               is for whichever interface has none of its own)
///   MORGANA_DISK_<name>=PATH,ro|rw,SECTOR_BYTES                 (read it from the end: PATH may hold commas)
///   MORGANA_CRASH_LINE=N                                        (from process_runner::launch, see crash_line.hpp)
/// The kernel's own limit stands `slack` above the guest's, for code that does not count (the C library).
[[nodiscard]] inline std::expected<process_launch, runner_error> hosted_launch(start_request const& what) {
  constexpr std::uint64_t slack = 64u << 20;
  process_launch out;
  out.command.push_back(what.image);
  out.command.insert(out.command.end(), what.arguments.begin(), what.arguments.end());
  out.environment = what.environment;
  out.environment["MORGANA_NAME"] = what.name;
  if (what.memory_bytes != 0) {
    out.environment["MORGANA_MEMORY_BYTES"] = std::to_string(what.memory_bytes);
    out.data_bytes_max = what.memory_bytes + slack < slack ? 0 : what.memory_bytes + slack;
  }
  for (auto const& network : what.networks) {
    open_tap_interface link{.descriptor = network.descriptor, .vnet_header = network.vnet_header, .mtu = network.mtu};
    if (network.is_user) {
      return std::unexpected(runner_error{"network `" + network.name + "`: guests of this target have no user-mode networks",
                                          {"write --network tap, which needs no privileges where namespaces are everyone's"}});
    }
    if (link.descriptor < 0) {
      auto opened = open_tap(network);
      if (!opened) return std::unexpected(opened.error());
      link = std::move(*opened);
      if (!link.note.empty()) out.notes.push_back(link.note);
    }
    out.descriptors.push_back(link.descriptor);
    out.environment[network.name.empty() ? "MORGANA_NETWORK" : "MORGANA_NETWORK_" + network.name] =
        "fd:" + std::to_string(link.descriptor) + ",mac=" + network.mac + ",mtu=" + std::to_string(link.mtu) +
        ",vnet=" + (link.vnet_header ? "1" : "0");
  }
  for (auto const& disk : what.disks) {
    out.environment["MORGANA_DISK_" + disk.name] =
        disk.path + (disk.read_only ? ",ro," : ",rw,") + std::to_string(disk.sector_bytes);
  }
  return out;
}

class process_runner {
 public:
  static constexpr std::size_t input_bytes_max = 256u * 1024u;
  /// What can still stand in a pipe whose writer has ended (the largest that Linux lets a user make).
  static constexpr std::size_t pipe_bytes_max = 1024u * 1024u;

  process_runner() = default;
  process_runner(process_runner const&) = delete;
  process_runner& operator=(process_runner const&) = delete;
  virtual ~process_runner() {
    if (pid_ >= 0 && !ended_) {
      // The guest never outlives the socket: wait until it is gone, but not for one stuck in the kernel.
      kill_guest(SIGKILL);
      pollfd gone{process_, POLLIN, 0};
      if (process_ >= 0 && ::poll(&gone, 1, 1000) > 0) ::waitpid(pid_, nullptr, WNOHANG);
    }
    close_all();
  }

  /// What hello says. Override it when the guest has less, or more.
  [[nodiscard]] virtual std::vector<std::string> capabilities() const {
    return {"console", "input", "exit",         "signal",       "stop",       "kill",
            "pause",   "disk",  "crash-report", "memory-limit", "network.fd", "network.tap", "core"};
  }

  /// The process that is the guest. The default runs the image itself.
  [[nodiscard]] virtual std::expected<process_launch, runner_error> launch(start_request const& what) {
    if (what.snapshot) return std::unexpected(runner_error{"this target cannot resume from a snapshot"});
    auto out = hosted_launch(what);
    if (out && what.crash_core) {
      auto const line = crash_line_.open();
      if (!line) return std::unexpected(line.error());
      out->descriptors.push_back(*line);
      out->environment[crash_line::variable] = std::to_string(*line);
    }
    return out;
  }

  /// What the driver is told when the process has ended: by default its exit status, with the documented
  /// meaning of 70 and 71; a fatal signal is a crash, another signal is killed.
  [[nodiscard]] virtual guest_exit classify(process_end const& end) const {
    namespace status = machine_protocol::exit_status;
    using machine_protocol::exit_reason;
    if (WIFEXITED(end.wait_status)) {
      auto const code = WEXITSTATUS(end.wait_status);
      if (code == status::crashed) return {code, exit_reason::crashed, std::nullopt, end.report};
      if (code == status::out_of_memory) return {code, exit_reason::out_of_memory, std::nullopt, end.report};
      return {code, exit_reason::finished, std::nullopt, end.report};
    }
    auto const signal = WTERMSIG(end.wait_status);
    switch (signal) {
      case SIGSEGV:
      case SIGBUS:
      case SIGILL:
      case SIGFPE:
      case SIGABRT:
      case SIGSYS:
      case SIGTRAP:
        return {status::crashed, exit_reason::crashed, signal, end.report};
      default:
        return {status::signal_base + signal, exit_reason::killed, signal, end.report};
    }
  }

  /// The runner's main(): speaks with the driver until the guest has ended or the socket is closed.
  [[nodiscard]] int run() {
    auto opened = runner_connection::from_environment();
    if (!opened) {
      std::fprintf(stderr, "error: %s\n", opened.error().message.c_str());
      for (auto const& help : opened.error().help) std::fprintf(stderr, "help: %s\n", help.c_str());
      return machine_protocol::exit_status::driver_failure;
    }
    connection_.emplace(std::move(*opened));
    ::signal(SIGPIPE, SIG_IGN);
    connection_->send_hello(capabilities());
    while (!connection_->closed() && !over_) turn();
    connection_->drain();
    return 0;
  }

 protected:
  /// Asks the guest for an orderly end: by default by SIGTERM. An emulator has another way to tell its guest.
  virtual void request_stop() {
    kill_guest(SIGTERM);
    kill_guest(SIGCONT);
  }

  /// Ends the guest at once. What ends an emulator's guest and not the emulator must tell that end by its status.
  virtual void request_kill() { kill_guest(SIGKILL); }

  /// Begins to write a core of the guest, which is running or held after its crash; a descriptor that is readable when
  /// file_written() is to be asked.
  [[nodiscard]] virtual std::expected<int, runner_error> begin_core(std::string const& path) {
    return process_core_.begin(pid_, path);
  }

  /// The same for a snapshot, of a runner with that capability.
  [[nodiscard]] virtual std::expected<int, runner_error> begin_snapshot(std::string const& /*path*/) {
    return std::unexpected(runner_error{"this runner makes no snapshots"});
  }

  /// How it ended, or nothing yet.
  [[nodiscard]] virtual std::optional<std::expected<void, runner_error>> file_written() {
    return process_core_.written();
  }

  /// A descriptor that is readable when crash_seen() is to be asked, of a guest with a `crash_core`.
  [[nodiscard]] virtual int crash_descriptor() const { return crash_line_.descriptor(); }

  /// Whether the guest has crashed, and waits for release_crashed().
  [[nodiscard]] virtual crash_news crash_seen() { return crash_line_.seen(); }

  /// A crashed guest ends now.
  virtual void release_crashed() { crash_line_.release(); }

  void kill_guest(int signal) const {
    if (pid_ < 0 || ended_) return;
    ::kill(-pid_, signal);
  }

 private:
  void turn() {
    pollfd waits[6];
    nfds_t count = 0;
    auto wait_for = [&](int descriptor, int events) {
      waits[count] = {descriptor, static_cast<short>(events), 0};
      ++count;
    };
    wait_for(connection_->descriptor(), connection_->events());
    if (console_ >= 0 && connection_->has_room()) wait_for(console_, POLLIN);
    if (input_ >= 0 && !input_queue_.empty()) wait_for(input_, POLLOUT);
    if (process_ >= 0 && !ended_) wait_for(process_, POLLIN);
    auto const crash = core_ < 0 && !crash_core_.empty() && !ended_ ? crash_descriptor() : -1;
    if (core_ >= 0 || crash >= 0) wait_for(core_ >= 0 ? core_ : crash, POLLIN);
    // Once the guest has ended, its console is read until it is empty, not until its last writer is gone.
    auto const last_words = ended_ && connection_->has_room();
    if (::poll(waits, count, last_words ? 0 : pausing_ ? 2 : -1) < 0 && errno != EINTR) return;

    connection_->serve();
    while (auto message = connection_->next()) handle(*message);
    if (pausing_) confirm_pause();
    if (core_ >= 0) finish_core();
    if (crash >= 0 && core_ < 0) look_for_crash();
    if (connection_->has_room()) read_console();
    write_input();
    reap();
  }

  void handle(nlohmann::json const& message) {
    auto const type = detail::text_member(message, "type");
    if (type == "start") return start(message);
    if (pid_ < 0) return refuse("`" + type + "` came before `start`");
    if (type == "input") return take_input(message);
    if (type == "stop") {
      request_stop();
    } else if (type == "kill") {
      kill_requested_ = true;
      request_kill();
    } else if (type == "pause") {
      kill_guest(SIGSTOP);
      pausing_ = true;
    } else if (type == "resume") {
      kill_guest(SIGCONT);
      connection_->send({{"type", "resumed"}});
    } else if (type == "core" || type == "snapshot") {
      write_file(type, message);
    } else {
      refuse("this runner cannot do `" + type + "`");
    }
  }

  void refuse(std::string message) { connection_->send_error({std::move(message)}, false); }

  void fail(runner_error const& error) {
    connection_->send_error(error, true);
    connection_->send_exit(
        {machine_protocol::exit_status::driver_failure, machine_protocol::exit_reason::failed});
    over_ = true;
  }

  void start(nlohmann::json const& message) {
    if (pid_ >= 0) return refuse("the guest is running already");
    auto const request = parse_start(message);
    if (!request) return fail(request.error());
    auto const what = launch(*request);
    if (!what) return fail(what.error());
    if (auto const error = spawn(*what)) return fail(*error);
    crash_core_ = request->crash_core.value_or(std::string());
    connection_->send_started(what->capabilities);
    for (auto const& note : what->notes) connection_->send_console(note + "\n");
  }

  [[nodiscard]] std::optional<runner_error> spawn(process_launch const& what) {
    int console[2], input[2], failure[2];
    if (::pipe2(console, O_CLOEXEC) != 0 || ::pipe2(input, O_CLOEXEC) != 0 ||
        ::pipe2(failure, O_CLOEXEC) != 0) {
      return runner_error{std::string("cannot make a pipe: ") + std::strerror(errno)};
    }
    std::vector<char*> arguments, environment;
    std::vector<std::string> variables;
    for (auto const& [name, value] : what.environment) variables.push_back(name + "=" + value);
    for (auto const& argument : what.command) arguments.push_back(const_cast<char*>(argument.c_str()));
    for (auto const& variable : variables) environment.push_back(const_cast<char*>(variable.c_str()));
    arguments.push_back(nullptr);
    environment.push_back(nullptr);

    auto const runner = ::getpid();
    auto const pid = ::fork();
    if (pid < 0) return runner_error{std::string("cannot fork: ") + std::strerror(errno)};
    if (pid == 0) {
      // The guest's own session, so that signals reach all of it and a terminal reaches none of it.
      ::setsid();
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != runner) ::_exit(127);
      ::signal(SIGPIPE, SIG_DFL);
      ::dup2(input[0], 0);
      ::dup2(console[1], 1);
      ::dup2(console[1], 2);
      ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
      for (auto const descriptor : what.descriptors) ::fcntl(descriptor, F_SETFD, 0);
      rlimit const no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      if (what.data_bytes_max != 0) {
        rlimit const data{what.data_bytes_max, what.data_bytes_max};
        ::setrlimit(RLIMIT_DATA, &data);
      }
      ::execve(arguments[0], arguments.data(), environment.data());
      auto const error = errno;
      [[maybe_unused]] auto const ignored = ::write(failure[1], &error, sizeof error);
      ::_exit(127);
    }
    ::close(console[1]);
    ::close(input[0]);
    ::close(failure[1]);
    // Descriptors handed on are the guest's now: when it closes one, its peer must see the end.
    for (auto const descriptor : what.descriptors) ::close(descriptor);
    int error = 0;
    auto const failed = ::read(failure[0], &error, sizeof error) == static_cast<ssize_t>(sizeof error);
    ::close(failure[0]);
    pid_ = pid;
    console_ = console[0];
    input_ = input[1];
    ::fcntl(console_, F_SETFL, O_NONBLOCK);
    ::fcntl(input_, F_SETFL, O_NONBLOCK);
    if (failed) {
      ::waitpid(pid, nullptr, 0);
      ended_ = true;
      return runner_error{"cannot run " + what.command.front() + ": " + std::strerror(error)};
    }
    process_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (process_ < 0) return runner_error{std::string("cannot watch the guest: ") + std::strerror(errno)};
    return std::nullopt;
  }

  void take_input(nlohmann::json const& message) {
    if (input_ >= 0 && !input_ends_) {
      auto const bytes = machine_protocol::base64_decode(detail::text_member(message, "data"));
      if (!bytes) return refuse("input: `data` is not base64");
      auto const room = input_bytes_max - input_queue_.size();
      input_queue_.append(*bytes, 0, room);
      if (bytes->size() > room) {
        refuse("console input: the guest does not read it; " + std::to_string(bytes->size() - room) +
               " bytes were dropped");
      }
    }
    if (detail::flag_member(message, "end")) input_ends_ = true;
  }

  void write_file(std::string const& kind, nlohmann::json const& message) {
    if (core_ >= 0) return refuse(kind + ": a file is being written already");
    core_path_ = detail::text_member(message, "path");
    if (core_path_.empty()) return refuse(kind + ": `path` is missing");
    if (ended_) return refuse(kind + ": the guest has ended");
    auto const begun = kind == "core" ? begin_core(core_path_) : begin_snapshot(core_path_);
    if (!begun) return connection_->send_error(begun.error(), false);
    core_ = *begun;
    written_ = kind == "core" ? "cored" : "snapshotted";
  }

  void finish_core() {
    pollfd ready{core_, POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0) return;
    auto const written = file_written();
    if (!written) return;
    core_ = -1;
    if (*written) {
      connection_->send({{"type", written_}, {"path", core_path_}});
    } else {
      connection_->send_error(written->error(), false);
    }
    if (std::exchange(is_held_, false)) release_crashed();
  }

  void look_for_crash() {
    pollfd ready{crash_descriptor(), POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0 || crash_seen() != crash_news::held) return;
    core_path_ = std::exchange(crash_core_, std::string());
    if (auto const begun = begin_core(core_path_)) {
      core_ = *begun;
      written_ = "cored";
      is_held_ = true;
    } else {
      connection_->send_error(begun.error(), false);
      release_crashed();
    }
  }

  void write_input() {
    if (input_ < 0) return;
    while (!input_queue_.empty()) {
      auto const count = ::write(input_, input_queue_.data(), input_queue_.size());
      if (count < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) close_one(input_);
        return;
      }
      input_queue_.erase(0, static_cast<std::size_t>(count));
    }
    if (input_ends_) close_one(input_);
  }

  /// One piece per turn, so that the driver's requests are heard between.
  void read_console() {
    if (console_ < 0) return;
    char buffer[48 * 1024];
    auto const count = ::read(console_, buffer, sizeof buffer);
    if (count > 0) {
      std::string_view const bytes(buffer, static_cast<std::size_t>(count));
      report_.feed(bytes);
      connection_->send_console(bytes);
      if (ended_) bytes_after_end_ += bytes.size();
      if (bytes_after_end_ > pipe_bytes_max) close_one(console_);
      return;
    }
    // A process that left the guest's session may hold the pipe; what it prints after the end is nobody's.
    if (count == 0 || (errno != EINTR && errno != EAGAIN) || (errno == EAGAIN && ended_)) close_one(console_);
  }

  void confirm_pause() {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
      return;
    }
    pausing_ = false;
    if (info.si_code == CLD_STOPPED) connection_->send({{"type", "paused"}});
  }

  void reap() {
    siginfo_t info{};
    if (pid_ >= 0 && !ended_ &&
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid_) {
      // While it is a zombie its number is nobody else's: end what is left of its session first.
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, &wait_status_, 0);
      ended_ = true;
      pausing_ = false;
      return;
    }
    if (!ended_ || console_ >= 0 || over_) return;
    auto const how = classify({wait_status_, kill_requested_, report_.report()});
    using machine_protocol::exit_reason;
    if (!crash_core_.empty() && (how.reason == exit_reason::crashed || how.reason == exit_reason::out_of_memory)) {
      connection_->send_error({"the guest was gone before a core could be made of it"}, false);
    }
    connection_->send_exit(how);
    over_ = true;
  }

  static void close_one(int& descriptor) {
    if (descriptor >= 0) ::close(descriptor);
    descriptor = -1;
  }

  void close_all() {
    close_one(console_);
    close_one(input_);
    close_one(process_);
  }

  std::optional<runner_connection> connection_;
  report_collector report_;
  pid_t pid_ = -1;
  int process_ = -1, console_ = -1, input_ = -1;
  process_core process_core_;
  int core_ = -1;  ///< what says that the core or snapshot is written; not closed here
  std::string core_path_, written_;
  crash_line crash_line_;
  std::string crash_core_;  ///< where the core of a guest that crashes is to stand; empty: nowhere (any more)
  bool is_held_ = false;    ///< the core that is being written is that of a crashed guest
  std::string input_queue_;
  std::size_t bytes_after_end_ = 0;
  bool input_ends_ = false, kill_requested_ = false, pausing_ = false, ended_ = false, over_ = false;
  int wait_status_ = 0;
};

}  // namespace morgana::plugin
