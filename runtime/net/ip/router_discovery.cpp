#include "router_discovery.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "path_mtu.hpp"
#include "routing_table.hpp"

namespace morgana::net::host {
namespace {

// RFC 4861 10.
constexpr std::uint8_t router_solicitations_max = 3;
constexpr duration router_solicitation_interval = 4s;
constexpr duration router_solicitation_delay_max = 1s;
/// RFC 4862 5.5.3 e: an advertisement without authentication cannot shorten a life below this.
constexpr duration lifetime_floor = 2h;
constexpr std::uint8_t address_attempts_max = 3;
// RFC 8981 3.8.
constexpr duration temporary_preferred = 24h;
constexpr duration temporary_valid = 48h;
/// What one link may tell.
constexpr std::size_t routers_max = 16;
constexpr std::size_t prefixes_max = 32;

cidr const link_local_prefix{ipv6_address{{0xfe, 0x80}}, 64};

instant until(instant now, duration life) {
  return life == duration::max() ? never : after(now, life);
}

ipv6_address with_identifier(cidr const& prefix, std::uint64_t identifier) {
  auto bytes = prefix.address.v6().bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes[8 + i] = static_cast<std::uint8_t>(identifier >> (56 - 8 * i));
  return {bytes};
}

/// RFC 5453: identifiers that mean something else (subnet-router anycast, reserved anycast addresses).
bool is_reserved(std::uint64_t identifier) {
  return identifier == 0 || (identifier >> 7) == (0xfdff'ffff'ffff'ff80u >> 7) || (identifier >> 40) == 0x02005e;
}

}  // namespace

router_discovery::router_discovery(core_configuration const& configuration, keyed_secrets const& secrets,
                                   address_table& addresses)
    : configuration_(configuration),
      key_(secrets.interface_identifiers),
      random_({secrets.interface_identifiers.high, secrets.interface_identifiers.low}),
      addresses_(addresses) {}

void router_discovery::start(instant now) {
  make_stable(link_local_prefix, address_origin::link_local, 0, never, never, now);
  if (!configuration_.router_advertisements) return;
  solicitations_left_ = router_solicitations_max;
  auto const most = static_cast<std::uint64_t>(router_solicitation_delay_max.count());
  solicit_at_ = configuration_.optimistic ? now : after(now, duration(static_cast<duration::rep>(random_.below(most))));
  refresh();
}

void router_discovery::make_stable(cidr const& prefix, address_origin origin, std::uint8_t attempt,
                                   instant preferred, instant valid, instant now) {
  // RFC 7217 5: F(prefix, interface, DAD counter, secret key).
  std::array<std::byte, 16 + 6 + 2> text{};
  auto const network = network_of(prefix).address.v6().bytes;
  std::memcpy(text.data(), network.data(), 16);
  std::memcpy(text.data() + 16, configuration_.device.address.bytes.data(), 6);
  for (;; ++attempt) {
    if (attempt > address_attempts_max) return;
    text[22] = std::byte{attempt};
    auto const identifier = siphash(key_, text);
    if (is_reserved(identifier)) continue;
    address_table::entry made;
    made.address = {with_identifier(prefix, identifier), 64};
    made.origin = origin;
    made.preferred_until = preferred;
    made.valid_until = valid;
    made.attempt = attempt;
    (void)addresses_.add(made, now);  // at the limit, or there already: nothing to do
    return;
  }
}

void router_discovery::make_temporary(cidr const& prefix, duration preferred, duration valid, instant now) {
  auto const desync = duration(static_cast<duration::rep>(random_.below(10ull * 60 * 1'000'000'000)));
  auto identifier = random_.next();
  while (is_reserved(identifier)) identifier = random_.next();
  address_table::entry made;
  made.address = {with_identifier(prefix, identifier), 64};
  made.origin = address_origin::temporary;
  made.preferred_until = until(now, std::min(preferred, temporary_preferred - desync));
  made.valid_until = until(now, std::min(valid, temporary_valid));
  (void)addresses_.add(made, now);
}

void router_discovery::duplicated(ip_address const& address, address_origin origin, instant now) {
  auto const* const one = addresses_.find(address);
  if (one == nullptr || origin == address_origin::manual) return;
  auto const copy = *one;
  addresses_.remove(address);
  if (origin == address_origin::temporary) return;
  make_stable({copy.address.address, 64}, origin, static_cast<std::uint8_t>(copy.attempt + 1), copy.preferred_until,
              copy.valid_until, now);
}

void router_discovery::form(wire::advertised_prefix const& one, instant now) {
  if (one.prefix.prefix_bits != 64 || is_link_local(one.prefix.address) || one.preferred > one.valid) return;
  bool has_stable = false;
  bool has_temporary = false;
  for (auto& entry : addresses_.all()) {
    bool const stable = entry.origin == address_origin::advertised;
    if ((!stable && entry.origin != address_origin::temporary) || !one.prefix.contains(entry.address.address)) continue;
    if (!stable) {
      has_temporary = has_temporary || entry.state != core::address_state::deprecated;
      continue;
    }
    has_stable = true;
    entry.preferred_until = until(now, one.preferred);
    auto const left = entry.valid_until == never ? duration::max() : entry.valid_until - now;
    if (one.valid > lifetime_floor || one.valid > left) {
      entry.valid_until = until(now, one.valid);
    } else if (left > lifetime_floor) {
      entry.valid_until = after(now, lifetime_floor);
    }
    if (entry.state == core::address_state::deprecated && entry.preferred_until > now) {
      entry.state = core::address_state::preferred;
    }
  }
  addresses_.lifetimes_changed();
  if (one.valid == 0s) return;
  if (!has_stable) {
    make_stable(one.prefix, address_origin::advertised, 0, until(now, one.preferred), until(now, one.valid), now);
  }
  if (configuration_.temporary_addresses && !has_temporary && one.preferred > 10min) {
    make_temporary(one.prefix, one.preferred, one.valid, now);
  }
}

void router_discovery::advertised(wire::router_advertisement const& what, ip_address const& from, instant now) {
  solicitations_left_ = 0;
  solicit_at_ = never;
  if (what.hop_limit != 0) hop_limit_ = what.hop_limit;
  managed_ = what.managed;
  other_ = what.other;
  auto const known = std::ranges::find(routers_, from, &router::address);
  if (what.router_lifetime == 0s) {
    if (known != routers_.end()) routers_.erase(known);
  } else if (known != routers_.end()) {
    known->until = after(now, what.router_lifetime);
    known->is_suspect = false;
  } else if (routers_.size() < routers_max) {
    routers_.push_back({from, after(now, what.router_lifetime)});
  }
  // RFC 4861 6.3.4; a smaller value than IPv6's minimum would only be an attack.
  if (what.mtu_bytes && *what.mtu_bytes >= ipv6_mtu_min && *what.mtu_bytes <= configuration_.device.mtu_bytes) {
    mtu_bytes_ = what.mtu_bytes;
  }
  for (std::size_t i = 0; i < what.prefix_count; ++i) {
    auto const& one = what.prefixes[i];
    if (one.on_link && !is_link_local(one.prefix.address)) {
      auto const network = network_of(one.prefix);
      auto const same = std::ranges::find(prefixes_, network, &prefix::on_link);
      if (one.valid == 0s) {
        if (same != prefixes_.end()) prefixes_.erase(same);
      } else if (same != prefixes_.end()) {
        same->until = until(now, one.valid);
      } else if (prefixes_.size() < prefixes_max) {
        prefixes_.push_back({network, until(now, one.valid)});
      }
    }
    if (one.autonomous) form(one, now);
  }
  if (what.name_server_count != 0) {
    name_servers_.clear();
    if (what.name_servers_lifetime > 0s) {
      for (std::size_t i = 0; i < what.name_server_count; ++i) name_servers_.emplace_back(what.name_servers[i]);
    }
    name_servers_until_ = until(now, what.name_servers_lifetime);
  }
  refresh();
}

void router_discovery::unreachable(ip_address const& address) {
  for (auto& one : routers_) one.is_suspect = one.is_suspect || one.address == address;
  // RFC 4861 6.3.6: when none works each is tried in turn.
  if (std::ranges::all_of(routers_, &router::is_suspect)) {
    for (auto& one : routers_) one.is_suspect = false;
    if (routers_.size() > 1) std::ranges::rotate(routers_, routers_.begin() + 1);
  }
}

int router_discovery::on_link_bits(ip_address const& address) const {
  int bits = -1;
  for (auto const& one : prefixes_) {
    if (one.on_link.contains(address)) bits = std::max<int>(bits, one.on_link.prefix_bits);
  }
  return bits;
}

std::optional<ip_address> router_discovery::default_router() const {
  for (auto const& one : routers_) {
    if (!one.is_suspect) return one.address;
  }
  return std::nullopt;
}

std::vector<ip_address> router_discovery::name_servers() const {
  return name_servers_;
}

void router_discovery::refresh() {
  next_due_ = std::min(solicit_at_, name_servers_.empty() ? never : name_servers_until_);
  for (auto const& one : routers_) next_due_ = std::min(next_due_, one.until);
  for (auto const& one : prefixes_) next_due_ = std::min(next_due_, one.until);
}

bool router_discovery::on_deadline(instant now) {
  if (now < next_due_) return false;
  std::erase_if(routers_, [&](router const& one) { return one.until <= now; });
  std::erase_if(prefixes_, [&](prefix const& one) { return one.until <= now; });
  if (name_servers_until_ <= now) name_servers_.clear();
  bool const solicit = solicit_at_ <= now && solicitations_left_ > 0;
  if (solicit_at_ <= now) {
    if (solicit) --solicitations_left_;
    solicit_at_ = solicitations_left_ > 0 ? after(now, router_solicitation_interval) : never;
  }
  refresh();
  return solicit;
}

}  // namespace morgana::net::host
