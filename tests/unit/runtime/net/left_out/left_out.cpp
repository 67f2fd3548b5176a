// A stack of which everything is left out that may be: these definitions stand in for those of an application's generated
// main. What is there works as ever, what is not says so.
#include <algorithm>

#include "../direct_hosts.hpp"
#include "../test_link.hpp"
#include "morgana/net/features.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::features {
bool const ipv6 = false;
bool const dhcp = false;
bool const fragments = false;
bool const fast_open = false;
bool const prediction = false;
}  // namespace morgana::net::features

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

namespace {

ip_address const any = ipv6_address{};
ip_address const other_v6 = ipv6_address{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
ip_address const all_nodes_v6 = ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

/// Two hosts that know each other.
struct pair {
  pair() : one(link.add(quiet(1, "10.0.0.1/24"))), two(link.add(quiet(2, "10.0.0.2/24"))) {
    REQUIRE(one->ping(ip("10.0.0.2"), 1, 1, 8, link.now));
    link.settle();
    auto const told = one->poll_event();
    REQUIRE((told && told->echo_reply));
  }
  ethernet link;
  host_under_test& one;
  host_under_test& two;
};

direct_stack_options options_of(std::uint8_t number) {
  direct_stack_options made;
  made.ipv4.address = {ipv4_address{{10, 0, 0, number}}, 24};
  return made;
}

}  // namespace

TEST_CASE("frames of IPv6 are counted and not answered") {
  pair w;
  auto const before = w.one->counters();
  auto const request = icmp_message(true, other_v6, all_nodes_v6, 128, 0, 0, pattern(8));
  auto const packet = ipv6_packet(other_v6, all_nodes_v6, wire::protocol::icmp_v6, request);
  w.one.receive(ethernet_frame(mac(1), mac(9), wire::ether_type::ipv6, packet), w.link.now);
  CHECK(w.one->counters().not_for_us == before.not_for_us + 1);
  CHECK(w.one.sent(w.link.now).empty());
}

TEST_CASE("no router is asked and no address made") {
  ethernet link;
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.router_advertisements = true;
  auto& one = link.add(configuration);
  link.run(20s);
  CHECK(one->addresses().size() == 1);
  CHECK(std::ranges::none_of(link.frames, [](bytes const& f) { return link_of(f).type == wire::ether_type::ipv6; }));
}

TEST_CASE("an IPv6 address is unreachable to connect to, and not to be had") {
  pair w;
  CHECK(w.one->tcp().connect(endpoint{other_v6, 80}, {}, w.link.now).error().is(net_error::unreachable));
  CHECK(w.one->bind({other_v6, 53}).error().is(net_error::address_not_available));
  CHECK(w.one->add_address({other_v6, 64}, w.link.now).error().is(net_error::invalid_address));
  CHECK(w.one->add_route({{other_v6, 64}, std::nullopt}).error().is(net_error::invalid_address));
  CHECK(w.one->join_group(all_nodes_v6, w.link.now).error().is(net_error::invalid_address));
  CHECK(w.one->open_raw(address_family::v6, 58).error().is(net_error::address_not_available));
  CHECK(w.one->ping(other_v6, 1, 1, 8, w.link.now).error().is(net_error::unreachable));
  auto* const port = w.one->bind({any, 5000}).value();
  CHECK(port->send(pattern(8), {other_v6, 53}, w.link.now).error().is(net_error::unreachable));
  CHECK_FALSE(ip_address::parse("2001:db8::2"));
  CHECK_FALSE(cidr::parse("2001:db8::2/64"));
}

TEST_CASE("who listens on all addresses is reached over IPv4, with TCP's ordinary ways alone") {
  pair w;
  auto* const listener = w.two->tcp().listen({.port = 80, .fast_open = 4}).value();
  tcp::settings with;
  with.fast_open = tcp::fast_open::with_cookie;
  auto* const client = w.one->tcp().connect({ip("10.0.0.2"), 80}, with, w.link.now).value();
  w.link.run(1s);
  auto* const server = listener->accept();
  REQUIRE(server != nullptr);
  auto const sent = pattern(100'000);
  bytes got;
  std::size_t written = 0;
  for (int i = 0; i < 1000 && got.size() < sent.size(); ++i) {
    written += client->write(std::span(sent).subspan(written), w.link.now).value();
    w.link.run(10ms);
    bytes part(20'000);
    if (auto const count = server->read(part, w.link.now).value()) got.insert(got.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(*count));
  }
  CHECK(got == sent);
  CHECK(w.two->tcp().counters().predicted_in == 0);
  CHECK(w.two->tcp().counters().fast_opens_accepted == 0);
  for (auto const& frame : w.link.frames) {
    auto const payload = payload_of(frame);
    if (link_of(frame).type != wire::ether_type::ipv4 || payload[9] != std::byte{6}) continue;
    auto const header = wire::tcp_header::parse(std::span(payload).subspan(20), payload.size() - 20);
    REQUIRE(header);
    CHECK(header->options.fast_open == wire::fast_open_option::none);
  }
  client->release(w.link.now);
  server->release(w.link.now);
  w.link.run(1s);
}

TEST_CASE("fragments are dropped and counted, and none is sent") {
  pair w;
  auto* const port = w.two->bind({any, 5000}).value();
  auto const datagram = udp_datagram({ip("10.0.0.1"), 7}, {ip("10.0.0.2"), 5000}, pattern(32));
  auto const before = w.two->counters();
  for (std::uint16_t at = 0; at < datagram.size(); at += 8) {
    bytes const part(datagram.begin() + at, datagram.begin() + at + 8);
    auto const packet = ipv4_packet(ip("10.0.0.1"), ip("10.0.0.2"), wire::protocol::udp, part,
                                    {.offset = at, .more = at + 8u < datagram.size()});
    w.two.receive(ethernet_frame(mac(2), mac(1), wire::ether_type::ipv4, packet), w.link.now);
  }
  CHECK(w.two->counters().frames_dropped == before.frames_dropped + datagram.size() / 8);
  bytes into(64);
  CHECK_FALSE(port->receive(into).value());
  CHECK(port->send(pattern(1472), {ip("10.0.0.1"), 7}, w.link.now));
  auto const large = port->send(pattern(1473), {ip("10.0.0.1"), 7}, w.link.now);
  REQUIRE_FALSE(large);
  CHECK(large.error().is(net_error::message_too_long));
  auto* const raw = w.two->open_raw(address_family::v4, 253).value();
  CHECK(raw->send(pattern(1481), ip("10.0.0.1"), w.link.now).error().is(net_error::message_too_long));
}

TEST_CASE("what an image lacks is no option, and who sets it in code is told") {
  struct wrong {
    void (*make)(direct_stack_options&);
    char const* said;
  };
  wrong const all[] = {
      {[](auto& o) { o.ipv4 = *ipv4_setting::parse("dhcp"); }, "ipv4: this image was configured without DHCP"},
      {[](auto& o) { o.ipv6.addresses[0] = {other_v6, 64}, o.ipv6.count = 1; }, "ipv6: this image was configured without IPv6"},
      {[](auto& o) { o.ipv4 = *ipv4_setting::parse("none"); }, "without any address"},
  };
  for (auto const& one : all) {
    world w;
    cable_end end(capabilities(1, false));
    auto options = options_of(1);
    one.make(options);
    INFO(one.said);
    auto made = w.run(network::connect(w.context(), end, options));
    REQUIRE((made && !made->has_value()));
    CHECK(made->error().is(core_error::invalid_argument));
    CHECK(w.log().find(one.said) != std::string::npos);
    CHECK(std::count(w.log().begin(), w.log().end(), '\n') == 1);
  }
}

TEST_CASE("whole stacks talk, begin at once and end in order") {
  world w;
  cable_end near(capabilities(1, false)), far(capabilities(2, false));
  near.join(far);
  auto first = std::move(*w.run(network::connect(w.context(), near, options_of(1)))).value();
  auto second = std::move(*w.run(network::connect(w.context(), far, options_of(2)))).value();
  CHECK(first->leases() == nullptr);
  CHECK(first->name_servers().empty());
  CHECK(first->listen({.address = other_v6, .port = 80}).error().is(net_error::address_not_available));
  auto listener = std::move(*second->listen({.port = 80}));
  auto const session = [&]() -> task<result<std::size_t>> {
    auto client = co_await first->connect({second_v4, 80}, never);
    if (!client) co_return failure(client.error());
    auto server = co_await listener.accept(never);
    if (!server) co_return failure(server.error());
    if (auto sent = co_await send_pattern(*client, 100'000, 1000); !sent) co_return failure(sent.error());
    co_return co_await take_pattern(*server, 3000);
  };
  auto const got = w.run(session());
  REQUIRE((got && *got));
  CHECK(**got == 100'000);
  CHECK(w.run(first->disconnect()));
  CHECK(w.run(second->disconnect()));
}
