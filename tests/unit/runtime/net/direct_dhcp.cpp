// A direct stack that gets its address from a DHCP server of ours on another one, and a resolver that asks the name
// server it was told of: all coroutines, in virtual time.
#include <catch2/catch.hpp>

#include "device_cable.hpp"
#include "morgana/net/dhcp/service.hpp"
#include "morgana/net/direct_stack.hpp"
#include "morgana/net/dns/client.hpp"
#include "morgana/net/happy_eyeballs.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

namespace {

using network = direct_stack<cable_end>;
static_assert(knows_name_servers<network> && stack_with_ping<network>);

device_capabilities interface(std::uint8_t number) {
  device_capabilities made;
  made.address = {{2, 0, 0, 0, 0, number}};
  return made;
}

dhcp::v4_server_configuration serving() {
  dhcp::v4_server_configuration made;
  made.address = {{10, 0, 0, 1}};
  made.subnet = *cidr::parse("10.0.0.0/24");
  made.first = {{10, 0, 0, 100}};
  made.last = {{10, 0, 0, 110}};
  made.routers = {ipv4_address{{10, 0, 0, 1}}};
  made.name_servers = {ipv4_address{{10, 0, 0, 1}}};
  made.mtu_bytes = 1400;
  made.lease_length = 100s;
  return made;
}

/// Answers every question for an IPv4 address with the server's own.
task<result<void>> answer_names(network& on) {
  auto socket = on.bind({ip_address(ipv4_address{}), 53});
  if (!socket) co_return failure(std::move(socket.error()));
  std::array<std::byte, 512> in, out;
  for (;;) {
    auto const got = co_await socket->receive(in, never);
    if (!got) continue;
    auto reader = dns::message_reader::open(std::span(in).first(got->size)).value();
    auto head = reader.header();
    auto const asked = reader.next_question().value();
    head.is_response = true;
    dns::message_writer writer(out, head);
    writer.add(asked);
    if (asked.type == dns::record_type::a) writer.add(asked.name, 60, ip_address(ipv4_address{{10, 0, 0, 1}}));
    (void)co_await socket->send(writer.finish(), got->from, never);
  }
}

struct lan {
  explicit lan(dhcp::v4_server_configuration const& configuration = serving(), bool with_server = true)
      : one(interface(1)), two(interface(2)), server(configuration, {}, siphash_key{1, 2}), services(w.context()) {
    one.join(two);
    direct_stack_options options;
    options.ipv4 = "10.0.0.1/24";
    options.accept_ra = false;
    auto made = w.run(network::connect(w.context(), one, options));
    REQUIRE((made && made->has_value()));
    first = std::move(**made);
    if (with_server) services.spawn(serve_dhcp(*first, server));
  }
  void join() {
    direct_stack_options options;
    options.ipv4 = "dhcp";
    options.accept_ra = false;
    auto made = w.run(network::connect(w.context(), two, options));
    REQUIRE((made && made->has_value()));
    second = std::move(**made);
  }
  bool has(std::string_view address) const {
    return std::ranges::any_of(second->addresses(), [&](auto const& entry) {
      return entry.address.address == *ip_address::parse(address);
    });
  }
  [[nodiscard]] ip_address leased() const { return second->leases()->v4().lease()->address.address; }

  world w;
  cable_end one, two;
  dhcp::v4_server server;
  std::unique_ptr<network> first, second;
  scope services;
};

}  // namespace

TEST_CASE("a stack that is told to use DHCP has its address, route, name server and MTU when it is connected", "[dhcp]") {
  lan t;
  t.join();
  CHECK(t.w.elapsed() < 1s);
  REQUIRE(t.second->leases()->v4().lease());
  auto const all = t.second->addresses();
  REQUIRE(all.size() == 1);
  CHECK(all[0].address.address == t.leased());
  CHECK(all[0].address.prefix_bits == 24);
  CHECK(t.second->name_servers()[0] == *ip_address::parse("10.0.0.1"));
  auto const path = t.second->core().path_to(*ip_address::parse("192.0.2.1"), t.second->now());
  REQUIRE(path);
  CHECK(path->mtu_bytes == 1400);
  auto const reached = t.w.run(t.second->leases() != nullptr ? [&]() -> task<result<duration>> {
    co_return co_await t.second->ping(*ip_address::parse("10.0.0.1"), t.second->now() + 1s);
  }() : task<result<duration>>());
  CHECK(reached->has_value());
}

TEST_CASE("a stack's lease is renewed while it runs and given back when it disconnects", "[dhcp]") {
  lan t;
  t.join();
  t.w.advance(220s);
  CHECK(t.second->leases()->v4().counters().renewals >= 3);
  CHECK(t.second->addresses().size() == 1);
  REQUIRE(t.w.run(t.second->disconnect()));
  t.second.reset();
  t.w.settle();
  CHECK(t.server.counters().releases == 1);
}

