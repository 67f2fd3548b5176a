// What RFC 9293 and RFC 1122 ask of a host and no other file shows (docs/network/ledger.md).
#include "tcp_peer.hpp"
#include "test_link.hpp"

using namespace morgana::net::testing;
using tcp_test::scripted;
using namespace morgana;
using namespace morgana::net;
using wire::tcp_ack, wire::tcp_psh, wire::tcp_rst, wire::tcp_syn;

namespace {

struct met_host {
  host_under_test host;
  instant now{};
  ip_address mine = ip("10.0.0.1"), peer = ip("10.0.0.9");
  explicit met_host(core_configuration const& configuration = quiet(1, "10.0.0.1/24")) : host(configuration, 1) {
    (void)host.sent(now);
    host.receive(arp_frame(wire::broadcast_mac, {wire::arp_operation::request, mac(9), peer.v4(), {}, mine.v4()}), now);
    (void)host.sent(now);
  }
  void receive(bytes const& packet, mac_address const& to = mac(1)) {
    host.receive(ethernet_frame(to, mac(9), wire::ether_type::ipv4, packet), now);
  }
};

bytes tcp_packet(ip_address const& from, ip_address const& to, std::uint8_t flags) {
  wire::tcp_header h;
  h.source_port = 4'000;
  h.destination_port = 80;
  h.sequence = {1'000};
  h.flags = flags;
  h.window = 1'000;
  bytes made(h.encoded_bytes());
  h.emit(made);
  wire::checksum sum;
  sum.add_pseudo_header(from, to, 6, static_cast<std::uint32_t>(made.size()));
  sum.add(made);
  wire::store16(made, 16, sum.finish());
  return ipv4_packet(from, to, wire::protocol::tcp, made);
}

}  // namespace

TEST_CASE("A reset with the exact number ends a connection whose window is closed") {
  scripted s;
  s.listen();
  s.listening->options().receive_buffer_bytes = 2'000;
  s.accept();
  for (int i = 0; i < 2; ++i) {
    s.send(s.header(tcp_ack), 1'000);
    s.their_next += 1'000;
  }
  (void)s.pass(100ms);
  s.send(s.header(tcp_rst));
  CHECK(s.c->failure() == net_error::reset);
}

TEST_CASE("A writer's last segment says so (PSH)") {
  scripted s;
  s.accept();
  s.write(4'000);
  auto const sent = s.receive_all();
  REQUIRE(sent.size() == 3);
  CHECK_FALSE(sent[0].h.has(tcp_psh));
  CHECK_FALSE(sent[1].h.has(tcp_psh));
  CHECK(sent[2].h.has(tcp_psh));
}

TEST_CASE("No segment after the SYN carries an MSS or a window scale") {
  scripted s;
  s.connect();
  s.write(100);
  s.c->shutdown(s.now);
  auto const sent = s.receive_all();
  REQUIRE_FALSE(sent.empty());
  for (auto const& one : sent) {
    CHECK_FALSE(one.h.options.maximum_segment_size.has_value());
    CHECK_FALSE(one.h.options.window_scale.has_value());
    CHECK_FALSE(one.h.options.sack_permitted);
  }
}

TEST_CASE("Soft ICMP errors do not end an established connection") {
  scripted s;
  s.connect();
  s.write(100);
  (void)s.receive_all();
  for (auto const what : {tcp::engine::soft_error::unreachable, tcp::engine::soft_error::refused}) {
    s.mine.engine.on_icmp({s.mine.route.how.source, s.theirs, 0}, s.my_port, s.their_port, s.my_next, what, 0, s.now);
  }
  // The port of our end is what the test calls the peer's in a passive open; both ways round, nothing happens.
  s.mine.engine.on_icmp({s.mine.route.how.source, s.theirs, 0}, s.their_port, s.my_port, s.my_next,
                        tcp::engine::soft_error::refused, 0, s.now);
  CHECK_FALSE(s.c->failure());
  s.my_next += 100;
  s.send(s.header(tcp_ack));
  CHECK(s.c->info().bytes_acknowledged >= 100);
}

TEST_CASE("Connecting to a group, to nobody or to port 0 is refused at once") {
  met_host under;
  for (auto const& to : {endpoint{ip("224.0.0.9"), 80}, endpoint{ip("10.0.0.255"), 80}, endpoint{ip("255.255.255.255"), 80},
                         endpoint{ip("0.0.0.0"), 80}, endpoint{ip("10.0.0.9"), 0}, endpoint{ip("ff02::1"), 80}}) {
    auto const made = under.host->tcp().connect(to, {}, under.now);
    REQUIRE_FALSE(made);
    CHECK(made.error().is(net_error::unreachable));
  }
  CHECK(under.host.sent(under.now).empty());
}

TEST_CASE("Segments from or to groups and broadcast addresses are dropped") {
  met_host under;
  REQUIRE(under.host->tcp().listen({.port = 80}));
  under.receive(tcp_packet(under.peer, ip("10.0.0.255"), tcp_syn), wire::broadcast_mac);
  under.receive(tcp_packet(under.peer, ip("224.0.0.1"), tcp_syn), wire::multicast_mac(ip("224.0.0.1")));
  under.receive(tcp_packet(under.peer, under.mine, tcp_syn), wire::broadcast_mac);
  for (auto const* from : {"224.0.0.1", "10.0.0.255", "255.255.255.255", "0.0.0.0", "127.0.0.1", "10.0.0.1", "240.0.0.1"}) {
    under.receive(tcp_packet(ip(from), under.mine, tcp_syn));
  }
  CHECK(under.host.sent(under.now).empty());
  CHECK(under.host->tcp().connections() == 0);
  under.receive(tcp_packet(under.peer, under.mine, tcp_syn));
  CHECK(under.host.sent(under.now).size() == 1);
}

TEST_CASE("Source quench and ICMP types of no meaning change nothing") {
  met_host under;
  auto* const port = under.host->bind({under.mine, 4'000}).value();
  REQUIRE(port->send(pattern(10), {under.peer, 53}, under.now));
  auto const sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  auto const quote = payload_of(sent[0]);
  for (std::uint8_t const type : {std::uint8_t{4}, std::uint8_t{13}, std::uint8_t{15}, std::uint8_t{17}, std::uint8_t{40},
                                  std::uint8_t{200}}) {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::icmp_v4,
                              icmp_message(false, under.peer, under.mine, type, 0, 0, quote)));
  }
  CHECK(under.host.sent(under.now).empty());
  bytes into(10);
  CHECK(port->receive(into).value() == std::nullopt);
}

TEST_CASE("A packet whose hop limit is one is received, and ours leave with more") {
  met_host under;
  auto* const port = under.host->bind({under.mine, 4'000}).value();
  for (std::uint8_t const limit : {std::uint8_t{0}, std::uint8_t{1}}) {
    under.receive(ipv4_packet(under.peer, under.mine, wire::protocol::udp,
                              udp_datagram({under.peer, 53}, {under.mine, 4'000}, pattern(5)), {.hop_limit = limit}));
    bytes into(10);
    CHECK(port->receive(into).value().has_value());
  }
  REQUIRE(port->send(pattern(5), {under.peer, 53}, under.now));
  auto const sent = under.host.sent(under.now);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0][14 + 8] == std::byte{64});
}

TEST_CASE("Neighbour discovery in fragments is not believed") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.addresses.push_back(net_of("2001:db8::1/64"));
  met_host under(configuration);
  auto const from = ip("2001:db8::9");
  auto const to = ip("2001:db8::1");
  auto const target = to.v6().bytes;
  bytes body;
  for (auto const one : target) body.push_back(static_cast<std::byte>(one));
  body = body + bytes{std::byte{1}, std::byte{1}, std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}};
  auto const asked = icmp_message(true, from, to, 135, 0, 0, body);
  auto const send = [&](wire::protocol next, bytes const& payload) {
    under.host.receive(ethernet_frame(mac(1), mac(9), wire::ether_type::ipv6, ipv6_packet(from, to, next, payload, 255)),
                       under.now);
    return under.host.sent(under.now).size();
  };
  auto const before = under.host->counters().malformed;
  wire::ipv6_fragment whole;
  whole.next_header = wire::protocol::icmp_v6;
  whole.identification = 7;
  bytes head(8);
  whole.emit(head);
  CHECK(send(wire::protocol::fragment, head + asked) == 0);
  whole.more_fragments = true;
  whole.identification = 8;
  whole.emit(head);
  CHECK(send(wire::protocol::fragment, head + bytes(asked.begin(), asked.begin() + 16)) == 0);
  whole.more_fragments = false;
  whole.offset_bytes = 16;
  whole.emit(head);
  CHECK(send(wire::protocol::fragment, head + bytes(asked.begin() + 16, asked.end())) == 0);
  CHECK(under.host->counters().malformed == before + 2);
  CHECK(send(wire::protocol::icmp_v6, asked) == 1);
}
