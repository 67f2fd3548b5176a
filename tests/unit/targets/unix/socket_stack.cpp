// net::stack over the host's sockets, on loopback.
#include "morgana/hosted/socket_stack.hpp"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "guest.hpp"
#include "morgana/core/scope.hpp"

using namespace morgana;
using namespace morgana::hosted;
using net::net_error;
using test::bytes;
using test::text;

static_assert(net::stack<socket_stack>);

namespace {

/// The whole answer of a peer that closes after it.
task<result<std::string>> read_all(socket_stream& from, instant deadline) {
  std::string all;
  std::byte buffer[1000];
  for (;;) {
    auto const count = co_await from.read(buffer, deadline);
    if (!count) co_return failure(count.error());
    if (*count == 0) co_return all;
    all += text(std::span(buffer).first(*count));
  }
}

struct pair {
  socket_stream client, server;
};

task<result<pair>> connect_pair(socket_stack& network, net::ip_address address = net::ipv4_address{{127, 0, 0, 1}}) {
  auto listening = network.listen({.address = address});
  if (!listening) co_return failure(listening.error());
  auto const deadline = (co_await this_context()).now() + 5s;
  auto client = co_await network.connect(listening->local(), deadline);
  if (!client) co_return failure(client.error());
  auto server = co_await listening->accept(deadline);
  if (!server) co_return failure(server.error());
  co_return pair{std::move(*client), std::move(*server)};
}

struct network_guest : test::guest {
  socket_stack network = *run(socket_stack::connect(context, {}));
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  auto* const entries = ::opendir("/proc/self/fd");
  while (::readdir(entries) != nullptr) ++count;
  ::closedir(entries);
  return count;
}

net::ip_address const loopback_v4 = net::ipv4_address{{127, 0, 0, 1}};
net::ip_address const loopback_v6 = net::ipv6_address{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

}  // namespace

TEST_CASE("bytes travel both ways and the end of a stream is read as 0") {
  network_guest guest;
  auto talk = [](socket_stack& network, net::ip_address address) -> task<result<std::string>> {
    auto both = co_await connect_pair(network, address);
    if (!both) co_return failure(both.error());
    auto const deadline = (co_await this_context()).now() + 5s;
    if (auto sent = co_await both->client.write(bytes("ping"), deadline); !sent) co_return failure(sent.error());
    if (auto shut = both->client.shutdown(); !shut) co_return failure(shut.error());
    auto question = co_await read_all(both->server, deadline);
    if (!question) co_return failure(question.error());
    std::span<std::byte const> const parts[] = {bytes("<"), bytes(""), bytes(*question), bytes(">")};
    if (auto sent = co_await both->server.write(parts, deadline); !sent) co_return failure(sent.error());
    both->server = {};
    co_return co_await read_all(both->client, deadline);
  };
  CHECK(*guest.run(talk(guest.network, loopback_v4)) == "<ping>");
  CHECK(*guest.run(talk(guest.network, loopback_v6)) == "<ping>");
  CHECK(guest.network.open_connections() == 0);
}

TEST_CASE("a listener on :: serves IPv4 too, and its peer looks like IPv4") {
  network_guest guest;
  auto const peer = guest.run([](socket_stack& network) -> task<result<net::endpoint>> {
    auto listening = network.listen({});
    if (!listening) co_return failure(listening.error());
    auto const deadline = (co_await this_context()).now() + 5s;
    auto client = co_await network.connect({.address = loopback_v4, .port = listening->local().port}, deadline);
    if (!client) co_return failure(client.error());
    auto server = co_await listening->accept(deadline);
    if (!server) co_return failure(server.error());
    CHECK(server->peer() == client->local());
    CHECK(server->local() == client->peer());
    co_return server->peer();
  }(guest.network));
  REQUIRE(peer);
  CHECK(peer->address == loopback_v4);
}

TEST_CASE("megabytes arrive whole and in order through a slow reader") {
  network_guest guest;
  auto const received = guest.run([](socket_stack& network) -> task<result<std::string>> {
    auto both = co_await connect_pair(network);
    if (!both) co_return failure(both.error());
    auto& here = co_await this_context();
    auto const deadline = here.now() + 15s;
    std::string big(3'000'000, '\0');
    for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 >> 5);
    // Uneven parts, more of them than one system call takes.
    std::vector<std::span<std::byte const>> parts;
    for (std::size_t at = 0; at < big.size();) {
      auto const size = std::min<std::size_t>(big.size() - at, 1 + at % 90'000);
      parts.push_back(bytes(std::string_view(big).substr(at, size)));
      at += size;
    }
    scope children(here);
    children.spawn([](socket_stream& to, std::span<std::span<std::byte const> const> what,
                      instant until) -> task<result<void>> {
      if (auto sent = co_await to.write(what, until); !sent) co_return failure(sent.error());
      co_return to.shutdown();
    }(both->server, parts, deadline));
    co_await sleep_for(20ms);
    auto all = co_await read_all(both->client, deadline);
    if (auto ended = co_await children.join(); !ended) co_return failure(ended.error());
    if (all) CHECK(*all == big);
    co_return all;
  }(guest.network));
  REQUIRE(received);
  CHECK(received->size() == 3'000'000);
}

TEST_CASE("every wait ends at its deadline") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto both = co_await connect_pair(network);
    REQUIRE(both);
    auto& here = co_await this_context();
    std::byte buffer[16];
    auto read = co_await both->client.read(buffer, here.now() + 5ms);
    REQUIRE(!read);
    CHECK(read.error().is(net_error::timed_out));
    auto listening = network.listen({.address = loopback_v4});
    REQUIRE(listening);
    auto accepted = co_await listening->accept(here.now() + 5ms);
    REQUIRE(!accepted);
    CHECK(accepted.error().is(net_error::timed_out));
    // Nobody reads: the kernel's buffers fill up.
    std::vector<std::byte> much(64u << 20);
    auto written = co_await both->client.write(much, here.now() + 20ms);
    REQUIRE(!written);
    CHECK(written.error().is(net_error::timed_out));
    auto socket = network.bind({.address = loopback_v4});
    REQUIRE(socket);
    auto received = co_await socket->receive(buffer, here.now() + 5ms);
    REQUIRE(!received);
    CHECK(received.error().is(net_error::timed_out));
    // A deadline in the past.
    read = co_await both->server.read(std::span(buffer).first(0), here.now() - 1s);
    CHECK(read);
    read = co_await both->client.read(buffer, here.now() - 1s);
    REQUIRE(!read);
    CHECK(read.error().is(net_error::timed_out));
  }(guest.network));
}

