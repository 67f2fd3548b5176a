#include "morgana/net/dns/cache.hpp"

#include <algorithm>

namespace morgana::net::dns {

std::uint64_t cache::hash_of(name const& folded, record_type type) const {
  return siphash(key_, folded.wire_bytes()) ^ static_cast<std::uint64_t>(type) * 0x9e37'79b9'7f4a'7c15u;
}

std::optional<answer> cache::find(name const& asked, record_type type, instant now) {
  auto const hash = hash_of(asked.folded(), type);
  for (auto one = entries_.begin(); one != entries_.end(); ++one) {
    if (one->hash != hash || one->type != type || !(one->asked == asked)) continue;
    if (one->until <= now) {
      *one = std::move(entries_.back());
      entries_.pop_back();
      return std::nullopt;
    }
    one->used = ++uses_;
    auto found = one->given;
    found.lifetime = one->until - now;
    return found;
  }
  return std::nullopt;
}

void cache::keep(name const& asked, record_type type, answer const& given, instant now) {
  // RFC 1035 3.2.1: a TTL of zero is for the transaction in progress.
  if (given.lifetime <= duration{} || limits_.cached_answers == 0) return;
  auto const longest = given.addresses.empty() ? limits_.negative_lifetime_max : limits_.cache_lifetime_max;
  auto const lifetime = std::min(std::max(given.lifetime, limits_.cache_lifetime_min), longest);
  auto const hash = hash_of(asked.folded(), type);
  auto place = std::ranges::find_if(
      entries_, [&](entry const& one) { return one.hash == hash && one.type == type && one.asked == asked; });
  if (place == entries_.end() && entries_.size() < limits_.cached_answers) {
    place = entries_.insert(entries_.end(), entry{});
  } else if (place == entries_.end()) {
    // One whose time is over before one that may still be of use.
    place = std::ranges::min_element(entries_, {},
                                     [&](entry const& one) { return one.until <= now ? 0 : one.used; });
    ++evicted_;
  }
  *place = {hash, asked, type, given, after(now, lifetime), ++uses_};
}

}  // namespace morgana::net::dns
