#include "path_mtu.hpp"

#include <algorithm>
#include <array>

namespace morgana::net::host {

std::uint32_t path_mtu_cache::plausible(bool is_v6, std::uint32_t claimed, std::uint32_t packet_bytes) const {
  if (claimed == 0 && !is_v6) {
    // RFC 1191 7.1: the next plateau below what did not fit.
    constexpr std::array<std::uint32_t, 9> plateaus{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
    auto const next = std::ranges::find_if(plateaus, [&](std::uint32_t one) { return one < packet_bytes; });
    claimed = next == plateaus.end() ? 0 : *next;
  }
  return std::max(claimed, is_v6 ? ipv6_mtu_min : std::uint32_t{limits_.path_mtu_v4_min});
}

bool path_mtu_cache::reduce(ip_address const& destination, std::uint32_t mtu_bytes, instant now) {
  auto const until = after(now, limits_.path_mtu_lifetime);
  auto found = std::ranges::find(entries_, destination, &entry::destination);
  if (found != entries_.end()) {
    if (mtu_bytes >= found->mtu_bytes) return false;
    found->mtu_bytes = mtu_bytes;
    found->until = until;
    return true;
  }
  if (limits_.path_mtu_entries == 0) return false;
  if (entries_.size() >= limits_.path_mtu_entries) {
    ++evicted_;
    entries_.erase(std::ranges::min_element(entries_, {}, &entry::until));
  }
  entries_.push_back({destination, mtu_bytes, until});
  next_due_ = std::min(next_due_, until);
  return true;
}

std::uint32_t path_mtu_cache::find(ip_address const& destination, std::uint32_t link_bytes) const {
  auto const found = std::ranges::find(entries_, destination, &entry::destination);
  return found == entries_.end() ? link_bytes : std::min(link_bytes, found->mtu_bytes);
}

bool path_mtu_cache::on_deadline(instant now) {
  if (now < next_due_) return false;
  auto const gone = std::erase_if(entries_, [&](entry const& one) { return one.until <= now; });
  next_due_ = never;
  for (auto const& one : entries_) next_due_ = std::min(next_due_, one.until);
  return gone != 0;
}

}  // namespace morgana::net::host