TEST_CASE("data that came before the deadline is given even to a slow reader") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto both = co_await connect_pair(network);
    REQUIRE(both);
    auto& here = co_await this_context();
    REQUIRE(co_await both->client.write(bytes("late"), here.now() + 1s));
    co_await sleep_for(5ms);
    std::byte buffer[16];
    auto const read = co_await both->server.read(buffer, here.now() + 1s);
    REQUIRE(read);
    CHECK(*read == 4);
  }(guest.network));
}

TEST_CASE("refusal, reset and a closed stream have their own errors") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto& here = co_await this_context();
    net::endpoint nobody;
    {
      auto listening = network.listen({.address = loopback_v4});
      REQUIRE(listening);
      nobody = listening->local();
      auto second = network.listen({.address = loopback_v4, .port = nobody.port});
      REQUIRE(!second);
      CHECK(second.error().is(net_error::address_in_use));
    }
    auto refused = co_await network.connect(nobody, here.now() + 5s);
    REQUIRE(!refused);
    CHECK(refused.error().is(net_error::refused));

    auto both = co_await connect_pair(network);
    REQUIRE(both);
    both->client.abort();
    std::byte buffer[16];
    auto read = co_await both->server.read(buffer, here.now() + 5s);
    REQUIRE(!read);
    CHECK(read.error().is(net_error::reset));
    read = co_await both->client.read(buffer, here.now() + 5s);
    REQUIRE(!read);
    CHECK(read.error().is(net_error::not_connected));
    auto written = co_await both->client.write(bytes("x"), here.now() + 5s);
    REQUIRE(!written);
    CHECK(written.error().is(net_error::not_connected));
    CHECK(!both->client.shutdown());

    // 192.0.2.1 is no address of this host (RFC 5737).
    auto elsewhere = network.listen({.address = net::ipv4_address{{192, 0, 2, 1}}});
    REQUIRE(!elsewhere);
    CHECK(elsewhere.error().is(net_error::address_not_available));

    auto after_shutdown = co_await connect_pair(network);
    REQUIRE(after_shutdown);
    REQUIRE(after_shutdown->client.shutdown());
    written = co_await after_shutdown->client.write(bytes("x"), here.now() + 5s);
    REQUIRE(!written);
    CHECK(written.error().is(net_error::not_connected));
  }(guest.network));
}

