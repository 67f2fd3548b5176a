#include "address_table.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "routing_table.hpp"

namespace morgana::net::host {
namespace {

// RFC 5227 1.1.
constexpr std::uint8_t probe_num = 3;
constexpr duration probe_wait = 1s;
constexpr duration probe_min = 1s;
constexpr duration probe_max = 2s;
constexpr duration announce_wait = 2s;
constexpr std::uint8_t announce_num = 2;
constexpr duration announce_interval = 2s;
constexpr duration defend_interval = 10s;
// RFC 4862 5.1, RFC 4861 10.
constexpr std::uint8_t duplicate_transmits = 1;
constexpr duration retransmit_timer = 1s;
constexpr duration solicitation_delay_max = 1s;

/// RFC 4291 2.7, RFC 6724 3.1; IPv4 has link-local and global ones.
enum class scope : std::uint8_t { link_local = 2, site = 5, global = 14 };
scope scope_of(ip_address const& address) {
  if (address.is_loopback() || is_link_local(address)) return scope::link_local;
  if (address.is_v6() && address.is_multicast()) {
    auto const value = address.v6().bytes[1] & 0x0f;
    return value <= 2 ? scope::link_local : value <= 5 ? scope::site : scope::global;
  }
  if (address.is_v4() && address.is_multicast() && address.v4().bytes[1] == 0 && address.v4().bytes[2] == 0) {
    return scope::link_local;
  }
  return scope::global;
}

}  // namespace

bool is_link_local(ip_address const& address) {
  if (address.is_v4()) return address.v4().bytes[0] == 169 && address.v4().bytes[1] == 254;
  auto const bytes = address.v6().bytes;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

address_table::address_table(core_configuration const& configuration, keyed_secrets const& secrets,
                             address_events& events)
    : configuration_(configuration),
      random_({secrets.jitter.low ^ 0x6164'6472, secrets.jitter.high}),
      events_(events) {}

bool address_table::usable(entry const& one) const {
  if (one.state == state::duplicated) return false;
  return one.state != state::tentative || configuration_.optimistic;
}

void address_table::set_due(entry& one, instant due) {
  one.due = due;
  next_due_ = std::min(next_due_, due);
}

void address_table::refresh() {
  next_due_ = never;
  for (auto const& one : entries_) {
    next_due_ = std::min({next_due_, one.due, one.valid_until});
    if (one.state == state::preferred) next_due_ = std::min(next_due_, one.preferred_until);
  }
}

result<void> address_table::add(entry one, instant now) {
  auto const& address = one.address.address;
  bool const possible = !address.is_left_out() && !address.is_multicast() && !address.is_unspecified() && !address.is_loopback() &&
                        one.address.prefix_bits <= (address.is_v6() ? 128 : 32);
  if (!possible) return failure(net_error::invalid_address);
  if (auto* const old = find(address)) {
    if (old->state != state::duplicated) return failure(net_error::address_in_use);
    remove(address);
  }
  if (entries_.size() >= configuration_.limits.addresses) {
    return failure(net_error::limit_reached, configuration_.limits.addresses);
  }
  one.due = never;
  one.state = state::tentative;
  entries_.push_back(one);
  auto& added = entries_.back();
  if (configuration_.detect_conflicts) {
    auto const most = address.is_v4() ? probe_wait : solicitation_delay_max;
    added.probes_left = address.is_v4() ? probe_num : duplicate_transmits;
    // Optimistic addresses are asked for at once: delay serves networks that boot together.
    auto const wait = configuration_.optimistic ? 0 : random_.below(static_cast<std::uint64_t>(most.count()));
    added.due = after(now, duration(static_cast<duration::rep>(wait)));
  } else {
    settle(added, now);
  }
  events_.addresses_changed();
  refresh();
  return {};
}

void address_table::settle(entry& one, instant now) {
  one.state = one.preferred_until <= now ? state::deprecated : state::preferred;
  // An IPv6 neighbour that has an old link address is corrected by unreachability detection.
  one.announcements_left = one.address.address.is_v4() ? announce_num : 1;
  one.due = now;
}

bool address_table::remove(ip_address const& address) {
  if (std::erase_if(entries_, [&](entry const& one) { return one.address.address == address; }) == 0) return false;
  refresh();
  events_.addresses_changed();
  return true;
}

address_table::entry* address_table::find(ip_address const& address) {
  for (auto& one : entries_) {
    if (one.address.address == address) return &one;
  }
  return nullptr;
}
address_table::entry const* address_table::find(ip_address const& address) const {
  return const_cast<address_table*>(this)->find(address);
}

bool address_table::is_ours(ip_address const& address) const {
  auto const* const one = find(address);
  return one != nullptr && usable(*one);
}

bool address_table::is_broadcast(ip_address const& address) const {
  if (address.is_v6()) return false;
  auto const value = address.v4();
  if (value.bytes == std::array<std::uint8_t, 4>{255, 255, 255, 255}) return true;
  for (auto const& one : entries_) {
    // RFC 3021: a /31 has no broadcast address.
    if (one.address.address.is_v6() || one.address.prefix_bits > 30 || !one.address.contains(address)) continue;
    bool all_ones = true;
    for (unsigned bit = one.address.prefix_bits; bit < 32; ++bit) {
      all_ones = all_ones && (value.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
    }
    if (all_ones) return true;
  }
  return false;
}

int address_table::on_link_bits(ip_address const& address) const {
  int bits = -1;
  for (auto const& one : entries_) {
    // RFC 5942 4: an address that SLAAC made says nothing about the link; its prefix information does.
    bool const says = one.origin == address_origin::manual || one.origin == address_origin::link_local;
    if (says && usable(one) && one.address.contains(address)) bits = std::max<int>(bits, one.address.prefix_bits);
  }
  return bits;
}

std::optional<ip_address> address_table::source_for(ip_address const& destination,
                                                    std::optional<ip_address> const& next_hop) const {
  auto const wanted = scope_of(destination);
  entry const* best = nullptr;
  // Larger is better, in the order of the rules.
  auto const rank = [&](entry const& one) {
    auto const& mine = one.address.address;
    auto const own = scope_of(mine);
    // Rule 2: the smallest scope that reaches, else the largest there is.
    int const fits = own >= wanted ? 32 - static_cast<int>(own) : static_cast<int>(own) - 32;
    bool const same_subnet = next_hop && one.address.contains(*next_hop);
    return std::tuple(mine == destination, fits, one.state != state::deprecated, one.state != state::tentative,
                      mine.is_v4() && same_subnet, one.origin == address_origin::temporary,
                      common_prefix(mine, destination));
  };
  for (auto const& one : entries_) {
    if (one.address.address.is_v6() != destination.is_v6() || !usable(one)) continue;
    if (best == nullptr || rank(*best) < rank(one)) best = &one;
  }
  if (best == nullptr) return std::nullopt;
  return best->address.address;
}

bool address_table::conflict(ip_address const& address, instant now) {
  auto* const one = find(address);
  if (one == nullptr || one->state == state::duplicated) return false;
  ++conflicts_;
  bool lost = one->state == state::tentative;
  if (!lost && address.is_v4()) {
    // RFC 5227 2.4 (b): one defence, then a second conflict within the interval takes the address away.
    lost = one->defended && now - *one->defended < defend_interval;
    if (!lost) {
      one->defended = now;
      events_.announce(address, now);
    }
  }
  // RFC 4862 5.4.4: an IPv6 address that passed its test is kept; the event is counted.
  if (!lost) return true;
  auto const origin = one->origin;
  one->state = state::duplicated;
  one->due = never;
  refresh();
  events_.addresses_changed();
  events_.duplicated(address, origin, now);
  return false;
}

void address_table::on_deadline(instant now) {
  if (now < next_due_) return;
  bool changed = false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    auto& one = entries_[i];
    if (one.valid_until <= now) {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i--));
      changed = true;
      continue;
    }
    if (one.state == state::preferred && one.preferred_until <= now) {
      one.state = state::deprecated;
      changed = true;
    }
    if (one.due > now) continue;
    one.due = never;
    auto const address = one.address.address;
    if (one.state == state::tentative) {
      if (one.probes_left == 0) {
        settle(one, now);
        changed = true;
      } else {
        bool const last = --one.probes_left == 0;
        auto const spread = static_cast<std::uint64_t>((probe_max - probe_min).count());
        if (address.is_v6()) {
          one.due = after(now, retransmit_timer);
        } else {
          one.due = after(now, last ? announce_wait : probe_min + duration(static_cast<duration::rep>(random_.below(spread))));
        }
        events_.probe(address, now);
        continue;
      }
    }
    if (one.announcements_left > 0) {
      --one.announcements_left;
      one.due = one.announcements_left > 0 ? after(now, announce_interval) : never;
      events_.announce(address, now);
    }
  }
  refresh();
  if (changed) events_.addresses_changed();
}

}  // namespace morgana::net::host
