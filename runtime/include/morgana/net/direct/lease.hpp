// Who keeps the addresses that DHCP gives a direct stack: asks for them when the stack connects, applies and renews them
// while it runs, gives them back when it disconnects. DHCPv4 when `ipv4=dhcp` says so, DHCPv6 when routers do (the flags M
// and O of their advertisements, RFC 4861 4.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "morgana/core/log.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/dhcp/v4_client.hpp"
#include "morgana/net/dhcp/v6_client.hpp"
#include "morgana/net/resolver.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

class direct_host;
class direct_datagrams;

class lease_keeper {
 public:
  /// The host outlives it. `mac` is the interface's.
  lease_keeper(direct_host& host, mac_address const& mac, siphash_key const& key, log_source const& log);
  lease_keeper(lease_keeper const&) = delete;
  lease_keeper& operator=(lease_keeper const&) = delete;

  enum class family : std::uint8_t { v4, v6 };
  /// Begins; runs until the keeper is destroyed or release() is called.
  void start(family which);
  /// Stops, and tells the servers that the addresses are free; nobody's answer is waited for.
  [[nodiscard]] task<> release();

  /// Those that DHCP told of.
  [[nodiscard]] address_list name_servers() const;
  [[nodiscard]] dhcp::v4_client const& v4() const { return v4_; }
  [[nodiscard]] dhcp::v6_client const& v6() const { return v6_; }

 private:
  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };
  task<> keep_v4();
  task<> keep_v6();
  task<> send_v4(direct_datagrams& socket);
  task<> send_v6(direct_datagrams& socket);
  void apply_v4();
  void apply_v6();
  void add_routes(dhcp::v4_lease const& lease);
  void remove_routes();
  [[nodiscard]] bool is_duplicated(ip_address const& address) const;

  direct_host* host_;
  log_source log_;
  dhcp::v4_client v4_;
  dhcp::v6_client v6_;
  dhcp::few<cidr, dhcp::v4_message::routes_max + 1> routes_;     ///< of the lease, as they were added
  address_list v6_name_servers_;
  std::array<std::byte, 1'500> v4_buffer_, v6_buffer_;
  nobody v4_ended_, v6_ended_;
  task<> v4_task_, v6_task_;
};

}  // namespace morgana::net
