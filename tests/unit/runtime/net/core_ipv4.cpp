#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

auto const one_address = ip("10.0.0.1");
auto const two_address = ip("10.0.0.2");

/// Two hosts on one Ethernet that know nothing of each other yet.
struct pair {
  ethernet link;
  host_under_test& one = link.add(quiet(1, "10.0.0.1/24"));
  host_under_test& two = link.add(quiet(2, "10.0.0.2/24"));
};

bytes read(udp_port& port, endpoint* from = nullptr) {
  bytes into(70'000);
  auto const got = port.receive(into);
  REQUIRE(got.has_value());
  REQUIRE(got->has_value());
  if (from != nullptr) *from = (*got)->from;
  into.resize((*got)->size);
  return into;
}

/// One host, a peer made by hand at 10.0.0.9 whose link address it knows.
struct scripted {
  host_under_test host;
  instant now{};
  ip_address const mine = one_address;
  ip_address const peer = ip("10.0.0.9");

  explicit scripted(core_configuration const& configuration = quiet(1, "10.0.0.1/24")) : host(configuration, 1) {
    (void)host.sent(now);
    wire::arp_packet request;
    request.sender_mac = mac(9);
    request.sender = peer.v4();
    request.target = mine.v4();
    host.receive(arp_frame(wire::broadcast_mac, request), now);
    REQUIRE(host.sent(now).size() == 1);
  }
  void receive(bytes const& packet, mac_address const& to = mac(1)) {
    host.receive(ethernet_frame(to, mac(9), wire::ether_type::ipv4, packet), now);
  }
};

}  // namespace

