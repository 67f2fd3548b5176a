// Whatever has ports in a simulated world: a host (a net::core with a scripted user, or a unikernel's image),
// a switch, a router, a middlebox.
//
// It is sans-I/O, as net::core is: the world gives it frames and time, and afterwards takes the frames it
// wants to send and asks when it wants to run again. A node knows no clock but the `now` it is given. That is
// its own clock (world::set_clock): it may run fast or slow, and jump forward.
#pragma once

#include <cstddef>
#include <cstdint>

#include "morgana/core/time.hpp"
#include "morgana/sim/frame.hpp"

namespace morgana::sim {

class node {
 public:
  node() = default;
  node(node const&) = delete;
  node& operator=(node const&) = delete;
  virtual ~node() = default;

  [[nodiscard]] virtual std::size_t ports() const { return 1; }

  /// A frame arrived at one of its ports; the node may take its bytes.
  virtual void receive(std::size_t port, frame& arrived, instant now) = 0;
  /// The next frame to send through that port; false when there is none. It is called after every other call
  /// until it says false, for every port. `into` is empty, or has memory to be reused.
  [[nodiscard]] virtual bool poll_transmit(std::size_t port, frame& into, instant now) = 0;
  /// When on_deadline is to be called, in its own time; `never` when it waits for frames only. May be early.
  [[nodiscard]] virtual instant next_deadline() const { return never; }
  virtual void on_deadline(instant now) { (void)now; }
};

}  // namespace morgana::sim
