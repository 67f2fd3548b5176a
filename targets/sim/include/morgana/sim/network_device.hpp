// The "sim" network device: one port of a simulated host, joined to a link of the world it lives in, or to a
// descriptor of the runner's (`morgana run -t sim --network NAME=...`, in real time). For guests.
//
// Limits: `buffer_bytes_max` of receive buffers; at the limit frames are taken and dropped, as a full ring
// would. What is sent while the port has no room stays with the caller.
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

namespace morgana::sim {

struct network_device_state;

class network_device {
 public:
  static constexpr std::size_t buffer_bytes_max = 2u << 20;

  /// Errors: core_error::device_missing (the simulator has no network of that name).
  [[nodiscard]] static task<result<std::unique_ptr<network_device>>> connect(context& in, device_name name);
  ~network_device();

  [[nodiscard]] net::device_capabilities capabilities() const;
  /// Errors: core_error::timed_out, core_error::closed (the other side is gone).
  [[nodiscard]] net::frame_receive receive(std::span<net::segment> into, instant deadline);
  /// Errors: core_error::closed.
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from);
  /// Waits until there may be room again after transmit() took less than it was offered. Errors: core_error::timed_out.
  [[nodiscard]] net::frame_room room(instant deadline);
  [[nodiscard]] net::frame_counters const& counters() const;

 private:
  explicit network_device(std::unique_ptr<network_device_state> state);
  std::unique_ptr<network_device_state> state_;
};

}  // namespace morgana::sim
