// From the platform's entry to start() and back: what main.gen.cpp and every target's entry are built on.
//
// main.gen.cpp defines `morgana::application const morgana::this_application`. The target's entry sets up
// its platform and then runs
//
//   boot_session session(this_application, platform::arguments());
//   for (;;) {
//     auto next = session.run_ready(platform::monotonic_now());
//     if (session.is_finished()) platform::power_off(session.status());
//     platform::wait_until(next);
//   }
//
// A session reads the boot options (--help prints them and ends with 63, a wrong one with 64), opens the
// log, runs the application's run(), and on stop_requested() cancels start() and takes the devices down in
// reverse, each with a deadline. Exit statuses are those of docs/exit-codes.md.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/options.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

namespace exit_status {
inline constexpr int done = 0;
inline constexpr int help_shown = 63;
inline constexpr int wrong_argument = 64;
inline constexpr int device_failed = 65;
inline constexpr int start_failed = 66;
inline constexpr int crashed = 70;
inline constexpr int out_of_memory = 71;
inline constexpr int shutdown_deadline = 72;
}  // namespace exit_status

/// One device of the image's manifest: known at build time, kept in an ELF note, named in errors.
struct manifest_entry {
  std::string_view name;             ///< "network"
  std::string_view concept_name;     ///< "net::stack"
  std::string_view implementation;   ///< "socket"
  std::string_view path;             ///< "start → network"
};

class device_stack;

struct application {
  std::string_view name;
  std::span<boot_option const> options;
  std::span<manifest_entry const> manifest;
  void* (*boot_options)();                                 ///< the object the table assigns to
  task<result<int>> (*run)(device_stack& devices);         ///< connects, starts, returns start()'s status
};

/// Defined by main.gen.cpp.
extern application const this_application;

/// The devices that are up. run() connects them in topological order; the session takes them down in
/// reverse when run() ended or was cancelled, each with a deadline.
class device_stack {
 public:
  static constexpr duration disconnect_timeout = 5s;

  explicit device_stack(context& in) : context_(&in) {}

  [[nodiscard]] morgana::context& context() const { return *context_; }

  /// Awaits `Device::connect(context, needs..., options...)` with a deadline. The device lives until take
  /// down. An error carries `path` and ends the guest with exit_status::device_failed.
  template <class Device, class... Arguments>
  [[nodiscard]] task<result<Device*>> connect(std::string_view path, duration timeout, Arguments&... arguments);

  /// Adapts the three forms of start(): task<>, task<int>, task<result<void>>.
  [[nodiscard]] static task<result<int>> status_of(task<void> start);
  [[nodiscard]] static task<result<int>> status_of(task<int> start);
  [[nodiscard]] static task<result<int>> status_of(task<result<void>> start);

  /// Disconnects in reverse order of connection.
  [[nodiscard]] task<void> take_down();

 private:
  morgana::context* context_;
};

class boot_session {
 public:
  boot_session(application const& what, std::span<std::string_view const> arguments);
  ~boot_session();
  [[nodiscard]] instant run_ready(instant now);
  [[nodiscard]] bool is_finished() const;
  [[nodiscard]] int status() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace morgana
