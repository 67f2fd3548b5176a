// `morgana run`: the guest's console is ours, byte for byte, and its exit status too.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <nlohmann/json.hpp>

#include "command/commands.hpp"
#include "morgana/driver/machine.hpp"
#include "workspace/files.hpp"
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

std::unexpected<diagnostics> wrong(std::string message, std::string help) {
  return fail({.code = "wrong-value", .message = std::move(message), .help = {std::move(help)}});
}

outcome<machine_disk> parse_disk(std::string const& text) {
  auto const equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return wrong(fmt::format("`--disk {}` says no disk", text), "write --disk NAME=FILE or NAME=FILE,ro");
  }
  machine_disk out;
  out.name = text.substr(0, equals);
  auto file = text.substr(equals + 1);
  if (file.ends_with(",ro")) {
    out.read_only = true;
    file.resize(file.size() - 3);
  }
  std::error_code error;
  out.path = fs::absolute(file, error);
  if (!fs::exists(out.path, error)) {
    return wrong(fmt::format("disk `{}`: the file `{}` does not exist", out.name, file),
                 fmt::format("make one of 64 MiB: truncate -s 64M {}", file));
  }
  return out;
}

outcome<machine_network> parse_network(std::string const& text) {
  auto const bad = [&](std::string_view why) {
    return wrong(fmt::format("`--network {}`: {}", text, why),
                 "write --network [NAME=]tap, [NAME=]tap:INTERFACE or [NAME=]fd:NUMBER, and after commas "
                 "host=10.0.0.1/24, mac=02:00:00:00:00:01, mtu=1500, offloads=no");
  };
  machine_network out;
  auto rest = std::string_view(text);
  auto const first_end = std::min(rest.find(','), rest.size());
  if (auto const equals = rest.substr(0, first_end).find('='); equals != std::string_view::npos) {
    out.name = rest.substr(0, equals);
    if (out.name.empty()) return bad("there is no name before the `=`");
    rest.remove_prefix(equals + 1);
  }
  auto what = rest.substr(0, rest.find(','));
  rest.remove_prefix(std::min(rest.size(), what.size() + 1));
  auto const is_tap = what == "tap" || what.starts_with("tap:");
  if (is_tap) {
    out.vnet_header = true;
    if (what == "tap") {
      out.host_address = "10.0.0.1/24";
    } else if (what.size() > 4) {
      out.tap = what.substr(4);
    } else {
      return bad("there is no interface after `tap:`");
    }
  } else if (what.starts_with("fd:")) {
    auto const [end, error] = std::from_chars(what.data() + 3, what.data() + what.size(), out.descriptor);
    if (error != std::errc() || end != what.data() + what.size() || out.descriptor <= 2) {
      return bad("there is no descriptor of 3 or more after `fd:`");
    }
    if (::fcntl(out.descriptor, F_GETFD) < 0) {
      return wrong(fmt::format("`--network {}`: descriptor {} is not open", text, out.descriptor),
                   "pass a socket of Ethernet frames to this process under that number");
    }
  } else {
    return bad("it is neither a tap nor a descriptor");
  }
  while (!rest.empty()) {
    auto const part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.starts_with("host=") && what == "tap") {
      out.host_address = part.substr(5);
    } else if (part.starts_with("mac=")) {
      out.mac = part.substr(4);
    } else if (part.starts_with("mtu=")) {
      auto const [end, error] = std::from_chars(part.data() + 4, part.data() + part.size(), out.mtu);
      if (error != std::errc() || end != part.data() + part.size() || out.mtu < 68 || out.mtu > 65535) {
        return bad("mtu is not between 68 and 65535");
      }
    } else if (part == "offloads=yes" || part == "offloads=no") {
      out.vnet_header = part == "offloads=yes";
    } else {
      return bad(fmt::format("`{}` is not known here", part));
    }
  }
  return out;
}

/// A device of the image's manifest that a runner attaches something to.
struct manifest_device {
  std::string name, attached;
};

