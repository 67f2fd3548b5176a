#include "morgana/net/core.hpp"

#include <algorithm>

#include "implementation.hpp"

namespace morgana::net {

// ---- building ----------------------------------------------------------------------------------------

core::implementation::implementation(core_configuration const& chosen, keyed_secrets const& secrets,
                                     buffer_pool& pool_of_buffers, instant start)
    : configuration(chosen),
      buffers(pool_of_buffers),
      now(start),
      flow_key(secrets.flows),
      pool(chosen.limits.transmit_queue_packets),
      addresses(configuration, secrets, *this),
      routes(chosen.limits.routes),
      routers(configuration, secrets, addresses),
      path_mtus(configuration.limits),
      neighbors(configuration.limits, secrets, pool, *this, start),
      fragments(configuration.limits, pool_of_buffers),
      error_limiter(configuration.limits, secrets, start),
      identifications(secrets),
      groups(configuration.limits, secrets),
      udp(configuration.limits, secrets),
      raw(configuration.limits),
      tcp_engine(configuration.limits, secrets, pool_of_buffers, *this, start) {
  bool wants_v6 = features::ipv6 && configuration.router_advertisements;
  for (auto const& one : configuration.addresses) {
    wants_v6 = wants_v6 || one.address.is_v6();
    host::address_table::entry entry;
    entry.address = one;
    // What cannot be an address is left out; who wants to know calls add_address.
    (void)addresses.add(entry, now);
  }
  for (auto const& one : configuration.routes) (void)routes.add(one);
  if (wants_v6) routers.start(now);
  on_deadline();
  told_addresses = true;
}

core::implementation::~implementation() {
  output.clear(pool);
  loopback.clear(pool);
}

core::core(core_configuration const& configuration, keyed_secrets const& secrets, buffer_pool& buffers, instant now)
    : self_(std::make_unique<implementation>(configuration, secrets, buffers, now)) {}
core::~core() = default;

// ---- the device --------------------------------------------------------------------------------------

void core::input(std::span<segment> frames, instant now) {
  self_->now = now;
  self_->input(frames);
}

std::size_t core::poll_transmit(std::span<segment> into, instant now) {
  self_->now = now;
  return self_->poll_transmit(into);
}

void core::set_device_mtu(std::uint32_t bytes) {
  self_->configuration.device.mtu_bytes = bytes;
  ++self_->generation;
}

instant core::next_deadline() const { return self_->next_deadline(); }

void core::on_deadline(instant now) {
  self_->now = now;
  self_->on_deadline();
}

instant core::implementation::next_deadline() const {
  auto const of_fragments = features::fragments ? fragments.next_deadline() : never;
  auto const of_routers = features::ipv6 ? routers.next_deadline() : never;
  return std::min({addresses.next_deadline(), of_routers, path_mtus.next_deadline(),
                   neighbors.next_deadline(), of_fragments, groups.next_deadline(),
                   tcp_engine.next_deadline()});
}

void core::implementation::on_deadline() {
  if (addresses.next_deadline() <= now) addresses.on_deadline(now);
  if (features::ipv6 && routers.next_deadline() <= now) {
    if (routers.on_deadline(now)) send_router_solicitation();
    ++generation;
  }
  if (path_mtus.next_deadline() <= now && path_mtus.on_deadline(now)) ++generation;
  if (neighbors.next_deadline() <= now) neighbors.on_deadline(now);
  if (groups.next_deadline() <= now) groups.on_deadline(now);
  if (features::fragments && fragments.next_deadline() <= now) forget_fragments();
  tcp_engine.on_deadline(now);
}

void core::implementation::forget_fragments() {
  while (auto const gone = fragments.poll_expired(now)) {
    // RFC 792: time exceeded, only with the first fragment at hand; RFC 4443 3.3 likewise.
    auto const& key = gone->key;
    if (!addresses.is_ours(key.destination)) continue;
    bool const is_v6 = key.source.is_v6();
    send_error(key.source, key.destination, std::span(gone->start).first(gone->start_bytes),
               is_v6 ? static_cast<std::uint8_t>(wire::icmp_v6_type::time_exceeded)
                     : static_cast<std::uint8_t>(wire::icmp_v4_type::time_exceeded),
               1, 0);
  }
}

// ---- users -------------------------------------------------------------------------------------------

tcp::engine& core::tcp() { return self_->tcp_engine; }

result<udp_port*> core::bind(endpoint const& local) {
  bool const possible =
      !local.address.is_left_out() &&
      (local.address.is_unspecified() || local.address.is_multicast() || self_->is_local(local.address));
  if (!possible) return failure(net_error::address_not_available);
  auto bound = self_->bind(local);
  if (!bound && bound.error().is(net_error::limit_reached)) ++self_->counters.sockets_refused;
  return bound;
}

result<raw_port*> core::open_raw(address_family family, std::uint8_t protocol) {
  if (family == address_family::v6 && !features::ipv6) return failure(net_error::address_not_available);
  return self_->open_raw(family, protocol);
}

result<void> core::ping(ip_address const& to, std::uint16_t identifier, std::uint16_t sequence,
                        std::size_t payload_bytes, instant now) {
  self_->now = now;
  return self_->ping(to, identifier, sequence, payload_bytes);
}

bool core::has_output() const {
  auto& self = *self_;
  return self.tcp_engine.has_output() || !self.output.empty() || !self.loopback.empty();
}

bool core::has_event() const {
  auto& self = *self_;
  return self.tcp_engine.has_event() || !self.told_addresses || self.udp.has_ready() || self.raw.may_be_ready() ||
         self.echo_count != 0;
}

std::optional<core::event> core::poll_event() {
  auto& self = *self_;
  if (self.told_addresses) [[likely]] {
    if (auto const one = self.tcp_engine.poll_event()) {
      return event{one->connection, one->listener, nullptr, nullptr, one->ready, std::nullopt, false};
    }
    if (!self.udp.has_ready() && !self.raw.may_be_ready() && self.echo_count == 0) [[likely]]
      return std::nullopt;
  }
  return self.poll_other_event();
}

/// Of all but TCP.
std::optional<core::event> core::implementation::poll_other_event() {
  std::optional<event> told;
  if (!told_addresses) [[unlikely]] {
    told_addresses = true;
    told.emplace().addresses_changed = true;
  } else if (auto* const port = udp.poll_ready()) {
    told.emplace().port = port;
  } else if (auto* const one = raw.poll_ready()) {
    told.emplace().raw = one;
  } else if (echo_count != 0) {
    told.emplace().echo_reply = echoes[echo_first];
    echo_first = (echo_first + 1) % echoes.size();
    --echo_count;
  }
  return told;
}

// ---- addresses and routes ----------------------------------------------------------------------------

std::vector<core::address_entry> core::addresses() const {
  std::vector<address_entry> all;
  all.reserve(self_->addresses.all().size());
  for (auto const& one : self_->addresses.all()) all.push_back({one.address, one.state});
  return all;
}

result<void> core::add_address(cidr const& address, instant now) {
  self_->now = now;
  host::address_table::entry entry;
  entry.address = address;
  auto added = self_->addresses.add(entry, now);
  if (!added && added.error().is(net_error::limit_reached)) ++self_->counters.addresses_refused;
  self_->addresses.on_deadline(now);
  return added;
}

void core::remove_address(ip_address const& address) { self_->addresses.remove(address); }

result<void> core::add_route(route const& one) {
  ++self_->generation;
  auto added = self_->routes.add(one);
  if (!added && added.error().is(net_error::limit_reached)) ++self_->counters.routes_refused;
  return added;
}

void core::remove_route(cidr const& destination) {
  ++self_->generation;
  self_->routes.remove(destination);
}

result<void> core::join_group(ip_address const& group, instant now) {
  self_->now = now;
  auto joined = self_->join_group(group);
  if (!joined && joined.error().is(net_error::limit_reached)) ++self_->counters.groups_refused;
  self_->groups.on_deadline(now);
  return joined;
}

void core::leave_group(ip_address const& group, instant now) {
  self_->now = now;
  self_->groups.leave(group, now);
}

std::optional<tcp::routing::path> core::path_to(ip_address const& destination, instant now) {
  self_->now = now;
  return self_->way_to(destination);
}

std::vector<ip_address> core::advertised_name_servers() const {
  return features::ipv6 ? self_->routers.name_servers() : std::vector<ip_address>();
}
bool core::managed_addresses() const { return self_->routers.is_managed(); }
bool core::other_configuration() const { return self_->routers.has_other_configuration(); }

void core::limit_mtu(std::optional<std::uint16_t> const& bytes) {
  constexpr std::uint16_t least = 576;   // RFC 791: what every host takes
  self_->mtu_limit = bytes ? std::max(*bytes, least) : std::uint32_t{UINT16_MAX};
  ++self_->generation;
}

core_counters const& core::counters() const { return self_->gather(); }

core_counters const& core::implementation::gather() {
  auto const& link = neighbors.counters();
  counters.neighbor_queue_dropped = link.queue_dropped;
  counters.neighbors_evicted = link.evicted;
  counters.neighbor_failures = link.failures;
  counters.neighbors_refused = link.refused;
  counters.solicitations_suppressed = link.solicitations_suppressed;
  auto const& parts = fragments.counters();
  counters.reassembled = parts.complete;
  counters.reassembly_overlaps = parts.overlapped;
  counters.reassembly_evicted = parts.evicted;
  counters.reassembly_timeouts = parts.timed_out;
  counters.reassembly_too_many = parts.too_many_fragments;
  counters.reassembly_failed =
      parts.overlapped + parts.evicted + parts.timed_out + parts.too_many_fragments + parts.too_long;
  counters.path_mtu_evicted = path_mtus.evicted();
  counters.address_conflicts = addresses.conflicts();
  return counters;
}

// ---- what the parts ask for --------------------------------------------------------------------------

void core::implementation::addresses_changed() {
  ++generation;
  told_addresses = false;
  if (features::ipv6) sync_solicited_groups();
}

void core::implementation::duplicated(ip_address const& address, host::address_origin origin, instant at) {
  if (address.is_v6()) routers.duplicated(address, origin, at);
}

void core::implementation::neighbor_failed(ip_address const& address) {
  if (address.is_v6()) routers.unreachable(address);
}

}  // namespace morgana::net