TEST_CASE("a datagram passes between two hosts that first ask for each other") {
  pair under;
  auto* const server = under.two->bind({two_address, 7}).value();
  auto* const client = under.one->bind({one_address, 0}).value();
  CHECK(client->local().port >= 49'152);
  auto const sent = pattern(100);
  REQUIRE(client->send(sent, {two_address, 7}, under.link.now));
  under.link.settle();
  endpoint from;
  CHECK(read(*server, &from) == sent);
  CHECK(from == client->local());
  auto const event = under.two->poll_event();
  REQUIRE(event);
  CHECK(event->port == server);
  CHECK_FALSE(under.two->poll_event());
  REQUIRE(server->send(pattern(3), from, under.link.now));
  under.link.settle();
  CHECK(read(*client) == pattern(3));
  CHECK(under.one->counters().wrong_checksums == 0);
  CHECK(under.two->counters().datagrams_in == 1);
}

TEST_CASE("datagrams of every size arrive whole, in fragments where they must") {
  pair under;
  auto* const server = under.two->bind({two_address, 7}).value();
  auto* const client = under.one->bind({one_address, 0}).value();
  REQUIRE(client->send(pattern(1), {two_address, 7}, under.link.now));
  under.link.settle();
  (void)read(*server);
  for (auto const size : std::initializer_list<std::size_t>{0, 1, 2, 10, 62, 63, 82, 83, 100, 1000, 1472, 1473, 2952, 2953, 5000, 10'000, 65'507}) {
    INFO(size);
    auto const sent = pattern(size, 3);
    REQUIRE(client->send(sent, {two_address, 7}, under.link.now));
    under.link.settle();
    REQUIRE(read(*server) == sent);
  }
  CHECK(under.one->counters().fragments_out == 2 + 2 + 3 + 4 + 7 + 45);
  CHECK(client->send(pattern(65'508), {two_address, 7}, under.link.now).error().is(net_error::message_too_long));
  for (auto const& frame : under.link.frames) REQUIRE(frame.size() <= 1514);
}

TEST_CASE("an MTU of 36 cuts 1024 bytes into fragments of 16, with right offsets and one identification") {
  ethernet link;
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.device.mtu_bytes = 36;
  auto& one = link.add(configuration);
  auto& two = link.add(quiet(2, "10.0.0.2/24"));
  auto* const server = two->bind({two_address, 7}).value();
  auto* const client = one->bind({one_address, 0}).value();
  REQUIRE(client->send(pattern(1), {two_address, 7}, link.now));
  link.settle();
  (void)read(*server);
  link.frames.clear();
  REQUIRE(client->send(pattern(1016), {two_address, 7}, link.now));
  link.settle();
  REQUIRE(link.frames.size() == 64);
  std::optional<std::uint16_t> identification;
  for (std::size_t i = 0; i < link.frames.size(); ++i) {
    auto const packet = payload_of(link.frames[i]);
    auto const header = wire::ipv4_header::parse(packet, packet.size());
    REQUIRE(header.has_value());
    CHECK(header->fragment_offset_bytes == i * 16);
    CHECK(header->more_fragments == (i != 63));
    CHECK_FALSE(header->do_not_fragment);
    if (identification) CHECK(header->identification == *identification);
    identification = header->identification;
  }
  CHECK(read(*server) == pattern(1016));
}

TEST_CASE("a host answers an echo request, and not one that is for another") {
  scripted under;
  auto const body = pattern(56);
  under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::icmp_v4,
                            icmp_message(false, under.peer, under.mine, 8, 0, 0x00070001, body)));
  auto const sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  CHECK(link_of(sent[0]).destination == mac(9));
  auto const header = wire::ipv4_header::parse(payload_of(sent[0]), sent[0].size() - 14).value();
  CHECK(header.do_not_fragment);
  CHECK(header.identification == 0);
  bytes const message(sent[0].begin() + 34, sent[0].end());
  CHECK(message == icmp_message(false, under.mine, under.peer, 0, 0, 0x00070001, body));

  auto const other = ip("10.0.0.5");
  under.receive(ipv4_packet(under.peer, other, wire::protocol::icmp_v4, icmp_message(false, under.peer, other, 8, 0, 1, body)));
  CHECK(under.host.sent(under.now).empty());
  CHECK(under.host->counters().not_for_us == 1);
}

TEST_CASE("echo requests go out and their replies are told, large ones in fragments too") {
  pair under;
  REQUIRE(under.one->ping(two_address, 5, 1, 56, under.link.now));
  under.link.settle();
  REQUIRE(under.one->ping(two_address, 5, 2, 5000, under.link.now));
  under.link.settle();
  for (std::uint16_t sequence = 1; sequence <= 2; ++sequence) {
    auto const event = under.one->poll_event();
    REQUIRE(event);
    REQUIRE(event->echo_reply);
    CHECK(event->echo_reply->from == two_address);
    CHECK(event->echo_reply->identifier == 5);
    CHECK(event->echo_reply->sequence == sequence);
  }
  CHECK(under.two->counters().echo_replies == 2);
}

TEST_CASE("what is cut short or damaged is counted and answers nothing") {
  scripted under;
  auto const whole = ethernet_frame(mac(1), mac(9), wire::ether_type::ipv4,
                                    ipv4_packet(under.peer, under.mine, wire::protocol::icmp_v4,
                                                icmp_message(false, under.peer, under.mine, 8, 0, 1, pattern(20))));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    under.host.receive(bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), under.now);
  }
  CHECK(under.host.sent(under.now).empty());
  for (std::size_t i = 14; i < whole.size(); ++i) {
    auto damaged = whole;
    damaged[i] ^= std::byte{0x10};
    under.host.receive(damaged, under.now);
    INFO("byte " << i);
    REQUIRE(under.host.sent(under.now).empty());
  }
  CHECK(under.host->counters().wrong_checksums > 0);
  under.host.receive(whole + pattern(10), under.now);   // trailing bytes are not the packet's
  REQUIRE(under.host.sent(under.now).size() == 1);
}

