// Between two networks: who connects in front is connected to one server behind, and bytes go both ways.
#pragma once

#include <array>

#include "morgana/app.hpp"

struct options {
  /// The server behind.
  morgana::net::endpoint server{.address = morgana::net::ipv4_address{{10, 1, 0, 1}}, .port = 7};
};

namespace forwarder {

using namespace morgana;
using namespace std::chrono_literals;

template <net::stream From, net::stream To>
task<> pump(From& from, To& to) {
  std::array<std::byte, 4096> some;
  for (;;) {
    auto const got = co_await from.read(some, never);
    if (!got || *got == 0) break;
    if (!co_await to.write(std::span(some).first(*got), never)) co_return;
  }
  (void)to.shutdown();
}

template <net::stream Stream, net::stack Back>
task<> forward(Stream outside, Back& back, net::endpoint server, log_source log) {
  auto& here = co_await this_context();
  auto inside = co_await back.connect(server, here.now() + 10s);
  if (!inside) {
    log.error("{}: {}", server, inside.error());
    co_return;
  }
  log.info("{} to {}", outside.peer(), inside->peer());
  scope both = co_await open_scope();
  both.spawn(pump(outside, *inside));
  both.spawn(pump(*inside, outside));
  (void)co_await both.join();
}

}  // namespace forwarder

morgana::task<morgana::result<void>> start(morgana::net::stack auto& front, morgana::net::stack auto& back,
                                           morgana::option_set<options> auto const& opt) {
  using namespace forwarder;
  log_source const log((co_await this_context()).log(), "forwarder");
  auto listening = front.listen({.port = 80});
  if (!listening) co_return failure(std::move(listening.error()).during("listen"));
  log.info("ready");
  scope connections = co_await open_scope();
  auto const accept = [&]() -> task<result<void>> {
    for (;;) {
      auto stream = co_await listening->accept(never);
      if (!stream) co_return failure(std::move(stream.error()).during("accept"));
      connections.spawn(forward(std::move(*stream), back, opt.server, log));
    }
  };
  auto const stop = []() -> task<void> { co_await stop_requested(); };
  auto ended = co_await race(accept(), stop());
  if (auto* const failed = std::get_if<0>(&ended)) co_return std::move(*failed);
  co_return {};
}
