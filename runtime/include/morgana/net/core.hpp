// A whole TCP/IP host without I/O: frames in, frames out, deadlines, events. The same object serves the Xen
// guest, the Unix process, the simulator, the fuzzers, packetdrill and Python.
//
//   host.input(frames, now);                     // what the device received
//   while (auto n = host.poll_transmit(out, now)) device.transmit(out.first(n));
//   while (auto event = host.poll_event()) wake(*event);
//   wait until host.next_deadline(), then host.on_deadline(now)
//
// Every call may leave frames to send and events to fetch: drain both afterwards. TCP segments are built in the
// caller's segments by poll_transmit; only small things (ARP, ICMP, UDP, fragments) wait in a bounded queue.
//
// It reads no clock, keeps no global state, and two hosts in one process know nothing of each other. The order
// of everything it does depends on its inputs alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"
#include "morgana/net/segment.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/net/tcp/engine.hpp"

namespace morgana::net {

struct route {
  cidr destination;
  std::optional<ip_address> gateway;            ///< none: on the link
};

struct core_configuration {
  device_capabilities device;
  std::vector<cidr> addresses;                  ///< each with its on-link prefix
  std::vector<route> routes;                    ///< longest prefix first wins; 0.0.0.0/0 and ::/0 are defaults
  bool router_advertisements = true;            ///< SLAAC (RFC 4862), with stable addresses (RFC 7217)
  bool temporary_addresses = false;             ///< RFC 8981
  bool detect_conflicts = true;                 ///< ARP probes (RFC 5227), DAD (RFC 4862 5.4)
  /// An address is used while it is still being asked for (RFC 4429; the same for IPv4, beyond RFC 5227), so that a
  /// guest answers at once instead of after five seconds. A conflict takes it away either way.
  bool optimistic = true;
  std::optional<std::uint16_t> vlan;
  std::uint8_t hop_limit = 0;                   ///< of TCP and UDP to one host; 0: 64, or what routers advertise
  network_limits limits;
};

struct core_counters {
  std::uint64_t frames_in = 0, frames_out = 0, frames_dropped = 0, not_for_us = 0, malformed = 0, wrong_checksums = 0;
  std::uint64_t fragments_in = 0, reassembled = 0, reassembly_failed = 0, fragments_out = 0;
  std::uint64_t icmp_errors_sent = 0, icmp_errors_suppressed = 0, icmp_errors_received = 0, echo_replies = 0;
  std::uint64_t neighbor_queue_dropped = 0, neighbors_evicted = 0, neighbor_failures = 0, no_route = 0;
  std::uint64_t datagrams_in = 0, datagrams_out = 0, datagrams_dropped = 0, port_unreachable = 0;
  std::uint64_t address_conflicts = 0, no_buffers = 0;
  std::uint64_t reassembly_overlaps = 0, reassembly_evicted = 0, reassembly_timeouts = 0, reassembly_too_many = 0;
  std::uint64_t neighbors_refused = 0, solicitations_suppressed = 0, path_mtu_reduced = 0, path_mtu_evicted = 0;
  std::uint64_t transmit_queue_full = 0, redirects_ignored = 0, looped = 0;
  std::uint64_t addresses_refused = 0, routes_refused = 0, groups_refused = 0, sockets_refused = 0;  ///< limit_reached
  std::uint64_t raw_out = 0, raw_dropped = 0, raw_refused = 0;
};

/// A bound UDP port.
class udp_port {
 public:
  udp_port(udp_port const&) = delete;
  udp_port& operator=(udp_port const&) = delete;
  [[nodiscard]] virtual endpoint local() const = 0;
  /// Errors: unreachable, message_too_long, limit_reached (no buffer), refused (an ICMP error that arrived).
  [[nodiscard]] virtual result<void> send(std::span<std::byte const> bytes, endpoint const& to, instant now) = 0;
  /// The oldest datagram that arrived, or nothing; errors as ICMP reported them.
  [[nodiscard]] virtual result<std::optional<received_datagram>> receive(std::span<std::byte> into) = 0;
  virtual void release() = 0;
  void* user = nullptr;

