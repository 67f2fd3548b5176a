// Listens on a port; says who connected and what came first, and closes.
#pragma once

#include <array>
#include <string_view>

#include "morgana/app.hpp"

struct options {
  /// Port to listen on; 0: any free one.
  std::uint16_t port = 8080;
};

template <morgana::net::stream Stream>
morgana::task<> greet(Stream stream, morgana::log_source log) {
  using namespace std::chrono_literals;
  auto& here = co_await morgana::this_context();
  log.info("new connection from {}", stream.peer());
  std::array<std::byte, 400> buffer;
  auto const got = co_await stream.read(buffer, here.now() + 30s);
  if (!got) {
    log.warning("{}: {}", stream.peer(), got.error().message());
  } else if (*got == 0) {
    log.info("{} closed", stream.peer());
  } else {
    log.info("read {} bytes: {}", *got, std::string_view(reinterpret_cast<char const*>(buffer.data()), *got));
  }
}

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  constexpr std::size_t connections_max = 64;
  morgana::log_source const log((co_await morgana::this_context()).log(), "network");
  auto listener = network.listen({.port = opt.port});
  if (!listener) co_return morgana::failure(std::move(listener.error()).during("listen"));
  log.info("listening on {}", listener->local());
  morgana::scope connections = co_await morgana::open_scope();
  for (;;) {
    co_await connections.below(connections_max);
    auto stream = co_await listener->accept(morgana::never);
    if (!stream) co_return morgana::failure(std::move(stream.error()).during("accept"));
    connections.spawn(greet(std::move(*stream), log));
  }
}
