// xen-x86-runner: boots a guest of xen-x86 under QEMU, without Xen.
//
// Besides its console (the first serial port) the guest has a line to this program, the second port
// (targets/xen/x86_64/control.cpp): "s" from here asks for an orderly end, "exit N" from there says how it
// ended.
#include <charconv>

#include "morgana/plugin/process_runner.hpp"

namespace {

using namespace morgana::plugin;
namespace protocol = morgana::machine_protocol;

constexpr char const* emulator = "qemu-system-x86_64";
constexpr std::size_t control_bytes_max = 256;

std::optional<std::string> program_path(std::string_view name) {
  auto const* const path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path; !rest.empty();) {
    auto const folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    auto candidate = std::string(folder) + '/' + std::string(name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

/// One word of the guest's command line (targets/xen/x86_64/arguments.cpp takes it apart).
std::string escaped(std::string_view word) {
  std::string out;
  for (auto const c : word) {
    if (c == ' ' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

/// In an option of QEMU's a comma ends a value, and two are one.
std::string option_value(std::string_view text) {
  std::string out;
  for (auto const c : text) {
    out.push_back(c);
    if (c == ',') out.push_back(c);
  }
  return out;
}

/// Python and the bench, which stands beside this program.
std::expected<std::vector<std::string>, runner_error> bench_command() {
  auto const python = program_path("python3");
  if (!python)
    return std::unexpected(runner_error{"python3 is not there", {"install it: apt-get install python3"}});
  char self[4096];
  auto const size = ::readlink("/proc/self/exe", self, sizeof self);
  std::string_view const path(self, size > 0 ? static_cast<std::size_t>(size) : 0);
  auto script = std::string(path.substr(0, path.rfind('/') + 1)) + "xen-bench/xen_bench.py";
  if (::access(script.c_str(), R_OK) != 0) {
    return std::unexpected(runner_error{script + " is not there", {"it is installed with xen-x86-runner"}});
  }
  // Without files of bytecode beside it.
  return std::vector{*python, std::string("-B"), std::move(script)};
}

class runner final : public process_runner {
 public:
  ~runner() override {
    if (control_ >= 0) ::close(control_);
  }

  [[nodiscard]] std::vector<std::string> capabilities() const override {
    return {"console", "input", "exit", "signal", "stop", "kill", "pause", "crash-report", "memory-limit"};
  }

  [[nodiscard]] std::expected<process_launch, runner_error> launch(start_request const& what) override {
    if (what.snapshot) return std::unexpected(runner_error{"this target cannot resume from a snapshot"});
    if (!what.networks.empty() || !what.disks.empty()) {
      return std::unexpected(runner_error{"a guest of this target has no networks and disks yet",
                                          {"only the console is there"}});
    }
    auto const program = program_path(emulator);
    if (!program) {
      return std::unexpected(runner_error{std::string(emulator) + " is not there",
                                          {"install it: apt-get install qemu-system-x86"}});
    }
    auto const setting = [&](char const* name, std::string_view otherwise) {
      auto const found = what.settings.find(name);
      return found != what.settings.end() && !found->second.empty() ? found->second : std::string(otherwise);
    };
    auto const machine = setting("machine", "microvm");
    auto const on_xen = machine == "xen";
    if (!on_xen && machine != "microvm" && machine != "q35" && machine != "pc") {
      return std::unexpected(runner_error{"there is no machine `" + machine + "`",
                                          {"write machine = \"microvm\", \"q35\", \"pc\" or \"xen\""}});
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return std::unexpected(runner_error{std::string("cannot make a socket: ") + std::strerror(errno)});
    }
    control_ = ends[0];
    std::string command_line;
    for (auto const& argument : what.arguments) {
      if (!command_line.empty()) command_line.push_back(' ');
      command_line += escaped(argument);
    }
    auto const kib = (what.memory_bytes == 0 ? std::uint64_t{32} << 20 : what.memory_bytes) >> 10;
    process_launch out;
    if (on_xen) {
      auto bench = bench_command();
      if (!bench) return std::unexpected(bench.error());
      out.command = std::move(*bench);
      out.command.insert(out.command.end(), {"--control", std::to_string(ends[1]), "--image", what.image,
                                             "--memory-kib", std::to_string(kib), "--", command_line});
    } else {
      out.command = {
          *program, "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", std::to_string(kib) + "k"};
      out.command.insert(out.command.end(),
                         {"-display", "none", "-nodefaults", "-no-user-config", "-no-reboot"});
      out.command.insert(out.command.end(), {"-name", option_value(what.name), "-chardev",
                                             "stdio,id=console,signal=off", "-serial", "chardev:console"});
      out.command.insert(out.command.end(), {"-chardev", "socket,id=control,fd=" + std::to_string(ends[1]),
                                             "-device", "isa-serial,iobase=0x2f8,irq=3,chardev=control"});
      out.command.insert(out.command.end(), {"-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel",
                                             what.image, "-append", command_line});
    }
    out.environment = what.environment;
    for (auto const* const name : {"PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR"}) {
      if (auto const* const value = std::getenv(name); on_xen && value != nullptr)
        out.environment[name] = value;
    }
    out.descriptors = {ends[1]};
    return out;
  }

  void request_stop() override {
    if (::send(control_, "s", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) kill_guest(SIGTERM);
  }

  [[nodiscard]] guest_exit classify(process_end const& end) const override {
    using protocol::exit_reason;
    if (!WIFEXITED(end.wait_status)) return process_runner::classify(end);
    if (auto const status = said_status()) {
      auto const reason = *status == protocol::exit_status::crashed         ? exit_reason::crashed
                          : *status == protocol::exit_status::out_of_memory ? exit_reason::out_of_memory
                                                                            : exit_reason::finished;
      return {*status, reason, std::nullopt, end.report};
    }
    // The guest said nothing: it reset the machine by a fault that it could not handle. Or QEMU did not
    // begin, which stands on the console.
    if (WEXITSTATUS(end.wait_status) == 1)
      return {protocol::exit_status::driver_failure, exit_reason::failed};
    return {protocol::exit_status::crashed, exit_reason::crashed, std::nullopt, end.report};
  }

 private:
  /// The number of the last whole line "exit N".
  [[nodiscard]] std::optional<int> said_status() const {
    char buffer[control_bytes_max];
    auto const size = ::recv(control_, buffer, sizeof buffer, MSG_DONTWAIT);
    constexpr std::string_view word = "exit ";
    std::string_view said(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
    auto const begin = said.rfind(word);
    if (begin == std::string_view::npos) return std::nullopt;
    said.remove_prefix(begin + word.size());
    int status = 0;
    auto const [last, error] = std::from_chars(said.data(), said.data() + said.size(), status);
    if (error != std::errc() || last == said.data() + said.size() || *last != '\n') return std::nullopt;
    return status >= 0 && status <= 255 ? std::optional(status) : std::nullopt;
  }

  int control_ = -1;
};

}  // namespace

int main() {
  return runner().run();
}
