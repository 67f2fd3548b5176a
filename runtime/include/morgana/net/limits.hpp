// Every limit of the network stack in one place, with what happens at it. All are values of one struct, so
// that a test or a small guest can choose others. tests/proofs/limits.toml names the counter that shows each at
// work and the test that reaches it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "morgana/core/time.hpp"

namespace morgana::net {

struct network_limits {
  // TCP
  std::uint32_t connections = 65'536;             ///< established or closing; at it, SYNs are dropped and connect() refused
  std::uint32_t syn_received = 1'024;             ///< half-open entries; beyond them SYN cookies (RFC 4987)
  std::uint32_t time_wait = 65'536;               ///< the oldest goes (RFC 9293 3.6.1 allows early reuse, RFC 6191)
  std::uint32_t receive_buffer_bytes = 8u << 20;  ///< per connection; the window closes
  std::uint32_t send_buffer_bytes = 16u << 20;    ///< per connection; the writer waits
  /// Of all connections: what arrived and was not read, each piece counted as a page. From half of it on windows stop
  /// growing and promise no more than a share of what is left; at it, two segments of each are kept.
  std::uint32_t unread_bytes = 64u << 20;
  std::uint32_t out_of_order_ranges = 64;         ///< per connection; a new far range is dropped
  std::uint32_t sack_ranges = 128;                ///< the sender's scoreboard; further blocks are not recorded
  std::uint32_t fast_open_peers = 256;            ///< whose cookie a client keeps (RFC 7413 4.1.3); the one used longest ago goes
  std::uint16_t mss_bytes_min = 88;               ///< a peer's smaller MSS counts as this
  std::uint32_t challenge_acks_per_s = 100;       ///< of the whole stack, randomised (RFC 5961 7)
  duration challenge_ack_interval = 500ms;        ///< per connection
  std::uint32_t syn_retries = 7;                  ///< four minutes (RFC 9293 MUST-23: three at least)
  std::uint32_t retransmissions = 15;             ///< then the connection ends in timed_out
  duration time_wait_length = 60s;                ///< twice the maximum segment lifetime
  duration zero_window_probe = 120s;              ///< longest wait between probes
  duration abandoned_stall = 120s;                ///< without a user and without progress for so long: reset

  // IP
  std::uint32_t reassembly_bytes = 256 * 1024;    ///< of all datagrams; the oldest goes
  std::uint32_t reassembly_datagrams = 64;
  std::uint32_t reassembly_fragments = 64;        ///< per datagram; beyond, it is dropped whole
  duration reassembly_timeout = 30s;
  std::uint32_t path_mtu_entries = 256;
  duration path_mtu_lifetime = 10min;
  std::uint16_t path_mtu_v4_min = 552;
  std::uint32_t icmp_errors_per_s = 1'000;        ///< sent; silently dropped beyond
  std::uint32_t icmp_errors_per_host_per_s = 100;

  std::uint32_t transmit_queue_packets = 512;     ///< ARP, ICMP, UDP, fragments, and what waits for a neighbour; not TCP

  // Link
  std::uint32_t neighbors = 1'024;                ///< the least recently used goes
  std::uint32_t neighbors_incomplete = 64;
  std::uint32_t neighbor_queue_packets = 3;       ///< waiting for one address; the oldest goes
  std::uint32_t routes = 64;
  std::uint32_t addresses = 16;
  std::uint32_t multicast_groups = 64;

  // UDP
  std::uint32_t datagram_sockets = 1'024;
  std::uint32_t datagram_queue_bytes = 256 * 1024;  ///< per socket; arriving ones are dropped and counted

  // Raw sockets
  std::uint32_t raw_sockets = 16;
  std::uint32_t raw_queue_bytes = 256 * 1024;     ///< per socket; arriving ones are dropped and counted
};

struct resolver_limits {
  std::uint32_t cached_answers = 256;             ///< the least recently used goes
  duration cache_lifetime_min = 1s;               ///< a shorter TTL but 0 counts as this
  duration cache_lifetime_max = 24h;
  duration negative_lifetime_max = 15min;         ///< RFC 2308 5 suggests one to three hours at most
  duration negative_lifetime_default = 30s;       ///< for a negative answer without a zone's SOA; RFC 2308 would not keep it
  std::uint32_t aliases = 8;                      ///< CNAMEs from the name to its address; then limit_reached
  std::uint32_t tries = 9;                        ///< of one question, over all servers; then timed_out or unreachable
  duration first_timeout = 1s;                    ///< of a try; doubles with every round through the servers
  duration timeout_max = 5s;
  duration stream_timeout = 5s;                   ///< of a try over TCP
  std::uint16_t udp_bytes = 1'232;                ///< largest answer over UDP that we ask for (RFC 9715)
  std::uint32_t message_bytes = 16 * 1024;        ///< largest answer over TCP; a longer one fails the try
  std::uint32_t lookups = 64;                     ///< questions being asked at once; the next one waits
  std::uint32_t connection_attempts = 8;          ///< of one name at once (RFC 8305); the next one waits for a failure
  duration resolution_delay = 50ms;               ///< IPv6 addresses are waited for when IPv4 ones are there
  duration attempt_delay = 250ms;                 ///< between attempts
};

struct dhcp_limits {
  std::uint32_t leases = 1'024;                   ///< a server's table; the one that ended longest ago goes, else no offer
  duration offer_held = 30s;                      ///< a server keeps an offered address for its client
  duration declined_for = 10min;                  ///< a server does not offer a declined address
  std::uint32_t requests_per_s = 200;             ///< a server answers; beyond them it is silent
};

}  // namespace morgana::net
