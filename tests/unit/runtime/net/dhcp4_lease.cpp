// The DHCPv4 client against the server, in virtual time: over a link that loses what it is told to.
#include <catch2/catch.hpp>

#include "morgana/net/dhcp/v4_client.hpp"
#include "morgana/net/dhcp/v4_server.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;
using dhcp::v4_client;
using dhcp::v4_message;
using dhcp::v4_server;
using dhcp::v4_state;
using dhcp::v4_type;
using kind = v4_client::event::kind;

ipv4_address v4(std::string_view text) {
  return ipv4_address::parse(text).value();
}

dhcp::v4_server_configuration serves(std::string_view first = "10.0.0.100",
                                     std::string_view last = "10.0.0.199") {
  dhcp::v4_server_configuration made;
  made.address = v4("10.0.0.1");
  made.subnet = net_of("10.0.0.0/24");
  made.first = v4(first);
  made.last = v4(last);
  made.routers = {v4("10.0.0.1")};
  made.name_servers = {v4("10.0.0.53")};
  made.lease_length = 1000s;
  return made;
}

struct lan {
  explicit lan(dhcp::v4_server_configuration const& configuration = serves()) : serving(configuration) {
    restart();
  }

  v4_client& add(std::uint8_t number, std::optional<ipv4_address> previous = std::nullopt) {
    dhcp::v4_client_configuration made;
    made.hardware = mac(number);
    made.previous = previous;
    clients.push_back(std::make_unique<v4_client>(made, limits, siphash_key{number, 1}));
    told.emplace_back();
    clients.back()->start(now);
    return *clients.back();
  }
  void restart() { server.emplace(serving, limits, siphash_key{7, 7}); }

  void deliver_replies() {
    while (auto const out = server->poll_transmit(now)) {
      bytes const message(out->message.begin(), out->message.end());
      auto const read = v4_message::parse(message).value();
      replies.push_back({out->to, read});
      if (drop && drop(read)) continue;
      for (auto& one : clients) one->input(message, now);
    }
  }
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      deliver_replies();
      for (std::size_t i = 0; i < clients.size(); ++i) {
        while (auto const out = clients[i]->poll_transmit(now)) {
          moved = true;
          bytes const message(out->message.begin(), out->message.end());
          auto const read = v4_message::parse(message).value();
          sent.push_back({out->to, read});
          if (is_up && !(drop && drop(read))) server->input(message, now);
          deliver_replies();
        }
        while (auto const one = clients[i]->poll_event()) told[i].push_back({one->what, one->lease});
      }
    }
  }
  void run(duration length) {
    auto const end = now + length;
    settle();
    for (int steps = 0;; ++steps) {
      REQUIRE(steps < 10'000);
      auto next = server->next_deadline();
      for (auto& one : clients) next = std::min(next, one->next_deadline());
      if (next > end) break;
      now = std::max(now, next);
      server->on_deadline(now);
      for (auto& one : clients) one->on_deadline(now);
      settle();
    }
    now = end;
  }
  std::size_t count(v4_type type) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(sent, [&](auto const& one) { return one.message.type == type; }));
  }

  struct packet {
    endpoint to;
    v4_message message;
  };
  struct happened {
    kind what;
    dhcp::v4_lease lease;
  };
  dhcp::v4_server_configuration serving;
  dhcp_limits limits;
  std::optional<v4_server> server;
  std::vector<std::unique_ptr<v4_client>> clients;
  std::vector<std::vector<happened>> told;
  std::vector<packet> sent, replies;
  std::function<bool(v4_message const&)> drop;
  bool is_up = true;
  instant now{};
};

}  // namespace

