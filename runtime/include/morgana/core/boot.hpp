// From the platform's entry to start() and back: what main.gen.cpp and every target's entry are built on.
//
// main.gen.cpp defines `morgana::application const morgana::this_application` (docs/generated-main.md shows
// one). The target's entry sets up its platform and then runs
//
//   boot_session session(this_application, platform::arguments());
//   for (;;) {
//     auto next = session.run_ready(platform::monotonic_now());
//     if (session.is_finished()) platform::power_off(session.status());
//     platform::wait_until(next);
//   }
//
// A session reads the boot options (--help prints them and ends with 63, a wrong one with 64), opens the
// log and runs the application's run(). When the host asks for an orderly stop it lets stop_requested()
// (event.hpp) through, gives start() --shutdown-grace to end by itself, then cancels it; then the devices
// are taken down in reverse, each with a deadline. Exit statuses are those of docs/exit-codes.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/event.hpp"
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

/// What the runner attaches under a device's name.
enum class attachment : std::uint8_t { none, network, disk };

/// One device of the image's manifest: known at build time, kept in an ELF note, named in errors.
struct manifest_entry {
  std::string_view name;            ///< "network"; also the prefix of its options, "network."
  std::string_view concept_name;    ///< "net::stack"
  std::string_view implementation;  ///< "socket"
  std::string_view path;            ///< "start → network"
  attachment attached = attachment::none;
};

/// The number of a device among those of its kind, from 0, in the order of the manifest: how a platform whose
/// devices have numbers instead of names finds its own. Nothing when the image has no such device.
[[nodiscard]] std::optional<std::size_t> slot_of(std::span<manifest_entry const> manifest, attachment kind,
                                                 std::string_view name);
/// The name of the device with that number; empty when the image has none.
[[nodiscard]] std::string_view name_of_slot(std::span<manifest_entry const> manifest, attachment kind,
                                            std::size_t slot);

class device_stack;

struct application {
  std::string_view name;
  std::span<boot_option const> options;  ///< the application's, then the devices'
  std::span<std::string_view const> left_out = {};  ///< names of options of what the image was configured without
  std::span<manifest_entry const> manifest;
  void* (*boot_options)();                          ///< the object the table assigns to
  task<result<int>> (*run)(device_stack& devices);  ///< connects, starts, returns start()'s status
};

/// Defined by main.gen.cpp.
extern application const this_application;

/// Names of the options that every unikernel has; an application's own must differ.
inline constexpr std::string_view built_in_options[] = {"help", "log", "shutdown-grace"};

/// The devices that are up. run() connects them in topological order; the session takes them down in
/// reverse when run() ended or was cancelled, each with a deadline.
///
/// A device is a class with `static task<result<X>> connect(context&, Need&..., Options const&...)`, where X
/// is the class itself (then it is movable) or a std::unique_ptr to it, and maybe `task<void> disconnect()`
/// (or task<result<void>>, whose error is logged). Without one, its destructor is all. What waits for nothing
/// returns result<X> itself, and needs less code.
class device_stack {
 public:
  static constexpr duration disconnect_timeout = 5s;

  explicit device_stack(context& in) : context_(&in) {}
  device_stack(device_stack const&) = delete;
  device_stack& operator=(device_stack const&) = delete;
  ~device_stack();

  [[nodiscard]] morgana::context& context() const { return *context_; }

  /// Awaits `Device::connect(context, arguments...)` with a deadline. The device lives until take down. An
  /// error carries `path`, which lives for ever, and ends the guest with exit_status::device_failed.
  template <class Device, class... Arguments>
  [[nodiscard]] task<result<Device*>> connect(std::string_view path, duration timeout,
                                              Arguments&&... arguments);

  /// Adapts the three forms of start(): task<>, task<int>, task<result<void>>.
  [[nodiscard]] static task<result<int>> status_of(task<void> start);
  [[nodiscard]] static task<result<int>> status_of(task<int> start);
  [[nodiscard]] static task<result<int>> status_of(task<result<void>> start);

  /// Disconnects in reverse order of connection.
  [[nodiscard]] task<void> take_down();

  [[nodiscard]] std::size_t connected() const { return connected_; }
  /// The path of the device whose connect() failed, or empty.
  [[nodiscard]] std::string_view failed_path() const { return failed_path_; }
  /// The path of the first device whose disconnect() did not end in time, or empty.
  [[nodiscard]] std::string_view overdue_path() const { return overdue_path_; }

 private:
  struct held {
    explicit held(std::string_view of) : path(of) {}
    held(held const&) = delete;
    held& operator=(held const&) = delete;
    virtual ~held() = default;
    virtual task<void> disconnect(morgana::context&) { return {}; }  ///< an empty task: nothing to do
    std::string_view path;
    held* below = nullptr;
  };
  template <class Device, class Holder>
  struct held_device;

  template <class Device, class Made>
  [[nodiscard]] result<Device*> keep(std::string_view path, Made made);
  void push(held* device);
  void pop();
  [[nodiscard]] error connect_failed(std::string_view path, error why);
  static task<void> report(task<result<void>> disconnect, std::string_view path, morgana::context& in);

  morgana::context* context_;
  held* top_ = nullptr;
  std::size_t connected_ = 0;
  std::string_view failed_path_;
  std::string_view overdue_path_;
};

template <class Device, class Holder>
struct device_stack::held_device final : held {
  held_device(std::string_view of, Holder&& connected) : held(of), holder(std::move(connected)) {}
  [[nodiscard]] Device& device() {
    if constexpr (std::same_as<Device, Holder>) {
      return holder;
    } else {
      return *holder;
    }
  }
  task<void> disconnect(morgana::context& in) override {
    if constexpr (requires(Device& one) {
                    { one.disconnect() } -> std::same_as<task<void>>;
                  }) {
      return device().disconnect();
    } else if constexpr (requires(Device& one) {
                           { one.disconnect() } -> std::same_as<task<result<void>>>;
                         }) {
      return report(device().disconnect(), path, in);
    } else {
      static_assert(
          !requires(Device& one) { one.disconnect(); },
          "disconnect() of a device returns task<void> or task<result<void>>");
      return {};
    }
  }
  Holder holder;
};

template <class Device, class... Arguments>
task<result<Device*>> device_stack::connect(std::string_view path, duration timeout,
                                            Arguments&&... arguments) {
  if constexpr (requires { Device::connect(*context_, arguments...).error(); }) {
    co_return keep<Device>(path, Device::connect(*context_, arguments...));
  } else {
    co_return keep<Device>(path, co_await with_deadline(after(context_->now(), timeout),
                                                        Device::connect(*context_, arguments...)));
  }
}

template <class Device, class Made>
result<Device*> device_stack::keep(std::string_view path, Made made) {
  if (!made) return failure(connect_failed(path, std::move(made.error())));
  auto* device = new held_device<Device, typename Made::value_type>(path, std::move(*made));
  push(device);
  return &device->device();
}

class boot_session {
 public:
  /// `arguments` live as long as the session.
  boot_session(application const& what, std::span<std::string_view const> arguments);
  ~boot_session();
  boot_session(boot_session const&) = delete;
  boot_session& operator=(boot_session const&) = delete;

  /// Runs what can run at `now`; gives when to be called next, at the latest. Not again once finished.
  [[nodiscard]] instant run_ready(instant now);
  [[nodiscard]] bool is_finished() const;
  /// The exit status, once finished.
  [[nodiscard]] int status() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace morgana