TEST_CASE("aborting a stream wakes who waits on it") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto both = co_await connect_pair(network);
    REQUIRE(both);
    auto& here = co_await this_context();
    scope children(here);
    children.spawn([](socket_stream& from) -> task<> {
      std::byte buffer[16];
      auto const read = co_await from.read(buffer, never);
      CHECK(!read);
      if (!read) CHECK(read.error().is(net_error::not_connected));
    }(both->client));
    co_await yield();
    both->client.abort();
    CHECK(co_await children.join());
  }(guest.network));
}

TEST_CASE("cancelled operations leave nothing behind") {
  auto const before = open_descriptors();
  {
    network_guest guest;
    guest.run([](socket_stack& network) -> task<> {
      auto& here = co_await this_context();
      auto listening = network.listen({.address = loopback_v4});
      REQUIRE(listening);
      {
        scope children(here);
        for (int i = 0; i < 20; ++i) {
          children.spawn([](socket_stack& net_in, net::endpoint to) -> task<> {
            auto stream = co_await net_in.connect(to, never);
            CHECK(stream);
            std::byte buffer[4];
            if (stream) static_cast<void>(co_await stream->read(buffer, never));
          }(network, listening->local()));
          children.spawn([](socket_listener& on) -> task<> {
            auto stream = co_await on.accept(never);
            std::byte buffer[4];
            if (stream) static_cast<void>(co_await stream->read(buffer, never));
          }(*listening));
          // Some are cancelled while they connect, some while they read.
          if (i % 3 == 0) co_await sleep_for(1ms);
        }
        children.cancel();
      }
      CHECK(network.open_connections() == 0);
    }(guest.network));
  }
  CHECK(open_descriptors() <= before + 2);  // the reactor's own two, if this was the first test
}

TEST_CASE("at the limit accept waits for a connection to close, and connect says so") {
  test::guest guest;
  auto network = *guest.run(socket_stack::connect(guest.context, {.connections = 3}));
  guest.run([](socket_stack& net_in) -> task<> {
    auto& here = co_await this_context();
    auto listening = net_in.listen({.address = loopback_v4});
    REQUIRE(listening);
    auto const deadline = here.now() + 5s;
    auto first = co_await net_in.connect(listening->local(), deadline);
    auto second = co_await net_in.connect(listening->local(), deadline);
    auto accepted = co_await listening->accept(deadline);
    REQUIRE((first && second && accepted));
    auto const third = co_await net_in.connect(listening->local(), deadline);
    REQUIRE(!third);
    CHECK(third.error().is(net_error::limit_reached));
    CHECK(third.error().detail() == 3);

    auto waited = co_await listening->accept(here.now() + 10ms);
    REQUIRE(!waited);
    CHECK(waited.error().is(net_error::timed_out));

    scope children(here);
    auto came = false;
    children.spawn([](socket_listener& on, bool& flag) -> task<> {
      flag = (co_await on.accept(never)).has_value();
    }(*listening, came));
    co_await sleep_for(2ms);
    CHECK(!came);
    *first = {};
    CHECK(co_await children.join());
    CHECK(came);
  }(network));
}