TEST_CASE("a client gets a lease in four messages", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  CHECK(client.state() == v4_state::bound);
  REQUIRE(link.sent.size() == 2);
  CHECK(link.sent[0].message.type == v4_type::discover);
  CHECK(link.sent[0].message.wants_broadcast);
  CHECK(link.sent[0].to == endpoint{ip("255.255.255.255"), 67});
  CHECK(link.sent[1].message.type == v4_type::request);
  CHECK(link.sent[1].message.server == v4("10.0.0.1"));
  CHECK(link.replies[0].to == endpoint{ip("255.255.255.255"), 68});
  REQUIRE(link.told[0].size() == 1);
  auto const& lease = link.told[0][0].lease;
  CHECK(link.told[0][0].what == kind::bound);
  CHECK(net_of("10.0.0.0/24").contains(lease.address.address));
  CHECK(lease.address.prefix_bits == 24);
  CHECK(lease.routers[0] == v4("10.0.0.1"));
  CHECK(lease.name_servers[0] == v4("10.0.0.53"));
  CHECK(lease.renew_at == link.now + 500s);
  CHECK(lease.rebind_at == link.now + 875s);
  CHECK(lease.expires == link.now + 1000s);
}

TEST_CASE("a lease is renewed from the server that gave it, and again, as long as both live", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.run(1999s);
  CHECK(client.state() == v4_state::bound);
  CHECK(client.counters().renewals == 3);
  CHECK(link.told[0].size() == 4);
  CHECK(link.told[0][1].what == kind::renewed);
  auto const& renewal = link.sent[2];
  CHECK(renewal.to == endpoint{ip("10.0.0.1"), 67});
  CHECK(renewal.message.client == link.told[0][0].lease.address.address.v4());
  CHECK_FALSE(renewal.message.server);
  CHECK_FALSE(renewal.message.requested_address);
  CHECK(link.replies[2].to.address == ip_address(renewal.message.client));
}

TEST_CASE("without its server a client renews, rebinds, and loses the lease in the end", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  link.is_up = false;
  link.run(875s - 1s);
  CHECK(client.state() == v4_state::renewing);
  auto const renewals = link.sent.size() - 2;
  CHECK(renewals >= 3);
  CHECK(renewals <= 7);  // not more often than once a minute
  link.run(2s);
  CHECK(client.state() == v4_state::rebinding);
  CHECK(link.sent.back().to == endpoint{ip("255.255.255.255"), 67});
  CHECK(link.told[0].size() == 1);
  link.run(124s);
  REQUIRE(link.told[0].size() == 2);
  CHECK(link.told[0][1].what == kind::lost);
  CHECK(client.state() == v4_state::selecting);
  CHECK(client.counters().expired == 1);
  link.is_up = true;
  link.run(70s);
  CHECK(client.state() == v4_state::bound);
  CHECK(link.told[0].back().lease.address == link.told[0][0].lease.address);
}

TEST_CASE("another server takes a rebinding client over", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  link.is_up = false;
  link.run(880s);
  link.serving.address = v4("10.0.0.2");
  link.restart();
  link.is_up = true;
  link.run(70s);
  CHECK(client.state() == v4_state::bound);
  CHECK(client.lease()->server == v4("10.0.0.2"));
  CHECK(link.told[0].back().what == kind::renewed);
}

TEST_CASE("a refused client begins again, and slower when it is refused again", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  // The address is now somebody else's.
  link.serving.reservations = {{mac(9), client.lease()->address.address.v4()}};
  link.restart();
  link.run(501s);
  CHECK(client.counters().refused == 1);
  CHECK(client.state() == v4_state::bound);
  REQUIRE(link.told[0].size() == 3);
  CHECK(link.told[0][1].what == kind::lost);
  CHECK(link.told[0][2].what == kind::bound);
  CHECK(link.told[0][2].lease.address != link.told[0][0].lease.address);
  CHECK(link.replies[2].message.type == v4_type::nak);
  CHECK(link.replies[2].to == endpoint{ip("255.255.255.255"), 68});
}

TEST_CASE("a declined address is not offered again", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  auto const taken = client.lease()->address.address;
  client.conflict(link.now);
  link.settle();
  CHECK(link.sent.back().message.type == v4_type::decline);
  CHECK(link.sent.back().message.requested_address == taken.v4());
  CHECK(link.sent.back().message.client == v4("0.0.0.0"));
  CHECK(link.told[0].back().what == kind::lost);
  CHECK(client.state() == v4_state::init);
  link.run(9s);
  CHECK(client.state() == v4_state::init);
  link.run(2s);
  CHECK(client.state() == v4_state::bound);
  CHECK(client.lease()->address.address != taken);
  CHECK(link.server->counters().declines == 1);
  // Not to others either, for a while.
  link.add(3);
  link.settle();
  CHECK(link.clients[1]->lease()->address.address != taken);
}

