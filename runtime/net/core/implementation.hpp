// One host, put together: the parts each know one subject, this knows how packets pass between them.
//
//   input.cpp       frames in: Ethernet, ARP, IPv4            output.cpp   IP out, fragments, link addresses
//   ipv6_input.cpp  IPv6 and its extension headers            datagrams.cpp UDP in and out
//   icmp_input.cpp  echo, errors received                     icmp_output.cpp errors and echo sent
//   raw.cpp         any protocol, for raw sockets
//   discovery.cpp   neighbour discovery, router advertisements membership.cpp IGMP and MLD
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "../icmp/error_limiter.hpp"
#include "../ip/address_table.hpp"
#include "../ip/group_membership.hpp"
#include "../ip/identification.hpp"
#include "../ip/path_mtu.hpp"
#include "../ip/reassembly.hpp"
#include "../ip/router_discovery.hpp"
#include "../ip/routing_table.hpp"
#include "../link/neighbor_cache.hpp"
#include "../raw/raw_table.hpp"
#include "../udp/udp_table.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"
#include "packet_queue.hpp"

namespace morgana::net::host {

/// Where packets for one destination go. Cached; void when `generation` is not the host's.
struct hop {
  enum class kind : std::uint8_t { none, unicast, multicast, broadcast, local };

  ip_address destination;
  ip_address source;
  ip_address next;                       ///< whose link address is needed
  mac_address link;
  std::uint32_t mtu_bytes = 0;
  hop::kind kind = kind::none;
  std::uint64_t generation = 0;          ///< 0: never filled
  std::uint64_t flow_seed = 0;           ///< of IPv6 flow labels
  instant good_until = instant::min();   ///< of `link` and of `start`; in the past: not known
  /// How frames to there begin: Ethernet and IPv4 headers, but for length, traffic class, protocol and checksum.
  std::array<std::byte, wire::ethernet_header::size_bytes + wire::ipv4_header::size_bytes> start;
  std::uint64_t start_sum = 0;           ///< of its IPv4 header's words
  bool has_start = false;
  std::uint64_t way = 0;                 ///< tells this filling of this entry from all others; its index is in it
};

/// What goes into an IP header that we write.
struct ip_output {
  ip_address source, destination;
  wire::protocol protocol;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;
  bool router_alert = false;             ///< RFC 2113, RFC 2711
};

/// An IP packet that is for us; `packet` begins at its IP header.
struct received_packet {
  segment& packet;
  ip_address source, destination;
  wire::protocol protocol;
  std::size_t header_bytes;              ///< all of IP's, extension headers included
  std::uint8_t traffic_class;
  std::uint8_t hop_limit;
  bool to_group;                         ///< multicast or broadcast, by IP or by Ethernet
  bool looped;
  bool fragmented = false;               ///< it had an IPv6 fragment header, even of a whole datagram
};

/// The first bytes of a packet in one piece: at least min(wanted, all), in place where they lie so.
[[nodiscard]] std::span<std::byte const> leading_copied(segment const& packet, std::size_t wanted,
                                                        std::span<std::byte> scratch);
[[nodiscard]] inline std::span<std::byte const> leading(segment const& packet, std::size_t wanted,
                                                        std::span<std::byte> scratch) {
  auto const front = packet.front_piece();
  return front.size() >= wanted ? front : leading_copied(packet, wanted, scratch);
}
/// Adds the bytes from `offset` on.
void add_to_checksum(wire::checksum& sum, segment const& packet, std::size_t offset);
/// ff02::1:ffXX:XXXX (RFC 4291 2.7.1).
[[nodiscard]] ip_address solicited_node(ip_address const& address);

}  // namespace morgana::net::host

