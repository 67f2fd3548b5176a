// The "fd" network device: Ethernet frames over a descriptor that the runner gave, one frame a message. A
// SOCK_SEQPACKET or SOCK_DGRAM socket (a simulated link, a test) or a tap interface; no privileges are needed.
// With a virtio-net header in front of each frame (vnet=1) checksums and TCP segmentation are left to the other
// side: super-packets up to 64 KiB.
//
// Limits: `buffer_bytes_max` of receive buffers. At the limit frames are read and dropped, as a full ring
// would; what is sent while the other side has no room stays with the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/frame_port.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::hosted {

struct fd_device_state;

class fd_device {
 public:
  static constexpr std::size_t buffer_bytes_max = 32u << 20;

  /// Errors: core_error::device_missing (the runner gave no network of that name), core_error::invalid_argument
  /// (what it gave cannot be read, or is no such descriptor).
  [[nodiscard]] static task<result<std::unique_ptr<fd_device>>> connect(context& in, device_name name);
  /// For tests: an open descriptor, which the device then owns.
  [[nodiscard]] static result<std::unique_ptr<fd_device>> open(int descriptor, net::device_capabilities const& as,
                                                               bool has_vnet_header);
  ~fd_device();

  [[nodiscard]] net::device_capabilities capabilities() const;
  /// Errors: core_error::timed_out, core_error::closed (the other side is gone).
  [[nodiscard]] net::frame_receive receive(std::span<net::segment> into, instant deadline);
  /// Errors: core_error::closed.
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from);
  /// Waits until there is room again after transmit() took less than it was offered. Errors: core_error::timed_out.
  [[nodiscard]] net::frame_room room(instant deadline);
  [[nodiscard]] net::frame_counters const& counters() const;

 protected:
  explicit fd_device(std::unique_ptr<fd_device_state> state);
  fd_device(fd_device&& other) noexcept;

 private:
  std::unique_ptr<fd_device_state> state_;
};

/// Locally administered, to one station (IEEE 802).
[[nodiscard]] net::mac_address random_interface_address();

}  // namespace morgana::hosted