TEST_CASE("a process out of descriptors accepts again when it has one") {
  network_guest guest;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  guest.run([](socket_stack& network, rlimit const& old) -> task<> {
    auto& here = co_await this_context();
    auto listening = network.listen({.address = loopback_v4});
    REQUIRE(listening);
    auto client = co_await network.connect(listening->local(), here.now() + 5s);
    REQUIRE(client);
    auto none = old;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    auto accepted = co_await listening->accept(here.now() + 10ms);
    ::setrlimit(RLIMIT_NOFILE, &old);
    REQUIRE(!accepted);
    CHECK(accepted.error().is(net_error::timed_out));
    accepted = co_await listening->accept(here.now() + 5s);
    CHECK(accepted);
  }(guest.network, before));
}

TEST_CASE("a peer that always has more does not keep other tasks from running") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto both = co_await connect_pair(network);
    REQUIRE(both);
    auto& here = co_await this_context();
    std::string const much(100'000, 'x');
    REQUIRE(co_await both->client.write(bytes(much), here.now() + 5s));
    co_await sleep_for(5ms);
    std::size_t turns = 0;
    scope children(here);
    children.spawn([](std::size_t& count) -> task<> {
      for (;;) {
        ++count;
        co_await yield();
      }
    }(turns));
    std::byte one[1];
    for (int i = 0; i < 640; ++i) REQUIRE(co_await both->server.read(one, here.now() + 5s));
    CHECK(turns >= 9);
    CHECK(turns <= 20);
  }(guest.network));
}

TEST_CASE("datagrams keep their borders, say when they were cut, and reach both families") {
  network_guest guest;
  guest.run([](socket_stack& network) -> task<> {
    auto& here = co_await this_context();
    auto const deadline = here.now() + 5s;
    auto any = network.bind({.address = net::ipv6_address{}});
    auto v4 = network.bind({.address = loopback_v4});
    REQUIRE((any && v4));
    REQUIRE(co_await v4->send(bytes("first"), {.address = loopback_v4, .port = any->local().port}, deadline));
    REQUIRE(co_await v4->send(bytes("second"), {.address = loopback_v4, .port = any->local().port}, deadline));
    std::byte buffer[5];
    auto received = co_await any->receive(buffer, deadline);
    REQUIRE(received);
    CHECK(text(std::span(buffer).first(received->size)) == "first");
    CHECK(!received->was_cut);
    CHECK(received->from == v4->local());
    received = co_await any->receive(buffer, deadline);
    REQUIRE(received);
    CHECK(text(std::span(buffer).first(received->size)) == "secon");
    CHECK(received->was_cut);
    // The dual-stack socket answers an IPv4 peer.
    REQUIRE(co_await any->send(bytes("reply"), received->from, deadline));
    received = co_await v4->receive(buffer, deadline);
    REQUIRE(received);
    CHECK(received->from.address == loopback_v4);
    std::vector<std::byte> const huge(70'000);
    auto const sent = co_await v4->send(huge, any->local(), deadline);
    REQUIRE(!sent);
  }(guest.network));
}

TEST_CASE("errno values become the public errors") {
  CHECK(socket_error(ECONNREFUSED).is(net_error::refused));
  CHECK(socket_error(EPIPE).is(net_error::reset));
  CHECK(socket_error(EHOSTUNREACH).is(net_error::unreachable));
  CHECK(socket_error(EMSGSIZE).is(net_error::message_too_long));
  CHECK(socket_error(EACCES).is(net_error::not_permitted));
  CHECK(socket_error(ENOPROTOOPT).is(net_error::other));
  CHECK(socket_error(ENOPROTOOPT).detail() == ENOPROTOOPT);
}

TEST_CASE("name servers are read from a resolv.conf") {
  auto const found = morgana::hosted::name_servers_of(
      "# of the host\nsearch example.org\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 \nnameserver fe80::1%eth0\n"
      "nameserver\nnameservers 192.0.2.9\nnameserver 192.0.2.2");
  REQUIRE(found.size() == 3);
  CHECK(found[0] == *morgana::net::ip_address::parse("192.0.2.1"));
  CHECK(found[1] == *morgana::net::ip_address::parse("2001:db8::1"));
  CHECK(found[2] == *morgana::net::ip_address::parse("192.0.2.2"));
  CHECK(morgana::hosted::name_servers_of("").empty());
}