TEST_CASE("UDP checksums: right, wrong, none, and none but expected") {
  scripted under;
  auto* const port = under.host->bind({under.mine, 7}).value();
  endpoint const from{under.peer, 1000}, to{under.mine, 7};
  auto const right = udp_datagram(from, to, pattern(11));
  auto const send = [&](bytes const& datagram) {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp, datagram));
  };
  send(right);
  CHECK(read(*port) == pattern(11));
  auto wrong = right;
  wire::store16(wrong, 6, static_cast<std::uint16_t>(wire::load16(wrong, 6) + 1));
  send(wrong);
  CHECK_FALSE(port->receive(wrong).value().has_value());
  CHECK(under.host->counters().wrong_checksums == 1);
  auto none = right;
  wire::store16(none, 6, 0);
  send(none);
  CHECK(read(*port) == pattern(11));
  // What the device has verified is not looked at again.
  under.host.receive(ethernet_frame(mac(1), mac(9), wire::ether_type::ipv4,
                                    ipv4_packet(under.peer, under.mine, wire::protocol::udp, wrong)),
                     under.now, checksum_state::valid);
  CHECK(read(*port) == pattern(11));
}

TEST_CASE("a datagram to a port nobody has is answered, unless it went to many") {
  scripted under;
  endpoint const from{under.peer, 1000};
  auto const unwanted = ipv4_packet(under.peer, under.mine, wire::protocol::udp, udp_datagram(from, {under.mine, 9}, pattern(5)));
  under.receive(unwanted);
  auto const sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  bytes const message(sent[0].begin() + 34, sent[0].end());
  CHECK(message == icmp_message(false, under.mine, under.peer, 3, 3, 0, unwanted));
  for (auto const* broadcast : {"255.255.255.255", "10.0.0.255"}) {
    auto const all = ip(broadcast);
    under.receive(ipv4_packet(under.peer, all, wire::protocol::udp, udp_datagram(from, {all, 9}, pattern(5))),
                  wire::broadcast_mac);
  }
  CHECK(under.host.sent(under.now).empty());
  CHECK(under.host->counters().port_unreachable == 3);
}

TEST_CASE("an unknown protocol is answered with protocol unreachable; an ICMP error never is") {
  scripted under;
  under.receive(ipv4_packet(under.peer, under.mine, static_cast<wire::protocol>(200), pattern(20)));
  auto const sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0][34] == std::byte{3});
  CHECK(sent[0][35] == std::byte{2});
}

TEST_CASE("ICMP errors are limited per host and altogether") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.icmp_errors_per_host_per_s = 10;
  scripted under(configuration);
  for (int i = 0; i < 50; ++i) {
    under.receive(ipv4_packet(under.peer, under.mine, static_cast<wire::protocol>(200), pattern(20)));
  }
  CHECK(under.host.sent(under.now).size() == 10);
  CHECK(under.host->counters().icmp_errors_suppressed == 40);
  under.now += 1s;
  under.receive(ipv4_packet(under.peer, under.mine, static_cast<wire::protocol>(200), pattern(20)));
  CHECK(under.host.sent(under.now).size() == 1);
}

TEST_CASE("an ICMP error comes back as the socket's error") {
  pair under;
  auto* const client = under.one->bind({one_address, 0}).value();
  REQUIRE(client->send(pattern(4), {two_address, 99}, under.link.now));
  under.link.settle();
  bytes into(10);
  auto const got = client->receive(into);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().is(net_error::refused));
  CHECK(client->receive(into).value() == std::nullopt);
  // Nobody has this address at all.
  REQUIRE(client->send(pattern(4), {ip("10.0.0.77"), 99}, under.link.now));
  under.link.run(4s);
  CHECK(client->receive(into).error().is(net_error::unreachable));
  CHECK(under.one->counters().neighbor_failures == 1);
  // And this one no route.
  CHECK(client->send(pattern(4), {ip("192.0.2.1"), 99}, under.link.now).error().is(net_error::unreachable));
}

