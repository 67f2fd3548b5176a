// A learning Ethernet switch (IEEE 802.1D without its spanning tree): no delay of its own, the links have
// theirs.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "morgana/sim/node.hpp"

namespace morgana::sim {

/// What nodes without a clock need: frames that wait at each port to be taken.
class outbox {
 public:
  explicit outbox(std::size_t ports) : waiting_(ports) {}
  void put(std::size_t port, frame sent) { waiting_[port].push_back(std::move(sent)); }
  [[nodiscard]] bool take(std::size_t port, frame& into) {
    auto& queue = waiting_[port];
    if (queue.empty()) return false;
    into = std::move(queue.front());
    queue.pop_front();
    return true;
  }

 private:
  std::vector<std::deque<frame>> waiting_;
};

class ethernet_switch : public node {
 public:
  /// Most addresses it learns; then it forgets the oldest.
  static constexpr std::size_t addresses_max = 64;

  explicit ethernet_switch(std::size_t ports) : ports_(ports), out_(ports) {}

  [[nodiscard]] std::size_t ports() const override { return ports_; }
  void receive(std::size_t port, frame& arrived, instant now) override;
  bool poll_transmit(std::size_t port, frame& into, instant) override { return out_.take(port, into); }

 private:
  struct learned {
    std::array<std::byte, 6> address;
    std::size_t port;
  };
  std::size_t ports_;
  outbox out_;
  std::vector<learned> table_;
};

}  // namespace morgana::sim
