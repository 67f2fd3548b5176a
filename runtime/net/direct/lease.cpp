#include "morgana/net/direct/lease.hpp"

#include <algorithm>

#include "morgana/core/deadline.hpp"
#include "morgana/net/direct/host.hpp"

namespace morgana::net {
namespace {

/// How long a message may wait for room; it is sent again anyway.
constexpr duration send_time = 1s;

task<result<received_datagram>> next_message(direct_datagrams& socket, std::span<std::byte> into, instant until) {
  co_return co_await socket.receive(into, until);
}

task<result<std::uint64_t>> next_change(direct_host& host, std::uint64_t since) {
  co_return co_await host.addresses_changed(since, never);
}

dhcp::v4_client_configuration v4_configuration(mac_address const& mac) {
  dhcp::v4_client_configuration made;
  made.hardware = mac;
  return made;
}

}  // namespace

lease_keeper::lease_keeper(direct_host& host, mac_address const& mac, siphash_key const& key, log_source const& log)
    : host_(&host),
      log_(log),
      v4_(v4_configuration(mac), dhcp_limits{}, key),
      v6_({.hardware = mac}, {key.high, key.low}) {}

void lease_keeper::start(family which) {
  if (which == family::v4) {
    v4_task_ = keep_v4();
    v4_task_.start(host_->context(), v4_ended_);
  } else if (features::ipv6) {
    v6_task_ = keep_v6();
    v6_task_.start(host_->context(), v6_ended_);
  }
}

address_list lease_keeper::name_servers() const {
  address_list made;
  if (auto const& lease = v4_.lease()) {
    for (auto const& one : lease->name_servers) (void)made.add(one);
  }
  for (auto const& one : v6_name_servers_) (void)made.add(one);
  return made;
}

bool lease_keeper::is_duplicated(ip_address const& address) const {
  return std::ranges::any_of(host_->addresses(), [&](auto const& one) {
    return one.address.address == address && one.state == core::address_state::duplicated;
  });
}

// ---- IPv4 --------------------------------------------------------------------------------------------

task<> lease_keeper::send_v4(direct_datagrams& socket) {
  std::array<std::byte, dhcp::v4_message::bytes_max> copy;
  while (auto const out = v4_.poll_transmit(host_->now())) {
    std::ranges::copy(out->message, copy.begin());
    (void)co_await socket.send(std::span(copy).first(out->message.size()), out->to, after(host_->now(), send_time));
  }
}

void lease_keeper::remove_routes() {
  for (auto const& one : routes_) host_->core().remove_route(one);
  routes_.clear();
}

void lease_keeper::add_routes(dhcp::v4_lease const& lease) {
  auto const add = [&](cidr const& destination, std::optional<ip_address> gateway) {
    if (auto added = host_->core().add_route({destination, gateway}); !added) {
      log_.warning("route to {}: {}", destination, added.error());
    } else {
      (void)routes_.add(destination);
    }
  };
  if (!lease.routers.empty()) add({ip_address(ipv4_address{}), 0}, lease.routers[0]);
  for (auto const& one : lease.routes) {
    bool const on_link = one.gateway == ipv4_address{};
    add({ip_address(one.destination), one.prefix_bits}, on_link ? std::nullopt : std::optional<ip_address>(one.gateway));
  }
}

void lease_keeper::apply_v4() {
  using kind = dhcp::v4_client::event::kind;
  while (auto const told = v4_.poll_event()) {
    auto const& lease = told->lease;
    remove_routes();
    if (told->what == kind::lost) {
      host_->core().remove_address(lease.address.address);
      host_->core().limit_mtu(std::nullopt);
      log_.warning("{}: the lease is over", lease.address.address);
    } else {
      if (told->what == kind::bound) {
        if (auto added = host_->core().add_address(lease.address, host_->now()); !added) {
          log_.error("{}: {}", lease.address, added.error());
        }
        if (lease.expires == never) {
          log_.info("{} by DHCP from {}", lease.address, lease.server);
        } else {
          auto const length = std::chrono::duration_cast<std::chrono::seconds>(lease.expires - lease.obtained).count();
          log_.info("{} by DHCP from {} for {} s", lease.address, lease.server, length);
        }
      }
      add_routes(lease);
      host_->core().limit_mtu(lease.mtu_bytes);
    }
    host_->touch();
  }
}

task<> lease_keeper::keep_v4() {
  auto socket = host_->bind({ip_address(ipv4_address{}), dhcp::v4_client_port});
  if (!socket) {
    log_.error("DHCP: port {}: {}", dhcp::v4_client_port, socket.error());
    co_return;
  }
  v4_.start(host_->now());
  for (;;) {
    co_await send_v4(*socket);
    auto const generation = host_->address_generation();
    apply_v4();
    if (host_->is_lost()) co_return;
    auto const first = co_await race(next_message(*socket, v4_buffer_, v4_.next_deadline()),
                                     next_change(*host_, generation));
    if (first.index() == 0) {
      auto const& got = std::get<0>(first);
      if (got) {
        v4_.input(std::span(v4_buffer_).first(got->size), host_->now());
      } else if (got.error().is(net_error::unreachable)) {
        // A router's word about a message of ours is no reason to stop; a device that is gone is.
        if (host_->is_lost()) co_return;
      }
    } else if (v4_.lease() && is_duplicated(v4_.lease()->address.address)) {
      v4_.conflict(host_->now());
    }
    v4_.on_deadline(host_->now());
  }
}

// ---- IPv6 --------------------------------------------------------------------------------------------

task<> lease_keeper::send_v6(direct_datagrams& socket) {
  std::array<std::byte, dhcp::v6_message::bytes_max> copy;
  while (auto const out = v6_.poll_transmit(host_->now())) {
    std::ranges::copy(*out, copy.begin());
    (void)co_await socket.send(std::span(copy).first(out->size()),
                               {ip_address(dhcp::v6_all_servers), dhcp::v6_server_port}, after(host_->now(), send_time));
  }
}

void lease_keeper::apply_v6() {
  using kind = dhcp::v6_client::event::kind;
  while (auto const told = v6_.poll_event()) {
    auto const& lease = told->lease;
    // RFC 8415 18.2.10.1: the prefix of the link is the routers' to tell.
    cidr const address{ip_address(lease.address), 128};
    v6_name_servers_ = {};
    if (told->what == kind::lost) {
      host_->core().remove_address(address.address);
      log_.warning("{}: the lease is over", address.address);
    } else {
      for (auto const& one : lease.name_servers) (void)v6_name_servers_.add(one);
    }
    if (told->what == kind::bound) {
      if (auto added = host_->core().add_address(address, host_->now()); !added) {
        log_.error("{}: {}", address, added.error());
      }
      log_.info("{} by DHCPv6", address.address);
    }
    host_->touch();
  }
}

task<> lease_keeper::keep_v6() {
  auto generation = host_->address_generation();
  while (!host_->core().managed_addresses() && !host_->core().other_configuration()) {
    auto const changed = co_await host_->addresses_changed(generation, never);
    if (!changed) co_return;
    generation = *changed;
  }
  auto socket = host_->bind({ip_address(ipv6_address{}), dhcp::v6_client_port});
  if (!socket) {
    log_.error("DHCPv6: port {}: {}", dhcp::v6_client_port, socket.error());
    co_return;
  }
  bool is_stateful = host_->core().managed_addresses();
  v6_.start(is_stateful ? dhcp::v6_client::mode::stateful : dhcp::v6_client::mode::stateless, host_->now());
  for (;;) {
    co_await send_v6(*socket);
    generation = host_->address_generation();
    apply_v6();
    if (host_->is_lost()) co_return;
    auto const first = co_await race(next_message(*socket, v6_buffer_, v6_.next_deadline()),
                                     next_change(*host_, generation));
    if (first.index() == 0) {
      auto const& got = std::get<0>(first);
      if (got) v6_.input(std::span(v6_buffer_).first(got->size), host_->now());
    } else if (v6_.lease() && is_duplicated(ip_address(v6_.lease()->address))) {
      v6_.conflict(host_->now());
    } else if (!is_stateful && host_->core().managed_addresses()) {
      is_stateful = true;
      v6_.start(dhcp::v6_client::mode::stateful, host_->now());
    }
    v6_.on_deadline(host_->now());
  }
}

// ---- the end -----------------------------------------------------------------------------------------

task<> lease_keeper::release() {
  v4_task_ = {};
  v6_task_ = {};
  if (host_->is_lost()) co_return;
  // The address stays until the message is gone, for it goes from there.
  if (v4_.lease()) {
    v4_.release(host_->now());
    if (auto socket = host_->bind({ip_address(ipv4_address{}), dhcp::v4_client_port})) co_await send_v4(*socket);
  }
  if (features::ipv6 && v6_.lease()) {
    v6_.release(host_->now());
    if (auto socket = host_->bind({ip_address(ipv6_address{}), dhcp::v6_client_port})) co_await send_v6(*socket);
  }
}

}  // namespace morgana::net
