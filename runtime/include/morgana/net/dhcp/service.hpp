// A DHCPv4 server as a coroutine over any net::stack: `scope.spawn(serve_dhcp(network, server))`.
//
//   dhcp::v4_server server(configuration, {}, dhcp::boot_key());
//   co_return co_await serve_dhcp(network, server);
//
// Addresses are probed with an echo where the stack has ping() and the configuration says so. The stack must be able to
// send to 255.255.255.255 (ours is; the host's sockets may not be).
#pragma once

#include <algorithm>
#include <array>

#include "morgana/core/deadline.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/net/dhcp/v4_server.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

namespace dhcp {
/// A key that this boot alone has.
[[nodiscard]] siphash_key boot_key();
}  // namespace dhcp

template <class S>
concept stack_with_ping = requires(S& network, ip_address const& to, instant deadline) {
  { network.ping(to, deadline) } -> awaitable_of<result<duration>>;
};

namespace detail {

template <stack Stack>
task<> send_replies(typename Stack::datagram_socket& socket, dhcp::v4_server& server) {
  auto& here = co_await this_context();
  std::array<std::byte, dhcp::v4_message::bytes_max> copy;
  while (auto const out = server.poll_transmit(here.now())) {
    std::ranges::copy(out->message, copy.begin());
    // What cannot go is asked for again by the client.
    (void)co_await socket.send(std::span(copy).first(out->message.size()), out->to, after(here.now(), 1s));
  }
}

template <stack_with_ping Stack>
task<> probe(Stack& network, typename Stack::datagram_socket& socket, dhcp::v4_server& server, ipv4_address address) {
  auto& here = co_await this_context();
  auto const answer = co_await network.ping(ip_address(address), after(here.now(), 400ms));
  server.probed(address, answer.has_value(), here.now());
  co_await send_replies<Stack>(socket, server);
}

}  // namespace detail

/// Serves until it is cancelled. Errors: those of bind() to port 67, and of a network that is gone.
template <stack Stack>
task<result<void>> serve_dhcp(Stack& network, dhcp::v4_server& server) {
  auto& here = co_await this_context();
  auto socket = network.bind(endpoint{ip_address(ipv4_address{}), dhcp::v4_server_port});
  if (!socket) co_return failure(std::move(socket.error()).during("bind to the DHCP server's port"));
  std::array<std::byte, 1'500> message;
  scope probes(here);
  for (;;) {
    auto const got = co_await socket->receive(message, server.next_deadline());
    if (got) {
      server.input(std::span(message).first(got->size), here.now());
    } else if (!got.error().is(net_error::timed_out) && !got.error().is(net_error::refused)) {
      // Refused: a client is not listening any more, which concerns nobody else.
      co_return failure(error(got.error()).during("receive DHCP messages"));
    }
    server.on_deadline(here.now());
    co_await detail::send_replies<Stack>(*socket, server);
    if constexpr (stack_with_ping<Stack>) {
      while (auto const address = server.poll_probe()) {
        probes.spawn(detail::probe(network, *socket, server, *address));
      }
    }
  }
}

}  // namespace morgana::net