TEST_CASE("a released address is free, and the client's own when it comes back", "[dhcp]") {
  lan link(serves("10.0.0.100", "10.0.0.100"));
  auto& client = link.add(2);
  link.settle();
  client.release(link.now);
  link.settle();
  CHECK(link.sent.back().message.type == v4_type::release);
  CHECK(link.sent.back().to == endpoint{ip("10.0.0.1"), 67});
  CHECK(link.told[0].back().what == kind::lost);
  CHECK(client.state() == v4_state::off);
  CHECK(client.next_deadline() == never);
  auto& other = link.add(3);
  link.settle();
  CHECK(other.state() == v4_state::bound);
  client.start(link.now);
  link.settle();
  CHECK(client.state() == v4_state::selecting);
  CHECK(link.server->counters().pool_empty == 1);
}

TEST_CASE("lost messages are sent again, later and later", "[dhcp]") {
  lan link;
  link.is_up = false;
  auto& client = link.add(2);
  link.run(3s - 1ms);
  CHECK(link.sent.size() == 1);
  link.run(2s);
  CHECK(link.sent.size() == 2);
  link.run(300s);
  CHECK(client.state() == v4_state::selecting);
  CHECK(link.sent.size() >= 7);  // 4 + 8 + 16 + 32 + 64 + 64 + 64, each give or take one
  CHECK(link.sent.size() <= 9);
  CHECK(link.sent.back().message.elapsed_s > 200);
}

TEST_CASE("any one message lost does not keep a client from its lease", "[dhcp]") {
  for (auto const lost : {v4_type::discover, v4_type::offer, v4_type::request, v4_type::ack}) {
    lan link;
    int dropped = 0;
    link.drop = [&](v4_message const& one) { return one.type == lost && dropped++ == 0; };
    auto& client = link.add(2);
    link.run(6s);
    CHECK(client.state() == v4_state::bound);
    CHECK(dropped >= 1);
    CHECK(link.server->leases().size() == 1);
  }
}

TEST_CASE("a server that offers and then is silent is not waited for for ever", "[dhcp]") {
  lan link;
  link.drop = [](v4_message const& one) { return one.type == v4_type::request; };
  auto& client = link.add(2);
  link.run(70s);
  CHECK(link.count(v4_type::request) >= 4);
  CHECK(link.count(v4_type::discover) >= 2);
  link.drop = nullptr;
  link.run(70s);
  CHECK(client.state() == v4_state::bound);
}

TEST_CASE("a client that knows its address asks for it first", "[dhcp]") {
  lan link;
  auto& client = link.add(2, v4("10.0.0.150"));
  link.settle();
  CHECK(client.state() == v4_state::bound);
  CHECK(client.lease()->address.address == ip("10.0.0.150"));
  REQUIRE(link.sent.size() == 1);
  CHECK_FALSE(link.sent[0].message.server);
  CHECK(link.sent[0].message.requested_address == v4("10.0.0.150"));

  // From another network: refused at once, and then as any other.
  auto& moved = link.add(3, v4("192.168.1.5"));
  link.settle();
  CHECK(moved.counters().refused == 1);
  CHECK(moved.state() == v4_state::bound);

  // Nobody answers: from the beginning.
  link.drop = [](v4_message const& one) { return one.requested_address && !one.server && !one.is_reply; };
  auto& alone = link.add(4, v4("10.0.0.160"));
  link.run(80s);
  CHECK(alone.state() == v4_state::bound);
}

