#include "morgana/net/dns/servers.hpp"

#include <algorithm>

namespace morgana::net::dns {
namespace {

constexpr duration back_off_first = 5s;
constexpr std::uint32_t back_off_doublings = 4;

}  // namespace

void server_list::set(std::span<endpoint const> servers) {
  auto const before = all_;
  auto const known = size_;
  size_ = 0;
  for (auto const& where : servers) {
    if (size_ == servers_max) return;
    if (find(where) != nullptr) continue;
    auto const old = std::find_if(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(known),
                                  [&](server const& one) { return one.where == where; });
    all_[size_++] = old != before.begin() + static_cast<std::ptrdiff_t>(known) ? *old : server{where};
  }
}

server_list::server* server_list::find(endpoint const& where) {
  auto const end = all_.begin() + static_cast<std::ptrdiff_t>(size_);
  auto const found = std::find_if(all_.begin(), end, [&](server const& one) { return one.where == where; });
  return found == end ? nullptr : &*found;
}

std::size_t server_list::choose(std::uint32_t& tried, instant now) const {
  auto const every = (1u << size_) - 1;
  if ((tried & every) == every) tried = 0;
  std::size_t best = size_;
  for (std::size_t i = 0; i < size_; ++i) {
    if ((tried >> i & 1) != 0) continue;
    if (best == size_ || std::max(all_[i].avoid_until, now) < std::max(all_[best].avoid_until, now)) best = i;
  }
  tried |= 1u << best;
  return best;
}

void server_list::answered(endpoint const& where) {
  auto* const one = find(where);
  if (one == nullptr) return;
  one->failures = 0;
  one->avoid_until = {};
}

void server_list::failed(endpoint const& where, instant now) {
  auto* const one = find(where);
  if (one == nullptr) return;
  one->avoid_until = after(now, back_off_first * (1 << std::min(one->failures, back_off_doublings)));
  ++one->failures;
}

}  // namespace morgana::net::dns
