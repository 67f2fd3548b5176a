// The frontend's half of a device's handshake (io/xenbus.h): two folders of xenstore, ours and the backend's, in
// which each says how far it is, and what the other must know.
//
//   frontend device(host, log, name, "vif", 0);
//   co_await device.find(deadline);                              // the backend waits for us
//   auto has_sg = co_await device.their_number("feature-sg", 0, deadline);
//   co_await device.publish(entries, device_state::connected, deadline);
//   co_await device.reached(device_state::connected, deadline);
//   ... co_await device.backend_gone() ...                       // while the device is in use
//   co_await device.close(deadline);                             // then grants can be ended
//
// A device can be connected again after close(), and whatever an earlier life of the guest left is undone by find().
// Each failure is said in the log once, with the device's name in this image, the path and what was waited for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "driver_host.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/task.hpp"

namespace morgana::xen {

class frontend {
 public:
  /// `name` is the device's in this image; `kind` and `number` where it is in xenstore: device/vif/0. Both texts live
  /// for ever.
  frontend(driver_host& on, log_source log, std::string_view name, std::string_view kind, std::uint32_t number);

  /// Reads who serves the device and waits until that waits for us. Errors: core_error::device_missing (the domain has
  /// no such device), driver_error::backend_missing (the deadline passed; the log has the backend's own words).
  [[nodiscard]] task<result<void>> find(instant deadline);
  [[nodiscard]] domain backend() const { return backend_; }

  /// Of our folder, and of the backend's. Errors: core_error::not_found, core_error::timed_out.
  [[nodiscard]] store::request ours(std::string_view key, instant deadline);
  [[nodiscard]] store::request theirs(std::string_view key, instant deadline);
  /// Several at once: store::read_all().
  [[nodiscard]] store::request ours(std::span<std::string_view const> keys, std::span<std::optional<std::string>> into,
                                    instant deadline);
  [[nodiscard]] store::request theirs(std::span<std::string_view const> keys, std::span<std::optional<std::string>> into,
                                      instant deadline);
  /// `otherwise` when the key is not there, or holds no number.
  [[nodiscard]] task<std::uint32_t> their_number(std::string_view key, std::uint32_t otherwise, instant deadline);

  /// Tells the backend all of `entries` at once, then that we are in `state`. Errors: core_error::timed_out,
  /// store_error.
  [[nodiscard]] task<result<void>> publish(std::span<store_entry const> entries, device_state state,
                                           instant deadline);
  /// Waits for the backend. Errors: driver_error::backend_missing, driver_error::backend_failed (it closes).
  [[nodiscard]] task<result<void>> reached(device_state wanted, instant deadline);

  /// Waits for a change in the backend's folder.
  [[nodiscard]] store_watch::change changed(instant deadline) { return watch_->changed(deadline); }
  /// device_state::unknown when it is not there, or is no state.
  [[nodiscard]] task<device_state> backend_state(instant deadline);

  /// Ends the connection and waits until the backend has let go of our pages. Errors: driver_error::backend_missing
  /// (the deadline passed).
  [[nodiscard]] task<result<void>> close(instant deadline);

  [[nodiscard]] std::string_view path() const { return path_; }
  [[nodiscard]] std::string_view backend_path() const { return backend_path_; }

 private:
  [[nodiscard]] task<result<void>> set_state(device_state state, instant deadline);
  /// Says in the log what the backend waits for or failed at.
  [[nodiscard]] task<void> complain(std::string_view awaited);

  driver_host* on_;
  log_source log_;
  std::string_view name_;
  std::string path_;
  std::string backend_path_;
  domain backend_ = 0;
  std::optional<store_watch> watch_;
};

/// Nullopt for anything but a decimal number that fits.
[[nodiscard]] std::optional<std::uint32_t> decimal(std::string_view text);
/// Of what was read, if it was there.
[[nodiscard]] std::optional<std::uint32_t> decimal_of(std::optional<std::string> const& text);
/// In decimal digits.
[[nodiscard]] std::string text_of(std::uint64_t number);

}  // namespace morgana::xen
