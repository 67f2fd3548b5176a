// `morgana debug`: the target's debugger, at a guest that stands at its start.
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "command/commands.hpp"

extern char** environ;

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using clock = machine::clock;
using words = std::vector<std::string>;

/// A folder for the debugger's socket, gone at the end.
class socket_folder {
 public:
  socket_folder() {
    auto const* const base = std::getenv("TMPDIR");
    auto name = fmt::format("{}/morgana-debug-XXXXXX", base != nullptr && base[0] == '/' ? base : "/tmp");
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  socket_folder(socket_folder const&) = delete;
  socket_folder& operator=(socket_folder const&) = delete;
  ~socket_folder() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  [[nodiscard]] bool is_there() const { return !folder_.empty(); }
  [[nodiscard]] fs::path socket() const { return folder_ / "gdb"; }

 private:
  fs::path folder_;
};

void replace(std::string& text, std::string_view hole, std::string const& with) {
  for (auto at = text.find(hole); at != std::string::npos; at = text.find(hole, at + with.size())) {
    text.replace(at, hole.size(), with);
  }
}

struct holes {
  std::string image, debug, name, socket;
  words const* arguments = nullptr;
  words commands;  ///< as words of the debugger's command line
};

words filled(words const& from, holes const& with) {
  words out;
  for (auto word : from) {
    if (word == "{arguments}") {
      out.insert(out.end(), with.arguments->begin(), with.arguments->end());
    } else if (word == "{commands}") {
      out.insert(out.end(), with.commands.begin(), with.commands.end());
    } else {
      replace(word, "{image}", with.image);
      replace(word, "{debug}", with.debug);
      replace(word, "{name}", with.name);
      replace(word, "{socket}", with.socket);
      out.push_back(std::move(word));
    }
  }
  return out;
}

std::string shell_line(words const& command) {
  std::string out;
  for (auto const& word : command) {
    if (!out.empty()) out += ' ';
    auto const plain =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") ==
        std::string::npos;
    if (plain && !word.empty()) {
      out += word;
      continue;
    }
    auto quoted = word;
    replace(quoted, "'", "'\\''");
    out += '\'' + quoted + '\'';
  }
  return out;
}

/// The keyboard's interrupt is the debugger's: it stops the guest.
class interrupts_ignored {
 public:
  interrupts_ignored() : before_(std::signal(SIGINT, SIG_IGN)) {}
  interrupts_ignored(interrupts_ignored const&) = delete;
  interrupts_ignored& operator=(interrupts_ignored const&) = delete;
  ~interrupts_ignored() { std::signal(SIGINT, before_); }

 private:
  void (*before_)(int);
};

outcome<pid_t> start_program(words const& command) {
  std::vector<char*> arguments;
  for (auto const& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t process = 0;
  auto const error = ::posix_spawnp(&process, arguments[0], nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return process;
  return fail({.code = "missing-tool",
               .message = fmt::format("`{}` does not start: {}", command[0], std::strerror(error)),
               .help = {"install it: apt-get install gdb"}});
}

/// Shows what the guest says; false once it has ended.
outcome<bool> take_events(machine& guest) {
  for (;;) {
    auto event = guest.next(clock::now());
    if (!event) return fail(std::move(event));
    if (!*event) return true;
    if (auto const* const console = std::get_if<console_event>(&**event)) {
      [[maybe_unused]] auto const done = ::write(STDOUT_FILENO, console->data.data(), console->data.size());
    } else if (auto const* const error = std::get_if<error_event>(&**event)) {
      return fail({.code = "runner-failed", .message = error->message, .help = error->help});
    } else if (std::get_if<exit_event>(&**event) != nullptr) {
      return false;
    }
  }
}

outcome<void> wait_for_socket(machine& guest, fs::path const& socket) {
  auto const deadline = clock::now() + std::chrono::seconds(30);
  std::error_code ignored;
  while (!fs::exists(socket, ignored)) {
    auto there = take_events(guest);
    if (!there) return fail(std::move(there));
    if (!*there || clock::now() >= deadline) {
      return fail({.code = "runner-silent",
                   .message = *there ? "the guest did not open the debugger's socket within 30 s"
                                     : "the guest ended before the debugger was there"});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

/// Until the debugger ends; its exit status.
outcome<int> attend(pid_t debugger, machine* guest) {
  for (;;) {
    int status = 0;
    if (::waitpid(debugger, &status, WNOHANG) == debugger) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    pollfd watched{.fd = guest != nullptr ? guest->descriptor() : -1, .events = POLLIN, .revents = 0};
    ::poll(&watched, 1, 50);
    if (guest == nullptr) continue;
    auto there = take_events(*guest);
    if (!there) return fail(std::move(there));
    // The debugger sees that by itself.
    if (!*there) guest = nullptr;
  }
}

outcome<int> debug(output& out, debug_arguments const& with) {
  auto state = ensure_built(out, with.run.place);
  if (!state) return fail(std::move(state));
  auto on = find_target(state->target, application_folder(with.run.place.path));
  if (!on) return fail(std::move(on));
  if (on->debug.command.empty()) {
    return fail({.code = "not-supported",
                 .message = fmt::format("the target `{}` says nothing about a debugger", on->name),
                 .help = {"its plugin would say so in [debug]"}});
  }
  auto what = machine_for(*state, with.run);
  if (!what) return fail(std::move(what));
  socket_folder const folder;
  if (!folder.is_there())
    return fail({.code = "write-failed", .message = "cannot make a folder for a socket"});
  holes fill{.image = what->image.string(),
             .debug = artefact(*state, with.run.place.build_root(), "debug").string(),
             .name = state->name,
             .socket = with.print ? "/tmp/" + state->name + ".gdb" : folder.socket().string(),
             .arguments = &what->arguments,
             .commands = {}};
  if (with.batch) fill.commands.emplace_back("-batch");
  for (auto const& command : with.commands) {
    fill.commands.emplace_back("-ex");
    fill.commands.push_back(command);
  }
  auto const command = filled(on->debug.command, fill);
  if (with.print) {
    if (!on->debug.by_hand.empty()) out.say(shell_line(filled(on->debug.by_hand, fill)));
    out.say(shell_line(command));
    return 0;
  }
  interrupts_ignored const ours_are;
  std::unique_ptr<machine> guest;
  if (on->debug.waits) {
    what->settings.insert_or_assign("debug_socket", fill.socket);
    auto started = machine::start(*on, *what, clock::now() + std::chrono::seconds(30));
    if (!started) return fail(std::move(started));
    guest = *std::move(started);
    if (auto done = wait_for_socket(*guest, folder.socket()); !done) return fail(std::move(done));
  }
  auto const debugger = start_program(command);
  if (!debugger) return std::unexpected(debugger.error());
  return attend(*debugger, guest.get());
}

}  // namespace

int debug_command(output& out, debug_arguments const& with) {
  auto status = debug(out, with);
  if (status) return *status;
  out.report(status.error());
  return exit_code::run_failed;
}

}  // namespace morgana::driver