TEST_CASE("a path that is too narrow is learned, used, and forgotten after ten minutes") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.routes = {{net_of("0.0.0.0/0"), ip("10.0.0.9")}};
  scripted under(configuration);
  auto* const port = under.host->bind({under.mine, 4000}).value();
  auto const far = ip("192.0.2.1");
  REQUIRE(port->send(pattern(1400), {far, 53}, under.now));
  auto sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  auto const too_big = [&](bytes const& about, std::uint32_t mtu) {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::icmp_v4,
                              icmp_message(false, under.peer, under.mine, 3, 4, mtu, bytes(about.begin(), about.begin() + 28))));
  };
  SECTION("to what the router says") {
    too_big(payload_of(sent[0]), 1000);
    CHECK(under.host->path_to(far, under.now)->mtu_bytes == 1000);
    bytes into(10);
    CHECK(port->receive(into).error().is(net_error::message_too_long));
    REQUIRE(port->send(pattern(1400), {far, 53}, under.now));
    CHECK(under.host.sent(under.now).size() == 2);
    under.now += 10min;
    under.host->on_deadline(under.now);
    CHECK(under.host->path_to(far, under.now)->mtu_bytes == 1500);
  }
  SECTION("never below the minimum") {
    too_big(payload_of(sent[0]), 68);
    CHECK(under.host->path_to(far, under.now)->mtu_bytes == 552);
  }
  SECTION("by the table where an old router says nothing") {
    too_big(payload_of(sent[0]), 0);
    CHECK(under.host->path_to(far, under.now)->mtu_bytes == 1006);
  }
  SECTION("not from a quote of what we did not send") {
    auto forged = payload_of(sent[0]);
    wire::store16(forged, 20, 4001);
    too_big(forged, 600);
    CHECK(under.host->path_to(far, under.now)->mtu_bytes == 1500);
  }
}

TEST_CASE("the longest prefix wins, and routes can be taken away") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.routes = {{net_of("0.0.0.0/0"), ip("10.0.0.9")}, {net_of("192.0.2.0/24"), ip("10.0.0.8")}};
  host_under_test host(configuration, 1);
  (void)host.sent({});
  auto const asked_for = [&](std::string_view destination) {
    (void)host->ping(ip(destination), 1, 1, 0, instant{});
    auto const sent = host.sent({});
    if (sent.empty()) return std::string("nobody");
    fixed_text<64> text;
    write_text(text, wire::arp_packet::parse(payload_of(sent[0])).value().target);
    return std::string(text.view());
  };
  CHECK(asked_for("10.0.0.4") == "10.0.0.4");
  CHECK(asked_for("192.0.2.1") == "10.0.0.8");
  CHECK(asked_for("198.51.100.1") == "10.0.0.9");
  REQUIRE(host->add_route({net_of("10.0.0.5/32"), ip("10.0.0.7")}));
  CHECK(asked_for("10.0.0.5") == "10.0.0.7");
  host->remove_route(net_of("0.0.0.0/0"));
  CHECK(asked_for("203.0.113.1") == "nobody");
  CHECK(host->counters().no_route == 0);   // said to the caller instead
}

TEST_CASE("an incomplete datagram ends in time exceeded when its first fragment came") {
  scripted under;
  under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp, pattern(64), {.offset = 0, .more = true}));
  under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp, pattern(64),
                            {.identification = 2, .offset = 64, .more = true}));
  CHECK(under.host->next_deadline() <= under.now + 30s);
  under.now += 30s;
  under.host->on_deadline(under.now);
  auto const sent = under.host.sent(under.now);
  std::size_t errors = 0;
  for (auto const& frame : sent) {
    if (link_of(frame).type != wire::ether_type::ipv4) continue;
    ++errors;
    CHECK(frame[34] == std::byte{11});
    CHECK(frame[35] == std::byte{1});
  }
  CHECK(errors == 1);
  CHECK(under.host->counters().reassembly_timeouts == 2);
}

TEST_CASE("a socket's queue has a limit; what arrives beyond it is dropped and counted") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.datagram_queue_bytes = 4096;
  scripted under(configuration);
  auto* const port = under.host->bind({under.mine, 7}).value();
  for (int i = 0; i < 20; ++i) {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp,
                              udp_datagram({under.peer, 1000}, {under.mine, 7}, pattern(500))));
  }
  CHECK(under.host->counters().datagrams_dropped == 16);
  for (int i = 0; i < 4; ++i) CHECK(read(*port).size() == 500);
  bytes into(10);
  CHECK_FALSE(port->receive(into).value().has_value());
  port->release();
}

