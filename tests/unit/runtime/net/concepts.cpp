// The concepts of net/stack.hpp can be implemented by plain code: a stack in memory, and one conversation
// over it.
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "fake_platform.hpp"
#include "morgana/core/channel.hpp"
#include "morgana/net/stack.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::test;

namespace {

/// Bytes on their way in one direction.
struct pipe {
  static constexpr std::size_t bytes_max = 64;
  std::deque<std::byte> bytes;
  bool ended = false;
  bool aborted = false;
  event changed;
};
struct wire {
  pipe to_server;
  pipe to_client;
};

class loop_stream {
 public:
  loop_stream(std::shared_ptr<wire> over, bool is_client, endpoint local, endpoint peer)
      : over_(std::move(over)), is_client_(is_client), local_(local), peer_(peer) {}
  loop_stream(loop_stream&&) = default;
  loop_stream& operator=(loop_stream&&) = default;
  ~loop_stream() {
    if (over_) (void)shutdown();
  }

  task<result<std::size_t>> read(std::span<std::byte> into, instant deadline) {
    auto& from = is_client_ ? over_->to_client : over_->to_server;
    while (from.bytes.empty()) {
      if (from.aborted) co_return failure(net_error::reset);
      if (from.ended) co_return std::size_t{0};
      if (auto in_time = co_await from.changed.wait(deadline); !in_time)
        co_return failure(net_error::timed_out);
    }
    auto const count = std::min(into.size(), from.bytes.size());
    std::copy_n(from.bytes.begin(), count, into.begin());
    from.bytes.erase(from.bytes.begin(), from.bytes.begin() + static_cast<std::ptrdiff_t>(count));
    from.changed.pulse();
    co_return count;
  }
  task<result<void>> write(std::span<std::byte const> from, instant deadline) {
    auto& to = outgoing();
    for (auto const byte : from) {
      while (to.bytes.size() == pipe::bytes_max) {
        if (auto in_time = co_await to.changed.wait(deadline); !in_time)
          co_return failure(net_error::timed_out);
      }
      if (to.ended) co_return failure(net_error::not_connected);
      to.bytes.push_back(byte);
      to.changed.pulse();
    }
    co_return {};
  }
  task<result<void>> write(std::span<std::span<std::byte const> const> gathered, instant deadline) {
    for (auto const part : gathered) {
      if (auto done = co_await write(part, deadline); !done) co_return done;
    }
    co_return {};
  }
  result<void> shutdown() {
    outgoing().ended = true;
    outgoing().changed.pulse();
    return {};
  }
  void abort() noexcept {
    outgoing().aborted = true;
    outgoing().changed.pulse();
  }
  [[nodiscard]] endpoint local() const { return local_; }
  [[nodiscard]] endpoint peer() const { return peer_; }

 private:
  pipe& outgoing() { return is_client_ ? over_->to_server : over_->to_client; }
  std::shared_ptr<wire> over_;
  bool is_client_;
  endpoint local_;
  endpoint peer_;
};

struct loop_port {
  channel<loop_stream> waiting{4};
};

class loop_listener {
 public:
  using stream = loop_stream;
  loop_listener(std::shared_ptr<loop_port> at, endpoint local) : at_(std::move(at)), local_(local) {}
  task<result<loop_stream>> accept(instant deadline) {
    auto next = co_await at_->waiting.receive(deadline);
    if (!next) co_return failure(net_error::timed_out);
    co_return std::move(*next);
  }
  [[nodiscard]] endpoint local() const { return local_; }

 private:
  std::shared_ptr<loop_port> at_;
  endpoint local_;
};

class loop_datagrams {
 public:
  task<result<received_datagram>> receive(std::span<std::byte>, instant) {
    co_return failure(net_error::timed_out);
  }
  task<result<void>> send(std::span<std::byte const>, endpoint const&, instant) { co_return {}; }
  [[nodiscard]] endpoint local() const { return {}; }
};

class loop_stack {
 public:
  using stream = loop_stream;
  using listener = loop_listener;
  using datagram_socket = loop_datagrams;