 protected:
  udp_port() = default;
  ~udp_port() = default;
};

struct received_packet {
  std::size_t size = 0;             ///< bytes stored
  ip_address from;
  bool was_cut = false;             ///< it was larger than the buffer
};

/// A bound IP protocol: sees every whole packet of it that is for this host, ICMP, UDP and TCP included, beside those
/// who handle it. A protocol that only raw sockets know is not answered with "protocol unreachable".
class raw_port {
 public:
  raw_port(raw_port const&) = delete;
  raw_port& operator=(raw_port const&) = delete;
  [[nodiscard]] virtual std::uint8_t protocol() const = 0;
  /// Sends `payload` behind an IP header of ours, in fragments when it is long. ICMPv6's checksum is filled in (RFC 3542
  /// 3.1). Errors: unreachable, message_too_long, limit_reached (no buffer).
  [[nodiscard]] virtual result<void> send(std::span<std::byte const> payload, ip_address const& to, instant now) = 0;
  /// Sends a packet with its IP header, of any protocol; only an IPv4 header's checksum is filled in. Errors:
  /// invalid_address (no whole IP packet), not_permitted (the source is not ours), unreachable, message_too_long (for the
  /// path; it is not cut), limit_reached.
  [[nodiscard]] virtual result<void> send_packet(std::span<std::byte const> packet, instant now) = 0;
  /// The oldest packet that arrived, from its IP header on; or nothing.
  [[nodiscard]] virtual std::optional<received_packet> receive(std::span<std::byte> into) = 0;
  virtual void release() = 0;
  void* user = nullptr;

 protected:
  raw_port() = default;
  ~raw_port() = default;
};

class core {
 public:
  core(core_configuration const& configuration, keyed_secrets const& secrets, buffer_pool& buffers, instant now);
  ~core();
  core(core const&) = delete;
  core& operator=(core const&) = delete;

  // ---- the device --------------------------------------------------------------------------------------
  /// Whole Ethernet frames; each is moved from.
  void input(std::span<segment> frames, instant now);
  /// Fills as many of `into` as there are frames to send and says how many.
  [[nodiscard]] std::size_t poll_transmit(std::span<segment> into, instant now);
  [[nodiscard]] instant next_deadline() const;
  void on_deadline(instant now);

  /// The device carries other packets from now on; connections follow when they look at their path again.
  void set_device_mtu(std::uint32_t bytes);

  // ---- users -------------------------------------------------------------------------------------------
  [[nodiscard]] tcp::engine& tcp();
  /// Port 0 takes a free one (RFC 6056). Errors: address_in_use, address_not_available, limit_reached.
  [[nodiscard]] result<udp_port*> bind(endpoint const& local);
  /// Several may have the same protocol. Error: limit_reached.
  [[nodiscard]] result<raw_port*> open_raw(address_family family, std::uint8_t protocol);
  /// Sends one echo request; the reply comes as an event with the same identifier and sequence.
  [[nodiscard]] result<void> ping(ip_address const& to, std::uint16_t identifier, std::uint16_t sequence,
                                  std::size_t payload_bytes, instant now);

  struct event {
    tcp::connection* connection = nullptr;
    tcp::listener* listener = nullptr;
    udp_port* port = nullptr;                   ///< a datagram or an error arrived
    raw_port* raw = nullptr;                    ///< a packet arrived
    std::uint8_t ready = 0;                     ///< tcp::readiness
    struct echo { ip_address from; std::uint16_t identifier, sequence; };
    std::optional<echo> echo_reply;
    /// One was added, or lost to a conflict; or routers say something else of DHCPv6 or name servers.
    bool addresses_changed = false;
  };
  /// Whether poll_transmit() may have something: cheaper, for who asks after each call.
  [[nodiscard]] bool has_output() const;
  /// Whether poll_event() may have one: cheaper, for who asks after each call.
  [[nodiscard]] bool has_event() const;
  [[nodiscard]] std::optional<event> poll_event();

  // ---- addresses and routes ----------------------------------------------------------------------------
  enum class address_state : std::uint8_t { tentative, preferred, deprecated, duplicated };
  struct address_entry {
    cidr address;
    address_state state;
  };
  [[nodiscard]] std::vector<address_entry> addresses() const;
  [[nodiscard]] result<void> add_address(cidr const& address, instant now);
  void remove_address(ip_address const& address);
  [[nodiscard]] result<void> add_route(route const& one);
  void remove_route(cidr const& destination);
  [[nodiscard]] result<void> join_group(ip_address const& group, instant now);
  void leave_group(ip_address const& group, instant now);

  [[nodiscard]] core_counters const& counters() const;
  /// Where the next packet to there would leave from and how large it may be; nothing without a route.
  [[nodiscard]] std::optional<tcp::routing::path> path_to(ip_address const& destination, instant now);
  /// What routers advertised: recursive name servers (RFC 8106), and whether addresses are to be had by DHCPv6.
  [[nodiscard]] std::vector<ip_address> advertised_name_servers() const;
  [[nodiscard]] bool managed_addresses() const;
  /// Whether other things, name servers for one, are to be had by DHCPv6.
  [[nodiscard]] bool other_configuration() const;
  /// Packets no larger than that (576 at least), though the device may carry larger ones: DHCP's interface MTU. Nothing:
  /// the device's.
  void limit_mtu(std::optional<std::uint16_t> const& bytes);

 private:
  struct implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace morgana::net