TEST_CASE("ports: taken ones, free ones, wildcards, and the limit") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.datagram_sockets = 4;
  scripted under(configuration);
  auto* const all = under.host->bind({ip("::"), 53}).value();
  auto* const mine = under.host->bind({under.mine, 53}).value();
  CHECK(under.host->bind({under.mine, 53}).error().is(net_error::address_in_use));
  CHECK(under.host->bind({ip("10.0.0.200"), 53}).error().is(net_error::address_not_available));
  auto const to_53 = [&] {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp,
                              udp_datagram({under.peer, 1000}, {under.mine, 53}, pattern(5))));
  };
  to_53();
  CHECK(read(*mine) == pattern(5));
  mine->release();
  to_53();
  CHECK(read(*all) == pattern(5));
  auto const first = under.host->bind({ip("0.0.0.0"), 0}).value()->local().port;
  auto const second = under.host->bind({ip("0.0.0.0"), 0}).value()->local().port;
  CHECK(first != second);
  REQUIRE(under.host->bind({under.mine, 9}));
  CHECK(under.host->bind({under.mine, 10}).error().is(net_error::limit_reached));
}

TEST_CASE("a host talks to itself without its device") {
  host_under_test host(quiet(1, "10.0.0.1/24"), 1);
  (void)host.sent({});
  auto* const server = host->bind({ip("0.0.0.0"), 7}).value();
  auto* const client = host->bind({ip("0.0.0.0"), 0}).value();
  for (auto const* to : {"10.0.0.1", "127.0.0.1"}) {
    for (auto const size : std::initializer_list<std::size_t>{10, 3000, 60'000}) {
      REQUIRE(client->send(pattern(size), {ip(to), 7}, instant{}));
      CHECK(host.sent({}).empty());
      CHECK(read(*server) == pattern(size));
    }
  }
}

TEST_CASE("frames of another VLAN, another host or a group as sender are not looked at") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.vlan = 42;
  host_under_test host(configuration, 1);
  auto const announced = host.sent({});
  REQUIRE_FALSE(announced.empty());
  CHECK(link_of(announced[0]).vlan == 42);
  wire::arp_packet request;
  request.sender_mac = mac(9);
  request.sender = ip("10.0.0.9").v4();
  request.target = one_address.v4();
  bytes body(wire::arp_packet::size_bytes);
  request.emit(body);
  auto const tagged = [&](std::optional<std::uint16_t> vlan, mac_address const& to, mac_address const& from) {
    wire::ethernet_header header{to, from, wire::ether_type::arp, vlan};
    bytes head(header.encoded_bytes());
    header.emit(head);
    host.receive(head + body, {});
    return host.sent({}).size();
  };
  CHECK(tagged(std::nullopt, mac(1), mac(9)) == 0);
  CHECK(tagged(43, mac(1), mac(9)) == 0);
  CHECK(tagged(42, mac(3), mac(9)) == 0);
  CHECK(tagged(42, mac(1), wire::broadcast_mac) == 0);
  CHECK(host->counters().not_for_us == 4);
  CHECK(tagged(42, mac(1), mac(9)) == 1);
}

TEST_CASE("A datagram whose sum is zero goes out and comes in as all ones") {
  scripted under;
  auto* const port = under.host->bind({under.mine, 7}).value();
  endpoint const theirs{under.peer, 1000};
  // The two bytes that bring the sum to zero are what it is without them.
  for (bool outgoing : {true, false}) {
    auto const from = outgoing ? port->local() : theirs;
    auto const to = outgoing ? theirs : port->local();
    auto const without = udp_datagram(from, to, bytes(2));
    auto const missing = wire::load16(without, 6);
    bytes payload(2);
    wire::store16(payload, 0, missing);
    auto const datagram = udp_datagram(from, to, payload);
    REQUIRE(wire::load16(datagram, 6) == 0xffff);
    if (outgoing) {
      REQUIRE(port->send(payload, theirs, under.now));
      auto const sent = under.host.sent(under.now);
      REQUIRE(sent.size() == 1);
      CHECK(wire::load16(sent[0], 14 + 20 + 6) == 0xffff);
    } else {
      under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp, datagram));
      CHECK(read(*port) == payload);
    }
  }
}
