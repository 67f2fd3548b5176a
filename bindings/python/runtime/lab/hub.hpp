// A learning switch whose network can be parted: frames do not pass between ports that are kept apart. Ports
// are joined as hosts come; what is not joined costs nothing.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <vector>

#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/node.hpp"

namespace morgana::python {

class hub final : public sim::node {
 public:
  static constexpr std::size_t ports_max = 256;

  hub() : out_(ports_max) {}

  /// A cable is joined to that port.
  void use(std::size_t port) { used_ = std::max(used_, port + 1); }
  [[nodiscard]] std::size_t used() const { return used_; }
  void keep_apart(std::size_t one, std::size_t other, bool apart) {
    apart_[one][other] = apart_[other][one] = apart;
  }
  void heal() {
    for (auto& one : apart_) one.reset();
  }
  [[nodiscard]] std::uint64_t kept_apart() const { return kept_apart_; }

  [[nodiscard]] std::size_t ports() const override { return ports_max; }
  void receive(std::size_t port, sim::frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, sim::frame& into, instant) override {
    return port < used_ && out_.take(port, into);
  }

 private:
  struct learned {
    std::array<std::byte, 6> address;
    std::size_t port;
  };
  std::size_t used_ = 0;
  sim::outbox out_;
  std::vector<learned> table_;
  std::array<std::bitset<ports_max>, ports_max> apart_;
  std::uint64_t kept_apart_ = 0;  ///< frames that did not pass
};

}  // namespace morgana::python