namespace morgana::net {

struct core::implementation final : tcp::routing,
                                    host::neighbor_events,
                                    host::address_events {
  implementation(core_configuration const& configuration, keyed_secrets const& secrets, buffer_pool& buffers,
                 instant now);
  ~implementation();

  core_configuration configuration;
  buffer_pool& buffers;
  core_counters counters;
  instant now;                                       ///< of the call being served
  siphash_key flow_key;
  std::uint64_t generation = 1;
  static constexpr unsigned hop_bits = 5;
  std::array<host::hop, 1u << hop_bits> hops;
  std::uint64_t ways = 0;                            ///< how often one of them was filled
  host::packet_pool pool;                            ///< of all below that queues
  host::packet_queue output;                         ///< whole frames
  host::packet_queue loopback;                       ///< IP packets from us to us
  host::address_table addresses;
  host::routing_table routes;
  host::router_discovery routers;
  host::path_mtu_cache path_mtus;
  host::neighbor_cache neighbors;
  host::reassembly fragments;
  host::icmp_error_limiter error_limiter;
  host::identification_source identifications;
  host::group_membership groups;
  host::udp_table udp;
  host::raw_table raw;
  // Who sends for sockets and reports groups, made with the first of them: in an image whose application opens none nothing
  // leads to how that is done, and it is not there.
  struct datagram_output;
  struct raw_output;
  struct group_reports;
  std::unique_ptr<host::udp_sender> datagram_sender;
  std::unique_ptr<host::raw_sender> raw_sender;
  std::unique_ptr<host::membership_events> group_reporter;
  tcp::engine tcp_engine;
  std::vector<ip_address> solicited_groups;          ///< joined for our addresses
  std::array<event::echo, 32> echoes{};              ///< ring of replies to be told
  std::uint32_t echo_first = 0, echo_count = 0;
  bool told_addresses = true;
  std::uint32_t mtu_limit = UINT16_MAX;              ///< limit_mtu()
  /// The last pair of unicast addresses that was found good: packets come in runs.
  struct accepted_pair {
    tcp::addressing between;
    std::uint64_t generation = 0;
    std::uint64_t v4_pair = 0;           ///< as it lies in a packet; 0: none to expect
    std::uint64_t pair_sum = 0;          ///< of the words of both
    std::uint64_t link = UINT64_MAX;     ///< the first bytes of a frame to us from one station
    [[nodiscard]] bool is(ip_address const& source, ip_address const& destination) const {
      return between.source == source && between.destination == destination;
    }
  };
  accepted_pair accepted;
  tcp::addressing leaving;                           ///< of what TCP is sending
  void accept(ip_address const& source, ip_address const& destination);

  // ---- tcp::routing
  [[nodiscard]] std::optional<path> find(ip_address const& destination) override;
  [[nodiscard]] std::uint64_t version() const override { return generation; }
  [[nodiscard]] bool is_local(ip_address const& address) const override;
  void confirm(ip_address const& destination, instant at) override;
  void suspect(ip_address const& destination, instant at) override;
  void limit_mtu(ip_address const& destination, std::uint32_t mtu_bytes, instant at) override;
  /// The same for any destination, groups and broadcast too.
  [[nodiscard]] std::optional<path> way_to(ip_address const& destination);
  [[nodiscard]] std::optional<path> way_of(host::hop const& one) const;

  // ---- in (input.cpp, ipv6_input.cpp)
  void input(std::span<segment> frames);
  void input_one(segment& frame);
  [[nodiscard]] bool is_expected(segment const& frame, std::byte const* front, std::uint32_t kind) const;
  void unexpected_input(segment& frame);
  /// An IPv4 packet behind the Ethernet header, its addresses those of `accepted`, of UDP.
  void expected_datagram(segment& frame);
  void arp_input(std::span<std::byte const> bytes);
  void ipv4_input(segment& packet, bool link_group, bool looped);
  void ipv6_input(segment& packet, bool link_group, bool looped);
  void deliver(host::received_packet const& in);
  [[nodiscard]] bool accepts_group(ip_address const& group) const;
  void drain_loopback();

  // ---- ICMP (icmp_input.cpp, icmp_output.cpp)
  void icmp_v4_input(host::received_packet const& in);
  void icmp_v6_input(host::received_packet const& in);
  [[nodiscard]] bool icmp_checksum_is_right(host::received_packet const& in);
  void echo_input(host::received_packet const& in, wire::icmp_header const& header, bool is_request);
  void error_input(host::received_packet const& in, wire::icmp_header const& header);
  /// Tells TCP or UDP about a packet of ours.
  void deliver_error(wire::quoted_packet const& about, tcp::engine::soft_error what, std::uint32_t mtu_bytes);
  void send_error(host::received_packet const& about, std::uint8_t type, std::uint8_t code, std::uint32_t rest);
  void send_error(ip_address const& to, ip_address const& from, std::span<std::byte const> quote, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest);
  [[nodiscard]] bool may_answer_with_error(host::received_packet const& about, std::uint8_t type, std::uint8_t code);
  [[nodiscard]] result<void> ping(ip_address const& to, std::uint16_t identifier, std::uint16_t sequence,
                                  std::size_t payload_bytes);
  void send_icmp(host::queued_packet* message, ip_address const& source, ip_address const& destination,
                 std::uint8_t hop_limit = 64, bool router_alert = false);

  // ---- neighbour discovery (discovery.cpp)
  /// Whether it was one of its messages.
  bool discovery_input(host::received_packet const& in, std::uint8_t type, std::uint8_t code);
  void neighbor_solicited(host::received_packet const& in, std::span<std::byte const> message);
  void neighbor_advertised(host::received_packet const& in, std::span<std::byte const> message);
  void router_advertised(host::received_packet const& in, std::span<std::byte const> message);
  void send_neighbor_advertisement(ip_address const& target, ip_address const& to, bool solicited);
  void send_neighbor_solicitation(ip_address const& target, ip_address const& source,
                                  std::optional<mac_address> const& unicast);
  void send_router_solicitation();
  /// Sends a message that lies in the header room: checksum, IPv6 and Ethernet are put before it.
  void send_discovery(host::queued_packet* node, ip_address const& source, ip_address const& destination,
                      mac_address const& link);
  void send_arp(bool is_reply, ip_address const& sender, ip_address const& target, mac_address const& target_mac,
                mac_address const& to);

  // ---- groups (membership.cpp)
  void igmp_input(host::received_packet const& in);
  void listener_query_input(host::received_packet const& in);
  [[nodiscard]] result<void> join_group(ip_address const& group);
  void report(ip_address const& group, host::membership_events::change what, std::uint8_t version);
  void sync_solicited_groups();

  // ---- UDP (datagrams.cpp)
  void udp_input(host::received_packet const& in);
  [[nodiscard]] result<udp_port*> bind(endpoint const& local);
  [[nodiscard]] result<void> send_datagram(endpoint const& from, std::span<std::byte const> bytes, endpoint const& to,
                                           instant at);
  /// A small one by the way that the last one went; false, and nothing done, for all others.
  [[nodiscard]] bool send_expected_datagram(endpoint const& from, std::span<std::byte const> bytes, endpoint const& to);
  [[nodiscard]] result<void> send_large_datagram(host::ip_output const& out, host::hop const& to,
                                                 std::span<std::byte const> head, std::span<std::byte const> bytes);

  // ---- raw sockets (raw.cpp)
  [[nodiscard]] result<raw_port*> open_raw(address_family family, std::uint8_t protocol);
  /// Whether somebody has the protocol.
  bool raw_input(host::received_packet const& in);
  [[nodiscard]] result<void> send_raw(std::uint8_t protocol, std::span<std::byte const> payload, ip_address const& to,
                                      instant at);
  [[nodiscard]] result<void> send_packet(std::span<std::byte const> packet, instant at);

  // ---- out (output.cpp)
  [[nodiscard]] host::hop& path_for(ip_address const& destination) {
    auto& one = hops[destination.sum() * 0x9e37'79b9'7f4a'7c15ull >> (64 - hop_bits)];
    if (one.generation != generation || one.destination != destination) fill(one, destination);
    return one;
  }
  void fill(host::hop& one, ip_address const& destination);
  /// Whether the link address is known; fills it in.
  [[nodiscard]] bool is_resolved(host::hop& one) { return now < one.good_until || resolve(one); }
  [[nodiscard]] bool resolve(host::hop& one);
  /// Puts hop::start in front. Only with has_start and while it is resolved.
  static void push_start(segment& packet, host::hop const& to, wire::protocol protocol, std::uint8_t traffic_class);
  void push_ip(segment& packet, host::ip_output const& out, host::hop const& to, std::uint32_t identification,
               bool may_fragment);
  void push_ethernet(segment& packet, mac_address const& to);
  /// Sends what begins at the upper header; fragments it when it must. The node is consumed. Whether there was
  /// a way.
  bool send(host::ip_output const& out, host::queued_packet* node);
  void send_fragments(host::ip_output const& out, host::hop const& to, segment const& whole);
  /// One of them; `part` holds its payload and is consumed.
  void send_fragment(host::ip_output const& out, host::hop const& to, host::queued_packet* part, std::size_t offset,
                     bool more, std::uint32_t identification);
  /// Payload of each fragment but the last.
  [[nodiscard]] static std::size_t fragment_bytes(host::hop const& to);
  /// Sends what begins at the IP header. The node is consumed.
  void send_on_link(host::queued_packet* node, host::hop& to);
  /// Copies into buffers of the pool, behind what is there.
  [[nodiscard]] bool append_copy(segment& to, segment const& from, std::size_t offset, std::size_t bytes);
  [[nodiscard]] bool append_copy(segment& to, std::span<std::byte const> bytes);
  [[nodiscard]] host::queued_packet* take_packet();
  [[nodiscard]] std::uint32_t link_mtu(bool is_v6) const;
  /// What is configured, else what a router said, else 64 (RFC 1122 3.2.1.7, RFC 4861 6.3.2).
  [[nodiscard]] std::uint8_t default_hop_limit(bool is_v6) const {
    if (configuration.hop_limit != 0) return configuration.hop_limit;
    return is_v6 ? routers.hop_limit() : std::uint8_t{64};
  }
  [[nodiscard]] std::size_t poll_transmit(std::span<segment> into);
  [[nodiscard]] std::size_t poll_transmit_all(std::span<segment> into);
  [[nodiscard]] std::size_t finish_with_following(std::span<segment> into, std::size_t at);
  /// Finishes a segment of TCP's: whether it is a frame to send now; else it was moved from.
  [[nodiscard]] bool finish_tcp(segment& packet, tcp::addressing const& between);
  [[nodiscard]] bool finish_tcp_slowly(segment& packet, tcp::addressing const& between);

  // ---- events of the parts
  void solicit(ip_address const& target, std::optional<mac_address> const& unicast, instant at) override;
  void resolved(host::queued_packet* packet, mac_address const& to) override;
  void unresolved(host::queued_packet* packet, instant at) override;
  void neighbor_changed() override { ++generation; }
  void neighbor_failed(ip_address const& address) override;
  void probe(ip_address const& address, instant at) override;
  void announce(ip_address const& address, instant at) override;
  void addresses_changed() override;
  void duplicated(ip_address const& address, host::address_origin origin, instant at) override;

  [[nodiscard]] instant next_deadline() const;
  void on_deadline();
  void forget_fragments();
  [[nodiscard]] std::optional<event> poll_other_event();
  [[nodiscard]] core_counters const& gather();
};

}  // namespace morgana::net
