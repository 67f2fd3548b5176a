#include "hub.hpp"

#include <algorithm>

namespace morgana::python {

void hub::receive(std::size_t port, sim::frame& arrived, instant) {
  if (arrived.bytes.size() < 14) return;
  std::array<std::byte, 6> to, from;
  std::copy_n(arrived.bytes.begin(), 6, to.begin());
  std::copy_n(arrived.bytes.begin() + 6, 6, from.begin());
  auto const known = std::ranges::find(table_, from, &learned::address);
  if (known != table_.end()) {
    known->port = port;
  } else {
    if (table_.size() == 2 * ports_max) table_.erase(table_.begin());
    table_.push_back({from, port});
  }
  auto const pass = [&](std::size_t out, sim::frame one) {
    if (apart_[port][out]) {
      ++kept_apart_;
    } else {
      out_.put(out, std::move(one));
    }
  };
  bool const is_group = (static_cast<unsigned>(to[0]) & 1) != 0;
  auto const found = is_group ? table_.end() : std::ranges::find(table_, to, &learned::address);
  if (found != table_.end()) {
    if (found->port != port) pass(found->port, std::move(arrived));
    return;
  }
  for (std::size_t out = 0; out < used_; ++out) {
    if (out != port) pass(out, arrived);
  }
}

}  // namespace morgana::python