TEST_CASE("a stack whose server is gone loses its address at the end of the lease", "[dhcp]") {
  lan t;
  t.join();
  t.services.cancel();
  t.w.advance(99s);
  CHECK(t.second->addresses().size() == 1);
  t.w.advance(2s);
  CHECK(t.second->addresses().empty());
  CHECK_FALSE(t.second->core().path_to(*ip_address::parse("192.0.2.1"), t.second->now()));
  // It asks on, and gets one again.
  t.services.spawn(serve_dhcp(*t.first, t.server));
  t.w.advance(70s);
  CHECK(t.second->addresses().size() == 1);
}

TEST_CASE("without a server a stack starts after a while, without an address", "[dhcp]") {
  lan t(serving(), false);
  t.join();
  CHECK(t.w.elapsed() >= network::lease_time);
  CHECK(t.second->addresses().empty());
  t.services.spawn(serve_dhcp(*t.first, t.server));
  t.w.advance(70s);
  CHECK(t.second->addresses().size() == 1);
}

TEST_CASE("a stack that is to have its address from routers waits a while for one, and others do not", "[dhcp]") {
  world w;
  cable_end one(interface(1)), two(interface(2));
  one.join(two);
  direct_stack_options options;
  options.accept_ra = true;
  options.ipv4 = "10.0.0.1/24";
  auto const fixed = w.run(network::connect(w.context(), one, options));
  REQUIRE((fixed && fixed->has_value()));
  CHECK(w.elapsed() == 0s);
  options.ipv4 = "none";
  auto const waiting = w.run(network::connect(w.context(), two, options));
  REQUIRE((waiting && waiting->has_value()));
  CHECK(w.elapsed() >= network::lease_time);
}

TEST_CASE("an address that another host has is declined", "[dhcp]") {
  auto configuration = serving();
  configuration.first = configuration.last = {{10, 0, 0, 100}};
  lan t(configuration);
  // The host on the other end has it, too: it answers the client's probes.
  REQUIRE(t.first->core().add_address(*cidr::parse("10.0.0.100/24"), t.first->now()));
  t.first->touch();
  t.w.advance(20s);
  t.join();
  t.w.advance(30s);
  CHECK(t.server.counters().declines == 1);
  CHECK(t.second->leases()->v4().counters().declined == 1);
  CHECK_FALSE(t.second->leases()->v4().lease());
  CHECK_FALSE(t.has("10.0.0.100"));
}

TEST_CASE("a server that probes finds the address that a host has, and offers another", "[dhcp]") {
  auto configuration = serving();
  configuration.first = {{10, 0, 0, 100}};
  configuration.last = {{10, 0, 0, 101}};
  configuration.probe_addresses = true;
  lan t(configuration);
  t.join();
  CHECK(t.w.elapsed() < 5s);
  CHECK(t.second->leases()->v4().lease());
}

TEST_CASE("a name is resolved by the server that DHCP told of, and connected to", "[dns]") {
  lan t;
  t.services.spawn(answer_names(*t.first));
  t.join();
  dns_client<network> names(*t.second, {}, siphash_key{3, 4});
  auto listening = t.first->listen({.port = 80});
  REQUIRE(listening);
  auto const call = [&]() -> task<result<endpoint>> {
    auto stream = co_await connect_by_name(*t.second, names, "www.example.org", 80, t.second->now() + 10s);
    if (!stream) co_return failure(std::move(stream.error()));
    co_return stream->peer();
  };
  auto const reached = t.w.run(call());
  REQUIRE((reached && reached->has_value()));
  CHECK(**reached == endpoint{*ip_address::parse("10.0.0.1"), 80});
}

TEST_CASE("a raw socket of a stack sends and receives", "[raw]") {
  lan t;
  t.join();
  auto here = t.first->open_raw(address_family::v4, 253);
  auto there = t.second->open_raw(address_family::v4, 253);
  REQUIRE((here && there));
  auto const talk = [&]() -> task<result<std::size_t>> {
    std::array<std::byte, 10> const payload{};
    auto sent = co_await there->send(payload, *ip_address::parse("10.0.0.1"), never);
    if (!sent) co_return failure(std::move(sent.error()));
    std::array<std::byte, 100> into;
    auto const got = co_await here->receive(into, t.first->now() + 1s);
    if (!got) co_return failure(got.error());
    auto const nothing = co_await here->receive(into, t.first->now() + 1s);
    CHECK(nothing.error().is(net_error::timed_out));
    co_return got->size;
  };
  auto const size = t.w.run(talk());
  REQUIRE((size && size->has_value()));
  CHECK(**size == 30);
}
