// Gives IPv4 addresses to the hosts of one Ethernet.
#pragma once

#include "morgana/app.hpp"
#include "morgana/net/dhcp/service.hpp"

struct options {
  /// The network's address and prefix, such as 10.0.0.1/24: the server's own.
  morgana::net::cidr subnet = *morgana::net::cidr::parse("10.0.0.1/24");
  /// First address to give.
  morgana::net::ipv4_address first = *morgana::net::ipv4_address::parse("10.0.0.100");
  /// Last address to give.
  morgana::net::ipv4_address last = *morgana::net::ipv4_address::parse("10.0.0.199");
  /// Name server to tell of, and router: 0.0.0.0 for none.
  morgana::net::ipv4_address name_server{};
  /// Default router to tell of; 0.0.0.0 for none.
  morgana::net::ipv4_address router{};
  /// How long a lease is, in seconds.
  std::uint32_t lease_seconds = 3600;
};

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  namespace net = morgana::net;
  morgana::log_source const log((co_await morgana::this_context()).log(), "dhcp");
  net::ip_address const own = opt.subnet.address;
  if (!own.is_v4()) co_return morgana::failure(net::net_error::invalid_address);
  net::dhcp::v4_server_configuration serving;
  serving.address = own.v4();
  serving.subnet = opt.subnet;
  serving.first = opt.first;
  serving.last = opt.last;
  serving.lease_length = std::chrono::seconds(opt.lease_seconds);
  if (opt.router != net::ipv4_address{}) serving.routers = {opt.router};
  if (opt.name_server != net::ipv4_address{}) serving.name_servers = {opt.name_server};
  serving.probe_addresses = true;
  net::dhcp_limits const limits;
  if (auto good = serving.check(limits); !good) co_return morgana::failure(std::move(good.error()).during("the pool"));
  log.info("addresses {} to {}", serving.first, serving.last);
  net::dhcp::v4_server server(serving, limits, net::dhcp::boot_key());
  co_return co_await net::serve_dhcp(network, server);
}
