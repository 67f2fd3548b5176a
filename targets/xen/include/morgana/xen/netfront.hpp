// The "netfront" network device: a vif of the domain, served by a backend in another (io/netif.h), Linux' netback for
// instance. Super-packets of 64 KiB and checksums are left to the backend as far as it offers that, both ways.
//
// The vif is the one that stands at the parameter's place in the domain's configuration: the first network of the
// application is the first vif, and so on. `--NAME.vif=N` names another.
//
// Costs: frames are copied once on their way out, into pages that stay granted; what comes in is used where it lies,
// or copied when it is small. No allocation per frame, no hypercall but the notifications, which are held off while
// the other side is awake.
//
// Limits: `receive_pages_max` and `transmit_pages_max` pages, less in a small guest (an eighth and a sixteenth of its
// memory). At the first the backend keeps frames, and drops them in the end; at the second what is sent stays with
// the caller.
//
// The backend is not trusted. When it breaks the protocol or closes, every wait and transmit() ends in an error, and
// the log says what it did. It is not connected to again then: that is disconnect() and connect(). After a
// suspend it is connected to again by itself; what is sent until then is lost, as on a wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/frame_port.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::xen {

class driver_host;
struct netfront_state;

struct netfront_options {
  /// Number of the vif, when it is not the one at this network's place in the domain's configuration.
  std::optional<std::uint16_t> vif;
};

class netfront {
 public:
  static constexpr std::size_t receive_pages_max = 512;
  static constexpr std::size_t transmit_pages_max = 256;
  /// For the backend to be ready, and to let go of our pages.
  static constexpr duration connect_time = std::chrono::seconds(8);
  static constexpr duration disconnect_time = std::chrono::seconds(5);

  /// Errors: core_error::device_missing (the domain has no such vif, or there is no Xen), driver_error (the log says
  /// which vif, and what its backend did), core_error::out_of_memory.
  [[nodiscard]] static task<result<std::unique_ptr<netfront>>> connect(context& in, device_name name,
                                                                       netfront_options const& options);
  /// The same on a host of the caller's.
  [[nodiscard]] static task<result<std::unique_ptr<netfront>>> connect(context& in, driver_host& on, device_name name,
                                                                       netfront_options const& options);
  /// Tells the backend and takes all pages back. What it does not let go of within disconnect_time is never used again,
  /// and said in the log.
  task<void> disconnect();
  ~netfront();

  [[nodiscard]] net::device_capabilities capabilities() const;
  /// Errors: core_error::timed_out, driver_error::backend_lied, driver_error::backend_failed.
  [[nodiscard]] net::frame_receive receive(std::span<net::segment> into, instant deadline);
  /// Errors: driver_error::backend_lied, driver_error::backend_failed.
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from);
  /// Waits until there may be room again after transmit() took less than it was offered. Errors: core_error::timed_out.
  [[nodiscard]] net::frame_room room(instant deadline);
  [[nodiscard]] net::frame_counters const& counters() const;
  /// The page of the ring that frames come by, as the backend sees it; empty when not connected.
  [[nodiscard]] std::span<std::byte const> receive_ring() const;

 private:
  explicit netfront(std::unique_ptr<netfront_state> state);
  std::unique_ptr<netfront_state> state_;
};

}  // namespace morgana::xen