  result<loop_listener> listen(listen_options const& where) {
    auto& port = ports_[where.port];
    if (port.use_count() > 1) return failure(net_error::address_in_use);
    port = std::make_shared<loop_port>();
    return loop_listener(port, {where.address, where.port});
  }
  task<result<loop_stream>> connect(endpoint const& peer, instant deadline) {
    auto const port = ports_.find(peer.port);
    if (port == ports_.end()) co_return failure(net_error::refused);
    auto over = std::make_shared<wire>();
    endpoint const local{peer.address, 40'000};
    auto sent = co_await port->second->waiting.send(loop_stream(over, false, peer, local), deadline);
    if (!sent) co_return failure(net_error::timed_out);
    co_return loop_stream(over, true, local, peer);
  }
  result<loop_datagrams> bind(endpoint const&) { return loop_datagrams(); }

 private:
  std::map<std::uint16_t, std::shared_ptr<loop_port>> ports_;
};

class loop_device {
 public:
  [[nodiscard]] device_capabilities capabilities() const { return {}; }
  task<result<std::size_t>> receive(std::span<segment>, instant) { co_return failure(net_error::timed_out); }
  result<std::size_t> transmit(std::span<segment> from) { return from.size(); }
};

static_assert(stack<loop_stack> && listener<loop_listener> && stream<loop_stream>);
static_assert(datagram_socket<loop_datagrams> && device<loop_device>);

/// What an application looks like: it knows the concept only.
task<result<void>> echo_once(stack auto& network) {
  auto listening = network.listen({.port = 7});
  if (!listening) co_return failure(std::move(listening.error()));
  auto connection = co_await listening->accept(never);
  if (!connection) co_return failure(std::move(connection.error()));
  std::byte some[16];
  for (;;) {
    auto count = co_await connection->read(some, never);
    if (!count) co_return failure(std::move(count.error()));
    if (*count == 0) co_return {};
    if (auto sent = co_await connection->write(std::span(some).first(*count), never); !sent) co_return sent;
  }
}

task<result<std::string>> say(stack auto& network, std::string text) {
  auto connection = co_await network.connect({*ip_address::parse("::1"), 7}, never);
  if (!connection) co_return failure(std::move(connection.error()));
  std::span<std::byte const> const parts[] = {std::as_bytes(std::span(text)), std::as_bytes(std::span(text))};
  auto write_all = [](auto& to, std::span<std::span<std::byte const> const> what) -> task<result<void>> {
    auto sent = co_await to.write(what, never);
    (void)to.shutdown();
    co_return sent;
  };
  auto read_all = [](auto& from) -> task<result<std::string>> {
    std::string got;
    std::byte some[16];
    for (;;) {
      auto count = co_await from.read(some, never);
      if (!count) co_return failure(std::move(count.error()));
      if (*count == 0) co_return got;
      got.append(reinterpret_cast<char const*>(some), *count);
    }
  };
  auto [sent, got] = co_await all(write_all(*connection, parts), read_all(*connection));
  if (!sent) co_return failure(std::move(sent.error()));
  co_return std::move(got);
}

}  // namespace

TEST_CASE("an application that knows only the concept talks over a stack in memory") {
  world w;
  loop_stack network;
  std::string const text(500, 'x');
  auto got = w.run(all(echo_once(network), say(network, text)));
  REQUIRE(got.has_value());
  CHECK(std::get<0>(*got).has_value());
  REQUIRE(std::get<1>(*got).has_value());
  CHECK(*std::get<1>(*got) == text + text);
}

TEST_CASE("nobody listens: the error is the small public one") {
  world w;
  loop_stack network;
  auto got = w.run(say(network, "x"));
  REQUIRE((got && !got->has_value()));
  CHECK(got->error().is(net_error::refused));
}