TEST_CASE("what is not an answer to us is not believed", "[dhcp]") {
  lan link;
  link.is_up = false;
  auto& client = link.add(2);
  link.settle();
  auto offer = link.sent[0].message;
  offer.is_reply = true;
  offer.type = v4_type::offer;
  offer.yours = v4("10.0.0.5");
  offer.server = v4("10.0.0.1");
  offer.lease_s = 60;
  auto const give = [&](v4_message const& one) {
    bytes into(v4_message::bytes_max);
    client.input(one.emit(into), link.now);
    return client.state();
  };
  auto wrong = offer;
  wrong.transaction ^= 1;
  CHECK(give(wrong) == v4_state::selecting);
  wrong = offer;
  wrong.hardware = mac(9);
  CHECK(give(wrong) == v4_state::selecting);
  wrong = offer;
  wrong.client_identifier = dhcp::client_identifier_of(mac(9));
  CHECK(give(wrong) == v4_state::selecting);
  CHECK(client.counters().not_for_us == 3);
  wrong = offer;
  wrong.server.reset();
  CHECK(give(wrong) == v4_state::selecting);
  wrong = offer;
  wrong.yours = v4("224.0.0.1");
  CHECK(give(wrong) == v4_state::selecting);
  wrong = offer;
  wrong.lease_s.reset();
  CHECK(give(wrong) == v4_state::selecting);
  CHECK(client.counters().unusable == 3);
  client.input(bytes(10), link.now);
  CHECK(client.counters().malformed == 1);
  CHECK(give(offer) == v4_state::requesting);
  // Another server's acknowledgment of something else.
  auto ack = offer;
  ack.type = v4_type::ack;
  ack.server = v4("10.0.0.66");
  CHECK(give(ack) == v4_state::requesting);
  ack.server = offer.server;
  ack.subnet_mask = v4("255.0.255.0");
  CHECK(give(ack) == v4_state::requesting);
  ack.subnet_mask = v4("255.255.255.0");
  CHECK(give(ack) == v4_state::bound);
}

TEST_CASE("times that make no sense are those of the standard, and infinite leases have none", "[dhcp]") {
  auto const bound_with = [](std::uint32_t lease_s, std::optional<std::uint32_t> t1,
                             std::optional<std::uint32_t> t2) {
    lan link;
    link.is_up = false;
    auto& client = link.add(2);
    link.settle();
    for (auto const type : {v4_type::offer, v4_type::ack}) {
      auto reply = link.sent.back().message;
      reply.is_reply = true;
      reply.type = type;
      reply.yours = v4("10.0.0.5");
      reply.server = v4("10.0.0.1");
      reply.lease_s = lease_s;
      reply.renewal_s = t1;
      reply.rebinding_s = t2;
      bytes into(v4_message::bytes_max);
      client.input(reply.emit(into), link.now);
      link.settle();
    }
    return client.lease().value();
  };
  auto const start = instant{};
  auto lease = bound_with(800, std::nullopt, std::nullopt);
  CHECK(lease.renew_at == start + 400s);
  CHECK(lease.rebind_at == start + 700s);
  lease = bound_with(800, 100, 200);
  CHECK(lease.renew_at == start + 100s);
  CHECK(lease.rebind_at == start + 200s);
  lease = bound_with(800, 900, 1000);
  CHECK(lease.renew_at == start + 400s);
  CHECK(lease.rebind_at == start + 700s);
  lease = bound_with(dhcp::infinite_s, 1, 2);
  CHECK(lease.renew_at == never);
  CHECK(lease.expires == never);
}

TEST_CASE("reservations are kept for whom they are, inside the pool and outside of it", "[dhcp]") {
  auto configuration = serves("10.0.0.100", "10.0.0.102");
  configuration.reservations = {{mac(2), v4("10.0.0.101")}, {mac(3), v4("10.0.0.7")}};
  lan link(configuration);
  CHECK(link.serving.check(link.limits));
  for (std::uint8_t number = 2; number <= 6; ++number) link.add(number);
  link.settle();
  CHECK(link.clients[0]->lease()->address.address == ip("10.0.0.101"));
  CHECK(link.clients[1]->lease()->address.address == ip("10.0.0.7"));
  CHECK(link.clients[2]->state() == v4_state::bound);
  CHECK(link.clients[3]->state() == v4_state::bound);
  CHECK(link.clients[4]->state() == v4_state::selecting);  // 100 and 102 are given
  CHECK(link.server->counters().pool_empty == 1);
}

TEST_CASE("a server that forgot everything confirms what its clients say", "[dhcp]") {
  lan link;
  auto& client = link.add(2);
  link.settle();
  auto const before = client.lease()->address;
  link.restart();
  link.run(501s);
  CHECK(client.state() == v4_state::bound);
  CHECK(client.lease()->address == before);
  CHECK(link.told[0].size() == 2);
  CHECK(link.server->leases().size() == 1);
}

