#include "morgana/sim/ethernet_switch.hpp"

#include <algorithm>

namespace morgana::sim {

void ethernet_switch::receive(std::size_t port, frame& arrived, instant) {
  if (arrived.size() < 14) return;
  std::array<std::byte, 6> to, from;
  std::copy_n(arrived.bytes.begin(), 6, to.begin());
  std::copy_n(arrived.bytes.begin() + 6, 6, from.begin());
  constexpr std::byte group{1};
  if ((from[0] & group) == std::byte{0}) {
    auto const known = std::ranges::find(table_, from, &learned::address);
    if (known != table_.end()) {
      known->port = port;
    } else {
      if (table_.size() == addresses_max) table_.erase(table_.begin());
      table_.push_back({from, port});
    }
  }
  auto const known = std::ranges::find(table_, to, &learned::address);
  if (known != table_.end()) {
    if (known->port != port) out_.put(known->port, std::move(arrived));
    return;
  }
  for (std::size_t i = 0; i < ports_; ++i) {
    if (i != port) out_.put(i, arrived);
  }
}

}  // namespace morgana::sim
