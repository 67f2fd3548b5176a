// A machine: one running unikernel, on any target, through the machine protocol
// (morgana/plugin/machine_protocol.hpp). Used by `morgana run`, `plugin check`, the tests and Python.
//
//   auto machine = machine::start(target, {.image = ..., .arguments = {"--port=8080"}});
//   auto event = machine->next(deadline);          // console bytes, exit, ...
//
// Every wait has a deadline. Destroying a machine kills its guest and ends its runner.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <utility>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/target.hpp"
#include "morgana/plugin/machine_protocol.hpp"

namespace morgana::driver {

struct machine_network {
  std::string name = {};                     ///< device it serves; empty: the one that has none of its own
  int descriptor = -1;                       ///< inherited socket of Ethernet frames (the caller's copy stays
                                             ///< the caller's to close), or
  std::string tap = {};                      ///< name of a tap interface, or
  std::string host_address = {};             ///< "10.0.0.1/24": a tap made for the guest, the host's end of it
  bool is_user = false;                      ///< a network of the runner's own behind address translation
  std::vector<std::pair<std::uint16_t, std::uint16_t>> forwards = {};  ///< there: TCP ports of 127.0.0.1, and the guest's
  std::string mac = {};                      ///< "02:..." ; empty: the runner's choice
  std::uint32_t mtu = 1500;
  bool vnet_header = false;
};

struct machine_disk {
  std::string name = {};
  std::filesystem::path path = {};
  bool read_only = false;
  std::uint32_t sector_bytes = 512;
};

struct machine_configuration {
  std::filesystem::path image = {};
  std::string name = {};
  std::vector<std::string> arguments = {};
  std::map<std::string, std::string> environment = {};
  std::map<std::string, std::string> settings = {};  ///< of the target; what is not here has its default
  std::uint64_t memory_bytes = 0;            ///< 0: the target's setting `memory`
  std::vector<machine_network> networks = {};
  std::vector<machine_disk> disks = {};
  /// Where the core of a guest that crashes is to stand before its exit_event; empty: none is made. state_event "cored" or an
  /// error_event says how that went.
  std::filesystem::path crash_core = {};
  std::filesystem::path snapshot = {};       ///< of a machine like this one, which goes on from there; empty: it boots
};

struct console_event {
  std::string data = {};
};

struct exit_event {
  int status = 0;
  machine_protocol::exit_reason reason = machine_protocol::exit_reason::finished;
  std::optional<int> signal = {};
  std::string report = {};                   ///< crash report, when there is one
};

struct error_event {
  std::string message = {};
  std::vector<std::string> help = {};
};

struct state_event {
  std::string type = {};                     ///< "started", "paused", "resumed", "snapshotted", "cored"
  std::optional<std::vector<std::string>> capabilities = {};  ///< of "started": this guest's, when fewer than its runner's
};

using machine_event = std::variant<console_event, exit_event, error_event, state_event>;

class machine {
 public:
  using clock = std::chrono::steady_clock;

  /// Starts the target's runner and asks it to start the guest; state_event "started" or exit_event follow.
  /// The runner is looked for in the plugin's folder, beside the driver (../libexec/morgana), and on PATH.
  /// Of the caller's descriptors it inherits those of `what.networks` and no other.
  /// Errors: `no-runner` (not found, where was looked), `runner-protocol` (version, both numbers; or what it
  /// said that makes no sense), `runner-failed` (its own words), `runner-silent` (no hello in time),
  /// `wrong-value` (a configuration that cannot be sent: an argument that is not UTF-8, too many of them).
  [[nodiscard]] static outcome<std::unique_ptr<machine>> start(target const& on, machine_configuration const& what,
                                                               clock::time_point deadline);
  virtual ~machine() = default;

  /// The next event, or nothing when the deadline passes. After exit_event always nothing, at once. Console
  /// bytes are read from the runner only as they are asked for: a guest that prints without end waits, and
  /// no memory grows. Errors: `runner-protocol`, `runner-failed` (it ended without an exit event; its last
  /// words); the machine is then over, its guest killed, and next() gives nothing, at once.
  [[nodiscard]] virtual outcome<std::optional<machine_event>> next(clock::time_point deadline) = 0;

  /// Becomes readable when next() would not wait: for callers with a loop of their own.
  [[nodiscard]] virtual int descriptor() const = 0;

  /// The runner's; from state_event "started" on the guest's.
  [[nodiscard]] virtual std::vector<std::string> const& capabilities() const = 0;

  /// The runner's process: it and its children are what the guest costs this host (/proc/ID).
  [[nodiscard]] virtual int runner() const = 0;

  /// The commands below wait at most `command_timeout` for the runner to take them and do nothing once the
  /// guest has ended. Errors: `not-supported` (a capability the runner did not say it has), `runner-silent`
  /// (it did not take the command; the machine is over).
  static constexpr std::chrono::seconds command_timeout{5};

  /// Console input. What a guest does not read is kept up to a limit of the runner's (at least 64 KiB), then
  /// dropped with an error_event.
  [[nodiscard]] virtual outcome<void> input(std::string_view bytes) = 0;

  /// Ends the console input: the guest reads an end of file after what was sent.
  [[nodiscard]] virtual outcome<void> end_input() = 0;
  [[nodiscard]] virtual outcome<void> stop() = 0;
  [[nodiscard]] virtual outcome<void> kill() = 0;
  [[nodiscard]] virtual outcome<void> pause() = 0;
  [[nodiscard]] virtual outcome<void> resume() = 0;
  [[nodiscard]] virtual outcome<void> snapshot(std::filesystem::path const& to) = 0;
  /// Writes an ELF core of the guest, which goes on; state_event "cored" or error_event follows.
  [[nodiscard]] virtual outcome<void> core(std::filesystem::path const& to) = 0;
};

}  // namespace morgana::driver