std::vector<manifest_device> attached_devices(fs::path const& manifest) {
  std::vector<manifest_device> out;
  auto const text = read_file(manifest);
  auto const read = nlohmann::json::parse(text.value_or("{}"), nullptr, false);
  if (!read.is_object()) return out;
  for (auto const& one : read.value("devices", nlohmann::json::array())) {
    if (!one.is_object() || !one.contains("attached")) continue;
    out.push_back({one.value("name", ""), one.value("attached", "")});
  }
  return out;
}

/// Puts them into the manifest's order, which is that of targets whose devices have numbers; those without a name last.
template <class Attached>
outcome<void> arrange(std::vector<Attached>& what, std::string_view kind, std::vector<manifest_device> const& devices) {
  std::vector<std::string> names;
  for (auto const& one : devices) {
    if (one.attached == kind) names.push_back(one.name);
  }
  for (auto const& one : what) {
    if (one.name.empty() || std::ranges::find(names, one.name) != names.end()) continue;
    diagnostic unknown{.code = "unknown-device",
                       .message = fmt::format("the image has no {} `{}`", kind, one.name)};
    if (auto const near = nearest(one.name, names)) unknown.help.push_back(fmt::format("did you mean `{}`?", *near));
    unknown.notes.push_back({.message = names.empty() ? fmt::format("it has no {} at all", kind)
                                                      : fmt::format("it has `{}`", fmt::join(names, "`, `"))});
    return fail(std::move(unknown));
  }
  names.emplace_back();
  std::vector<Attached> ordered;
  for (auto const& name : names) {
    std::ranges::copy_if(what, std::back_inserter(ordered), [&](Attached const& one) { return one.name == name; });
  }
  what = std::move(ordered);
  return {};
}

outcome<machine_configuration> machine_for(workspace_state const& state, run_arguments const& with) {
  machine_configuration out;
  out.image = artefact(state, with.place.build_root(), "image");
  out.name = state.name;
  out.arguments = with.arguments;
  auto memory = with.memory;
  if (memory.empty()) {
    auto const found = state.settings.find("memory");
    if (found != state.settings.end()) memory = found->second;
  }
  if (!memory.empty()) {
    auto const bytes = parse_size(memory);
    if (!bytes)
      return wrong(fmt::format("`{}` is no amount of memory", memory), "write for example --memory 64MiB");
    out.memory_bytes = *bytes;
  }
  out.settings = state.settings;
  if (!with.seed.empty()) {
    if (!state.settings.contains("seed")) {
      return wrong(fmt::format("guests of the target `{}` have no seed", state.target),
                   "only a simulated target has one; `morgana plugin list` shows the targets");
    }
    out.settings.insert_or_assign("seed", with.seed);
  }
  if (!with.world.empty()) {
    if (!state.settings.contains("world")) {
      return wrong(fmt::format("guests of the target `{}` have no simulated world", state.target),
                   "only a simulated target has one; `morgana plugin list` shows the targets");
    }
    out.settings.insert_or_assign("world", std::filesystem::absolute(with.world).string());
  }
  for (auto const& text : with.environment) {
    auto const equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return wrong(fmt::format("`--env {}` says no variable", text), "write --env NAME=VALUE");
    }
    out.environment.insert_or_assign(text.substr(0, equals), text.substr(equals + 1));
  }
  for (auto const& text : with.disks) {
    auto disk = parse_disk(text);
    if (!disk) return fail(std::move(disk));
    out.disks.push_back(*std::move(disk));
  }
  for (auto const& text : with.networks) {
    auto network = parse_network(text);
    if (!network) return fail(std::move(network));
    out.networks.push_back(*std::move(network));
  }
  auto const devices = attached_devices(artefact(state, with.place.build_root(), "manifest"));
  if (auto done = arrange(out.networks, "network", devices); !done) return fail(std::move(done));
  if (auto done = arrange(out.disks, "disk", devices); !done) return fail(std::move(done));
  return out;
}

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
