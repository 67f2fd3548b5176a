// What an application asks of a network: a stack of TCP and UDP over either family. The host's sockets
// ("socket"), and our own TCP/IP over a device ("direct"), are interchangeable.
//
//   auto listener = network.listen({.port = 80});
//   auto stream = co_await listener->accept(never);
//   auto count = co_await stream->read(buffer, here.now() + 30s);
//
// Every wait takes a deadline and ends in net_error::timed_out; nothing waits for ever unless told `never`.
// Streams, listeners and datagram sockets are movable objects; destroying one closes it (a stream with data
// still to send sends it; use abort() for RST). They must not outlive their stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/error.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::net {

/// read: at least one byte, 0 at the end of the peer's stream. write: all bytes, or an error; the span must
/// live until it is done. write of several spans is one gathered write. shutdown: half-close, reading goes
/// on. One reader and one writer at a time.
template <class S>
concept stream = std::movable<S> && requires(S& connection, std::span<std::byte> into, std::span<std::byte const> from,
                                             std::span<std::span<std::byte const> const> gathered, instant deadline) {
  { connection.read(into, deadline) } -> awaitable_of<result<std::size_t>>;
  { connection.write(from, deadline) } -> awaitable_of<result<void>>;
  { connection.write(gathered, deadline) } -> awaitable_of<result<void>>;
  { connection.shutdown() } -> std::same_as<result<void>>;
  { connection.abort() } noexcept -> std::same_as<void>;
  { connection.local() } -> std::same_as<endpoint>;
  { connection.peer() } -> std::same_as<endpoint>;
};

/// One that also takes slices: it moves from them, and nothing is copied until the peer has what they hold. write_now() is
/// for who need not wait mostly: false, and nothing was taken, when write() would.
template <class S>
concept slice_stream = stream<S> && requires(S& connection, std::span<slice> owned, instant deadline) {
  { connection.write(owned, deadline) } -> awaitable_of<result<void>>;
  { connection.write_now(owned) } -> std::same_as<result<bool>>;
};

template <class L>
concept listener = std::movable<L> && requires(L& listening, instant deadline) {
  requires stream<typename L::stream>;
  { listening.accept(deadline) } -> awaitable_of<result<typename L::stream>>;
  { listening.local() } -> std::same_as<endpoint>;
};

struct received_datagram {
  std::size_t size = 0;             ///< bytes stored
  endpoint from;
  bool was_cut = false;             ///< it was larger than the buffer
};

template <class D>
concept datagram_socket = std::movable<D> && requires(D& socket, std::span<std::byte> into,
                                                      std::span<std::byte const> from, endpoint const& to,
                                                      instant deadline) {
  { socket.receive(into, deadline) } -> awaitable_of<result<received_datagram>>;
  { socket.send(from, to, deadline) } -> awaitable_of<result<void>>;
  { socket.local() } -> std::same_as<endpoint>;
};

struct listen_options {
  ip_address address{ipv6_address{}};   ///< `::` listens on both families
  std::uint16_t port = 0;               ///< 0: any free one
  std::uint32_t backlog = 512;          ///< connections waiting to be accepted
  /// Connections by TCP Fast Open whose handshake is not done yet (RFC 7413 5.1); 0: it is off. A SYN's data may arrive
  /// twice (2.1), so this is for who can bear that. The direct stack's; others take no notice.
  std::uint32_t fast_open = 0;
};

template <class S>
concept stack = requires(S& network, listen_options const& where, endpoint const& peer, instant deadline) {
  requires stream<typename S::stream>;
  requires listener<typename S::listener>;
  requires datagram_socket<typename S::datagram_socket>;
  { network.listen(where) } -> std::same_as<result<typename S::listener>>;
  { network.connect(peer, deadline) } -> awaitable_of<result<typename S::stream>>;
  { network.bind(peer) } -> std::same_as<result<typename S::datagram_socket>>;
};

/// Sends and receives whole packets: tap, netfront, a simulated link.
struct device_capabilities {
  std::uint32_t mtu_bytes = 1500;       ///< largest IP packet that is not a super-packet
  bool transmit_checksum = false;       ///< completes checksum_state::partial
  bool receive_checksum = false;        ///< says checksum_state::valid
  bool segmentation_tcp_v4 = false;     ///< cuts super-packets
  bool segmentation_tcp_v6 = false;
  bool segmentation_udp = false;
  mac_address address;
};

/// receive() moves at most into.size() segments into place and says how many; it waits for the first one.
/// transmit() takes as many as it has room for, at once, and says how many.
template <class D>
concept device = requires(D& link, std::span<segment> into, std::span<segment> from, instant deadline) {
  { link.capabilities() } -> std::same_as<device_capabilities>;
  { link.receive(into, deadline) } -> awaitable_of<result<std::size_t>>;
  { link.transmit(from) } -> std::same_as<result<std::size_t>>;
};

/// A device that can say when it has room again after transmit() took less than it was offered. Others are asked
/// again after a while.
template <class D>
concept device_with_room = device<D> && requires(D& link, instant deadline) {
  { link.room(deadline) } -> awaitable_of<result<void>>;
};

}  // namespace morgana::net
