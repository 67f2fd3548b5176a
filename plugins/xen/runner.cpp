// xen-x86-runner: boots a guest of xen-x86 by xl on a Xen host, elsewhere under QEMU without Xen or on the
// bench of real Xen.
//
// Besides its console a guest has a line to this program, which is the machine's second serial port
// (targets/xen/x86_64/control.cpp) or what speaks with xl: "s" from here asks for an orderly end, "exit N"
// from there says how it ended. What speaks with xl knows more: "k" has Xen end the guest at once, "c PATH" has
// it write a core, which "core" or "nocore WHY" answers; after "crashed" it waits for "e" before the guest's end.
#include <charconv>

#include "monitor.hpp"
#include "morgana/plugin/process_runner.hpp"

namespace {

using namespace morgana::plugin;
namespace protocol = morgana::machine_protocol;

constexpr char const* emulator = "qemu-system-x86_64";
constexpr std::size_t control_bytes_max = 8192;

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

/// What stands beside this program.
std::expected<std::string, runner_error> beside(std::string_view name) {
  char self[4096];
  auto const size = ::readlink("/proc/self/exe", self, sizeof self);
  std::string_view const path(self, size > 0 ? static_cast<std::size_t>(size) : 0);
  auto out = std::string(path.substr(0, path.rfind('/') + 1)) + std::string(name);
  if (::access(out.c_str(), R_OK) != 0) {
    return std::unexpected(runner_error{out + " is not there", {"it is installed with xen-x86-runner"}});
  }
  return out;
}

/// Python and a program of its.
std::expected<std::vector<std::string>, runner_error> python_command(std::string_view program) {
  auto const python = program_path("python3");
  if (!python)
    return std::unexpected(runner_error{"python3 is not there", {"install it: apt-get install python3"}});
  auto script = beside("xen-bench/" + std::string(program));
  if (!script) return std::unexpected(script.error());
  // Without files of bytecode beside it.
  return std::vector{*python, std::string("-B"), std::move(*script)};
}

/// What runs the guest.
enum class place { emulator, bench, lone, host };

/// This is a dom0 of Xen's, and its tools are there.
bool is_xen_host() {
  auto const file = ::open("/proc/xen/capabilities", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[256];
  auto const size = ::read(file, text, sizeof text);
  ::close(file);
  return std::string_view(text, size > 0 ? static_cast<std::size_t>(size) : 0).contains("control_d") &&
         program_path("xl");
}

/// By the setting `machine`. "auto" is Xen where there is Xen or a device is wanted that only Xen has.
std::expected<place, runner_error> place_for(std::string_view machine, start_request const& what) {
  auto const wants_devices = !what.networks.empty() || !what.disks.empty();
  if (machine == "xl") return place::host;
  if (machine == "xen" || machine == "auto") {
    if (is_xen_host()) return place::host;
    return machine == "xen" || wants_devices ? place::bench : place::emulator;
  }
  if (machine == "xen-dom0" && !wants_devices) return place::lone;
  if (machine != "xen-dom0" && machine != "microvm" && machine != "q35" && machine != "pc") {
    return std::unexpected(runner_error{
        "there is no machine `" + std::string(machine) + "`",
        {R"(write machine = "auto", "xen", "xl", "xen-dom0", or one without Xen: "microvm", "q35", "pc")"}});
  }
  if (wants_devices) {
    return std::unexpected(
        runner_error{"without a dom0 of Xen's a guest of this target has no networks and disks",
                     {"run it on real Xen: [target.xen-x86] machine = \"xen\" in unikernel.toml"}});
  }
  return place::emulator;
}

/// The guest's networks as bridges of this host.
std::expected<nlohmann::json, runner_error> bridges_of(start_request const& what) {
  auto out = nlohmann::json::array();
  for (auto const& network : what.networks) {
    if (network.tap.empty()) {
      return std::unexpected(
          runner_error{"network `" + network.name + "`: on a Xen host it is a bridge of the host's",
                       {"write --network tap:BRIDGE, for example tap:xenbr0"}});
    }
    out.push_back(
        {{"name", network.name}, {"bridge", network.tap}, {"mac", network.mac}, {"mtu", network.mtu}});
  }
  return out;
}

/// The guest's networks as descriptors, which `launch` hands on.
std::expected<nlohmann::json, runner_error> descriptors_of(start_request const& what,
                                                           process_launch& launch) {
  auto out = nlohmann::json::array();
  for (auto const& network : what.networks) {
    if (network.is_user) {
      out.push_back({{"name", network.name},
                     {"mac", network.mac},
                     {"mtu", network.mtu},
                     {"forwards", network.forwards}});
      continue;
    }
    auto descriptor = network.descriptor;
    auto mtu = network.mtu;
    if (descriptor < 0) {
      // Offloads end at the bench's trunk.
      auto plain = network;
      plain.vnet_header = false;
      auto opened = open_tap(plain);
      if (!opened) return std::unexpected(opened.error());
      descriptor = opened->descriptor;
      mtu = opened->mtu;
      if (!opened->note.empty()) launch.notes.push_back(opened->note);
    } else if (network.vnet_header) {
      return std::unexpected(runner_error{"network `" + network.name +
                                              "`: the bench of Xen carries frames without a "
                                              "virtio-net header",
                                          {"write offloads=no"}});
    }
    launch.descriptors.push_back(descriptor);
    out.push_back({{"name", network.name}, {"descriptor", descriptor}, {"mac", network.mac}, {"mtu", mtu}});
  }
  return out;
}

nlohmann::json disks_of(start_request const& what) {
  auto out = nlohmann::json::array();
  for (auto const& disk : what.disks) {
    out.push_back({{"name", disk.name},
                   {"path", disk.path},
                   {"read_only", disk.read_only},
                   {"sector_bytes", disk.sector_bytes}});
  }
  return out;
}

class runner final : public process_runner {
 public:
  ~runner() override {
    if (control_ >= 0) ::close(control_);
  }

  [[nodiscard]] std::vector<std::string> capabilities() const override {
    return {"console", "input",        "exit",         "signal",     "stop",        "kill",
            "pause",   "crash-report", "memory-limit", "network.fd", "network.tap", "disk", "core",
            "snapshot"};
  }

  [[nodiscard]] std::expected<process_launch, runner_error> launch(start_request const& what) override {
    auto const setting = what.settings.find("machine");
    auto machine = setting != what.settings.end() && !setting->second.empty() ? setting->second : "auto";
    auto const where = place_for(machine, what);
    if (!where) return std::unexpected(where.error());
    if (machine == "auto") machine = "microvm";
    if (what.snapshot && *where != place::emulator) {
      return std::unexpected(runner_error{"a guest on real Xen does not resume from a snapshot",
                                          {R"(without Xen it does: [target.xen-x86] machine = "microvm")"}});
    }
    auto const socket = what.settings.find("debug_socket");
    auto const debugged = socket != what.settings.end();
    if (debugged && *where != place::emulator) {
      return std::unexpected(runner_error{"a guest on real Xen cannot be debugged",
                                          {R"(without Xen it can: [target.xen-x86] machine = "microvm")"}});
    }
    auto const program = program_path(emulator);
    if (!program && *where != place::host) {
      return std::unexpected(runner_error{std::string(emulator) + " is not there",
                                          {"install it: apt-get install qemu-system-x86"}});
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return std::unexpected(runner_error{std::string("cannot make a socket: ") + std::strerror(errno)});
    }
    control_ = ends[0];
    image_ = what.image;
    std::string command_line;
    for (auto const& argument : what.arguments) {
      if (!command_line.empty()) command_line.push_back(' ');
      command_line += escaped(argument);
    }
    auto const kib = (what.memory_bytes == 0 ? std::uint64_t{32} << 20 : what.memory_bytes) >> 10;
    process_launch out;
    if (*where != place::emulator) {
      auto command = python_command(*where == place::host   ? "xen_host.py"
                                    : *where == place::lone ? "xen_lone.py"
                                                            : "xen_bench.py");
      if (!command) return std::unexpected(command.error());
      auto networks = *where == place::host ? bridges_of(what) : descriptors_of(what, out);
      if (!networks) return std::unexpected(networks.error());
      nlohmann::json const guest{{"name", what.name},
                                 {"image", what.image},
                                 {"memory_kib", kib},
                                 {"command_line", command_line},
                                 {"networks", std::move(*networks)},
                                 {"disks", disks_of(what)},
                                 {"hold_crashed", what.crash_core.has_value()}};
      out.command = std::move(*command);
      if (*where != place::host) {
        auto core = beside("xen-core");
        if (!core) return std::unexpected(core.error());
        out.command.insert(out.command.end(), {"--core", std::move(*core)});
      }
      out.command.insert(out.command.end(), {"--control", std::to_string(ends[1]), detail::json_text(guest)});
      xen_runs_it_ = true;
      out.capabilities = capabilities();
      std::erase(*out.capabilities, "snapshot");
      if (*where == place::lone) std::erase(*out.capabilities, "core");
    } else {
      out.command = {
          *program, "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", std::to_string(kib) + "k"};
      out.command.insert(out.command.end(),
                         {"-display", "none", "-nodefaults", "-no-user-config", "-no-reboot"});
      out.command.insert(out.command.end(), {"-name", option_value(what.name), "-chardev",
                                             "stdio,id=console,signal=off", "-serial", "chardev:console"});
      out.command.insert(out.command.end(), {"-chardev", "socket,id=control,fd=" + std::to_string(ends[1]),
                                             "-device", "isa-serial,iobase=0x2f8,irq=3,chardev=control"});
      int monitor[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor) != 0) {
        return std::unexpected(runner_error{std::string("cannot make a socket: ") + std::strerror(errno)});
      }
      monitor_.open(monitor[0], what.image);
      out.descriptors.push_back(monitor[1]);
      out.command.insert(out.command.end(), {"-chardev", "socket,id=monitor,fd=" + std::to_string(monitor[1]),
                                             "-mon", "chardev=monitor,mode=control"});
      if (what.crash_core) {
        // Without the device by which a guest ends QEMU itself, its end is one that the machine can stand still at.
        out.command.insert(out.command.end(), {"-action", "reboot=shutdown,shutdown=pause"});
      } else {
        out.command.insert(out.command.end(), {"-device", "isa-debug-exit,iobase=0xf4,iosize=1"});
      }
      resumes_ = what.snapshot.has_value();
      if (what.snapshot) out.command.insert(out.command.end(), {"-incoming", monitor::resume_option(*what.snapshot)});
      out.command.insert(out.command.end(), {"-kernel", what.image, "-append", command_line});
      if (debugged) {
        out.command.insert(out.command.end(),
                           {"-S", "-chardev", "socket,id=gdb,server=on,wait=off,path=" + option_value(socket->second),
                            "-gdb", "chardev:gdb"});
      }
    }
    out.environment = what.environment;
    for (auto const* const name : {"PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR"}) {
      if (auto const* const value = std::getenv(name); xen_runs_it_ && value != nullptr)
        out.environment[name] = value;
    }
    out.descriptors.push_back(ends[1]);
    return out;
  }

  void request_stop() override {
    if (std::exchange(resumes_, false)) monitor_.await_resumed();
    if (::send(control_, "s", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) kill_guest(SIGTERM);
  }

  /// Xen is asked, so that the guest's end is that of a domain; a second time nobody is.
  void request_kill() override {
    if (std::exchange(xen_runs_it_, false) && ::send(control_, "k", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
      return;
    kill_guest(SIGKILL);
  }

  [[nodiscard]] std::expected<int, runner_error> begin_core(std::string const& path) override {
    if (monitor_.is_open()) return monitor_.begin_core(path);
    auto const request = "c " + path + "\n";
    if (path.find('\n') != std::string::npos)
      return std::unexpected(runner_error{"a core's file name has no line ends"});
    if (::send(control_, request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
      return std::unexpected(runner_error{"what runs the guest takes no requests"});
    core_path_ = path;
    return control_;
  }

  [[nodiscard]] std::expected<int, runner_error> begin_snapshot(std::string const& path) override {
    if (monitor_.is_open()) return monitor_.begin_snapshot(path);
    return std::unexpected(runner_error{"a guest on real Xen gives no snapshot"});
  }

  [[nodiscard]] std::optional<std::expected<void, runner_error>> file_written() override {
    if (monitor_.is_open()) return monitor_.written();
    hear_control();
    if (take_line("core")) return core_file::complete(core_path_, image_);
    if (auto const why = take_line("nocore ")) return std::unexpected(runner_error{"Xen gave no core: " + *why});
    if (control_is_over_) return std::unexpected(runner_error{"the guest ended before the core was written"});
    return std::nullopt;
  }

  [[nodiscard]] int crash_descriptor() const override {
    if (control_is_over_ || has_ended_) return -1;
    return monitor_.is_open() ? monitor_.descriptor() : control_;
  }

  [[nodiscard]] crash_news crash_seen() override {
    hear_control();
    if (!monitor_.is_open()) return take_line("crashed") ? crash_news::held : crash_news::none;
    if (!monitor_.has_shut_down()) {
      has_ended_ = monitor_.is_gone();
      return crash_news::none;
    }
    auto const status = said_status();
    if (!status || *status == protocol::exit_status::crashed || *status == protocol::exit_status::out_of_memory)
      return crash_news::held;
    has_ended_ = true;
    monitor_.quit();
    return crash_news::none;
  }

  void release_crashed() override {
    if (monitor_.is_open()) {
      monitor_.quit();
    } else {
      [[maybe_unused]] auto const sent = ::send(control_, "e", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }

  [[nodiscard]] guest_exit classify(process_end const& end) const override {
    using protocol::exit_reason;
    if (!WIFEXITED(end.wait_status)) return process_runner::classify(end);
    if (end.kill_requested && WEXITSTATUS(end.wait_status) == 0) {
      return {protocol::exit_status::signal_base + SIGKILL, exit_reason::killed, SIGKILL, end.report};
    }
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
  /// Takes in what was said on the control line.
  void hear_control() const {
    char buffer[control_bytes_max];
    ssize_t size = 0;
    while (control_said_.size() < control_bytes_max &&
           (size = ::recv(control_, buffer, control_bytes_max - control_said_.size(), MSG_DONTWAIT)) > 0) {
      control_said_.append(buffer, static_cast<std::size_t>(size));
    }
    control_is_over_ = control_said_.size() >= control_bytes_max || size == 0 || (errno != EAGAIN && errno != EINTR);
  }

  /// The rest of a whole line that begins so, which is taken out.
  std::optional<std::string> take_line(std::string_view beginning) {
    for (std::size_t begin = 0, end = 0; (end = control_said_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      auto const line = control_said_.substr(begin, end - begin);
      if (!line.starts_with(beginning)) continue;
      control_said_.erase(begin, end + 1 - begin);
      return line.substr(beginning.size());
    }
    return std::nullopt;
  }

  /// The number of the last whole line "exit N".
  [[nodiscard]] std::optional<int> said_status() const {
    hear_control();
    constexpr std::string_view word = "exit ";
    std::string_view said(control_said_);
    auto const begin = said.rfind(word);
    if (begin == std::string_view::npos) return std::nullopt;
    said.remove_prefix(begin + word.size());
    int status = 0;
    auto const [last, error] = std::from_chars(said.data(), said.data() + said.size(), status);
    if (error != std::errc() || last == said.data() + said.size() || *last != '\n') return std::nullopt;
    return status >= 0 && status <= 255 ? std::optional(status) : std::nullopt;
  }

  int control_ = -1;
  mutable std::string control_said_;
  mutable bool control_is_over_ = false;
  bool has_ended_ = false;  ///< no crash will come any more
  std::string image_, core_path_;
  monitor monitor_;
  bool xen_runs_it_ = false;
  bool resumes_ = false;  ///< from a snapshot, and it is not known yet that it runs
};

}  // namespace

int main() {
  return runner().run();
}
