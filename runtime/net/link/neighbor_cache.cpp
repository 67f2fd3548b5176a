#include "neighbor_cache.hpp"

#include <algorithm>

namespace morgana::net::host {
namespace {

// RFC 4861 10.
constexpr std::uint8_t multicast_solicitations_max = 3;
constexpr std::uint8_t unicast_solicitations_max = 3;
constexpr duration delay_first_probe = 5s;
/// RFC 6583 6: what a scan of the subnet makes us send.
constexpr std::uint32_t solicitations_per_s = 256;
constexpr std::uint32_t bucket_count = 256;

}  // namespace

neighbor_cache::neighbor_cache(network_limits const& limits, keyed_secrets const& secrets, packet_pool& pool,
                               neighbor_events& events, instant now)
    : limits_(limits),
      pool_(pool),
      events_(events),
      key_(secrets.flows),
      random_({secrets.jitter.low ^ 0x6e65'6967'6862'6f72, secrets.jitter.high}),
      solicitations_(solicitations_per_s, now),
      buckets_(bucket_count, none) {}

neighbor_cache::~neighbor_cache() {
  for (auto& one : entries_) one.waiting.clear(pool_);
}

std::uint32_t neighbor_cache::bucket_of(ip_address const& address) const {
  auto const bytes = address.v6().bytes;
  return static_cast<std::uint32_t>(siphash(key_, std::as_bytes(std::span(bytes))) % bucket_count);
}

neighbor_cache::entry* neighbor_cache::look(ip_address const& address) {
  for (auto at = buckets_[bucket_of(address)]; at != none; at = entries_[at].next) {
    if (entries_[at].address == address) return &entries_[at];
  }
  return nullptr;
}

void neighbor_cache::set_due(entry& one, instant due) {
  one.due = due;
  next_due_ = std::min(next_due_, due);
}

neighbor_cache::entry* neighbor_cache::make(ip_address const& address, instant now) {
  if (incomplete_ >= limits_.neighbors_incomplete && !evict(true)) return nullptr;
  if (used_ >= limits_.neighbors && !evict(false)) return nullptr;
  std::uint32_t index = free_;
  if (index != none) {
    free_ = entries_[index].next;
  } else {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  }
  auto& one = entries_[index];
  one.address = address;
  one.link = {};
  one.state = neighbor_state::incomplete;
  one.asked = 0;
  one.in_use = true;
  one.due = never;
  one.last_used = now;
  auto& head = buckets_[bucket_of(address)];
  one.next = head;
  head = index;
  ++used_;
  ++incomplete_;
  return &one;
}

void neighbor_cache::remove(entry& one) {
  if (one.state == neighbor_state::incomplete) --incomplete_;
  one.waiting.clear(pool_);
  auto const index = static_cast<std::uint32_t>(&one - entries_.data());
  auto* link = &buckets_[bucket_of(one.address)];
  while (*link != index) link = &entries_[*link].next;
  *link = one.next;
  one.in_use = false;
  one.due = never;
  one.next = free_;
  free_ = index;
  --used_;
}

/// The least recently used goes; those that work go last. Of unanswered ones only the asked-for kind goes,
/// because an old question is the least likely to be answered.
bool neighbor_cache::evict(bool unanswered_only) {
  entry* victim = nullptr;
  auto const rank = [](entry const& one) { return one.state == neighbor_state::reachable ? 1 : 0; };
  for (auto& one : entries_) {
    if (!one.in_use || (unanswered_only && one.state != neighbor_state::incomplete)) continue;
    if (victim == nullptr || rank(one) < rank(*victim) ||
        (rank(one) == rank(*victim) && one.last_used < victim->last_used)) {
      victim = &one;
    }
  }
  if (victim == nullptr) return false;
  counters_.queue_dropped += victim->waiting.size();
  ++counters_.evicted;
  remove(*victim);
  events_.neighbor_changed();
  return true;
}

duration neighbor_cache::reachable_time() {
  // RFC 4861 6.3.4: between half and one and a half of it, so that hosts do not probe in step.
  auto const half = static_cast<std::uint64_t>(reachable_.count() / 2);
  return duration(static_cast<duration::rep>(half + random_.below(2 * half + 1)));
}

void neighbor_cache::set_times(duration reachable, duration retransmit) {
  if (reachable > 0s) reachable_ = std::min<duration>(reachable, 1h);
  if (retransmit > 0s) retransmit_ = std::clamp<duration>(retransmit, 100ms, 1min);
}

void neighbor_cache::enter(entry& one, neighbor_state state, instant now) {
  if (one.state == neighbor_state::incomplete && state != neighbor_state::incomplete) --incomplete_;
  one.state = state;
  one.asked = 0;
  switch (state) {
    case neighbor_state::reachable:
      return set_due(one, after(now, reachable_time()));
    case neighbor_state::delay:
      return set_due(one, after(now, delay_first_probe));
    case neighbor_state::probe:
    case neighbor_state::incomplete:
      return ask(one, now);
    case neighbor_state::stale:
      one.due = never;
      return;
  }
}

void neighbor_cache::ask(entry& one, instant now) {
  set_due(one, after(now, retransmit_));
  ++one.asked;
  if (!solicitations_.take(now)) {
    ++counters_.solicitations_suppressed;
    return;
  }
  events_.solicit(one.address, one.state == neighbor_state::probe ? std::optional(one.link) : std::nullopt, now);
}

void neighbor_cache::flush(entry& one) {
  while (auto* const packet = one.waiting.pop()) events_.resolved(packet, one.link);
}

std::optional<neighbor_cache::answer> neighbor_cache::find(ip_address const& address, instant now) {
  auto* const one = look(address);
  if (one == nullptr || one->state == neighbor_state::incomplete) return std::nullopt;
  one->last_used = now;
  if (one->state == neighbor_state::stale) enter(*one, neighbor_state::delay, now);
  // What changes before `due` is announced by neighbor_changed().
  return answer{one->link, one->due};
}

void neighbor_cache::wait_for(ip_address const& address, queued_packet* packet, instant now) {
  auto* one = look(address);
  bool const is_new = one == nullptr;
  if (is_new) one = make(address, now);
  if (one == nullptr || limits_.neighbor_queue_packets == 0) {
    ++counters_.refused;
    pool_.give(packet);
    return;
  }
  one->last_used = now;
  if (one->state != neighbor_state::incomplete) return events_.resolved(packet, one->link);
  if (one->waiting.size() >= limits_.neighbor_queue_packets) {
    pool_.give(one->waiting.pop());
    ++counters_.queue_dropped;
  }
  one->waiting.push(packet);
  if (is_new) ask(*one, now);
}

void neighbor_cache::heard(ip_address const& address, mac_address const& link, bool create, instant now) {
  auto* one = look(address);
  if (one == nullptr) {
    // A message nobody asked for must not push out what is in use.
    if (!create || used_ >= limits_.neighbors) return;
    one = make(address, now);
    if (one == nullptr) return;
  } else if (one->state != neighbor_state::incomplete && one->link == link) {
    return;
  }
  bool const changed = one->state != neighbor_state::incomplete;
  one->link = link;
  enter(*one, neighbor_state::stale, now);
  if (changed) events_.neighbor_changed();
  if (!one->waiting.empty()) {
    enter(*one, neighbor_state::delay, now);
    flush(*one);
  }
}

void neighbor_cache::advertised(ip_address const& address, std::optional<mac_address> const& link, bool solicited,
                                bool override, instant now) {
  auto* const one = look(address);
  if (one == nullptr) return;
  if (one->state == neighbor_state::incomplete) {
    if (!link) return;
    one->link = *link;
    enter(*one, solicited ? neighbor_state::reachable : neighbor_state::stale, now);
    return flush(*one);
  }
  bool const differs = link && *link != one->link;
  if (differs && !override) {
    if (one->state == neighbor_state::reachable) enter(*one, neighbor_state::stale, now), events_.neighbor_changed();
    return;
  }
  if (differs) {
    one->link = *link;
    events_.neighbor_changed();
  }
  if (solicited) {
    enter(*one, neighbor_state::reachable, now);
  } else if (differs) {
    enter(*one, neighbor_state::stale, now);
  }
}

void neighbor_cache::forget(ip_address const& address, instant now) {
  auto* const one = look(address);
  if (one == nullptr) return;
  while (auto* const packet = one->waiting.pop()) events_.unresolved(packet, now);
  remove(*one);
  events_.neighbor_changed();
}

void neighbor_cache::confirm(ip_address const& address, instant now) {
  auto* const one = look(address);
  if (one != nullptr && one->state != neighbor_state::incomplete) enter(*one, neighbor_state::reachable, now);
}

void neighbor_cache::suspect(ip_address const& address, instant now) {
  auto* const one = look(address);
  if (one == nullptr || one->state == neighbor_state::incomplete || one->state == neighbor_state::probe) return;
  enter(*one, neighbor_state::probe, now);
}

void neighbor_cache::on_deadline(instant now) {
  if (now < next_due_) return;
  next_due_ = never;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    auto& one = entries_[i];
    if (!one.in_use) continue;
    if (one.due > now) {
      next_due_ = std::min(next_due_, one.due);
      continue;
    }
    switch (one.state) {
      case neighbor_state::reachable:
        enter(one, neighbor_state::stale, now);
        break;
      case neighbor_state::stale:
        break;
      case neighbor_state::delay:
        enter(one, neighbor_state::probe, now);
        break;
      case neighbor_state::incomplete:
      case neighbor_state::probe: {
        auto const most = one.state == neighbor_state::probe ? unicast_solicitations_max : multicast_solicitations_max;
        if (one.asked < most) {
          ask(one, now);
          break;
        }
        ++counters_.failures;
        while (auto* const packet = one.waiting.pop()) events_.unresolved(packet, now);
        auto const address = one.address;
        remove(one);
        events_.neighbor_changed();
        events_.neighbor_failed(address);
        break;
      }
    }
  }
}

std::optional<neighbor_state> neighbor_cache::state(ip_address const& address) const {
  for (auto at = buckets_[bucket_of(address)]; at != none; at = entries_[at].next) {
    if (entries_[at].address == address) return entries_[at].state;
  }
  return std::nullopt;
}

}  // namespace morgana::net::host
