// A port of a simulated world that is a socket of Ethernet frames, one a message (SOCK_SEQPACKET or
// SOCK_DGRAM): the network interface of a real guest, where the machine protocol hands it over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/node.hpp"

namespace morgana::python {

class descriptor_node final : public sim::node {
 public:
  static constexpr std::size_t frame_bytes_max = 65'535 + 18;
  /// Read in one go, so that others get their turn.
  static constexpr std::size_t batch_frames = 256;

  /// Uses a copy of the descriptor. Null when it is no socket of messages.
  [[nodiscard]] static std::unique_ptr<descriptor_node> open(int descriptor);
  ~descriptor_node() override;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Takes what waits in the socket; false once the other side is gone.
  [[nodiscard]] bool read();
  /// Frames that found no room in the socket, or were no frames.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  void receive(std::size_t port, sim::frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, sim::frame& into, instant) override {
    return out_.take(port, into);
  }

 private:
  explicit descriptor_node(int descriptor) : descriptor_(descriptor), buffer_(frame_bytes_max + 1) {}
  int descriptor_;
  std::vector<std::byte> buffer_;
  sim::outbox out_{1};
  std::uint64_t dropped_ = 0;
};

}  // namespace morgana::python