TEST_CASE("the table of leases is bounded, ended ones give way", "[dhcp]") {
  lan link(serves("10.0.0.100", "10.0.0.101"));
  link.limits.leases = 2;
  link.restart();
  link.add(2);
  link.add(3);
  link.settle();
  CHECK(link.server->leases().size() == 2);
  link.serving.reservations = {{mac(4), v4("10.0.0.9")}};  // an address, but no entry
  link.restart();
  link.clients[0]->start(link.now);
  link.clients[1]->start(link.now);
  link.settle();
  auto& third = link.add(4);
  link.settle();
  CHECK(third.state() == v4_state::selecting);
  CHECK(link.server->counters().leases_limit == 1);
  link.clients[0]->release(link.now);
  link.settle();
  link.clients.erase(link.clients.begin());
  link.told.erase(link.told.begin());
  link.clients[0]->release(link.now);
  link.settle();
  link.run(1100s);
  CHECK(third.state() == v4_state::bound);
  CHECK(link.server->leases().size() == 2);
}

TEST_CASE("a pool larger than the table, or of another subnet, is refused", "[dhcp]") {
  dhcp_limits limits;
  CHECK(serves().check(limits));
  limits.leases = 99;
  CHECK(serves().check(limits).error().is(net_error::limit_reached));
  limits = {};
  CHECK(serves("10.0.0.5", "10.0.0.4").check(limits).error().is(net_error::invalid_address));
  CHECK(serves("10.0.1.5", "10.0.1.9").check(limits).error().is(net_error::invalid_address));
  CHECK(serves("10.0.0.5", "10.0.0.255").check(limits).error().is(net_error::invalid_address));
  auto with = serves();
  with.reservations = {{mac(2), v4("10.0.1.1")}};
  CHECK(with.check(limits).error().is(net_error::invalid_address));
}

TEST_CASE("an address is probed before it is offered, and another one taken when somebody answers",
          "[dhcp]") {
  auto configuration = serves();
  configuration.probe_addresses = true;
  lan link(configuration);
  auto& client = link.add(2);
  link.settle();
  CHECK(client.state() == v4_state::selecting);
  auto const first = link.server->poll_probe();
  REQUIRE(first);
  link.server->probed(*first, true, link.now);
  CHECK(link.server->counters().conflicts == 1);
  auto const second = link.server->poll_probe();
  REQUIRE(second);
  CHECK(*second != *first);
  link.run(499ms);
  CHECK(client.state() == v4_state::selecting);
  link.run(1ms);  // silence is consent
  CHECK(client.state() == v4_state::bound);
  CHECK(client.lease()->address.address == ip_address(*second));
}

TEST_CASE("a server answers so many messages a second", "[dhcp]") {
  lan link;
  link.limits.requests_per_s = 2;
  link.restart();
  for (std::uint8_t number = 2; number < 7; ++number) link.add(number);
  link.settle();
  CHECK(link.server->counters().rate_limited >= 3);
  link.limits.requests_per_s = 200;
  link.run(40s);
  for (auto const& one : link.clients) CHECK(one->state() == v4_state::bound);
}

TEST_CASE("a server informs hosts that have an address, and passes over relays and replies", "[dhcp]") {
  lan link;
  v4_message ask;
  ask.type = v4_type::inform;
  ask.hardware = mac(5);
  ask.client = v4("10.0.0.77");
  bytes into(v4_message::bytes_max);
  link.server->input(ask.emit(into), link.now);
  link.deliver_replies();
  REQUIRE(link.replies.size() == 1);
  CHECK(link.replies[0].to == endpoint{ip("10.0.0.77"), 68});
  CHECK_FALSE(link.replies[0].message.lease_s);
  CHECK(link.replies[0].message.yours == v4("0.0.0.0"));
  CHECK(link.replies[0].message.name_servers.size() == 1);
  ask.relay = v4("10.0.0.2");
  link.server->input(ask.emit(into), link.now);
  CHECK(link.server->counters().relayed == 1);
  ask.relay = {};
  ask.is_reply = true;
  link.server->input(ask.emit(into), link.now);
  CHECK(link.server->counters().not_for_us == 1);
  CHECK_FALSE(link.server->poll_transmit(link.now));
}

}  // namespace morgana::net::testing
