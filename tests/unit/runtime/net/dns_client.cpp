#include <catch2/catch.hpp>

#include "morgana/net/dns/client.hpp"
#include "scripted_network.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;
using dns::record_type;

dns::name named(std::string_view text) {
  return dns::name::parse(text).value();
}

/// A name server's reply to `query`.
bytes answer_to(bytes const& query, std::vector<ip_address> const& addresses, bool truncated = false,
                dns::response_code code = dns::response_code::no_error) {
  auto reader = dns::message_reader::open(query).value();
  auto head = reader.header();
  auto const asked = reader.next_question().value();
  head.is_response = true;
  head.is_truncated = truncated;
  head.code = code;
  bytes into(2048);
  dns::message_writer writer(into, head);
  writer.add(asked);
  for (auto const& one : addresses) {
    if (one.is_v4() == (asked.type == record_type::a)) writer.add(asked.name, 100, one);
  }
  if (code == dns::response_code::no_such_name) writer.add_authority(named("example"), 60, 60);
  auto const made = writer.finish();
  return {made.begin(), made.end()};
}

struct names_under_test {
  names_under_test() {
    (void)network.servers.add(ip("192.0.2.53"));
    network.on_datagram = [this](endpoint const& to, bytes const& query) {
      ++queries;
      CHECK(to.port == 53);
      return std::vector<scripted_network::reply>{{answer_to(query, known), delay}};
    };
  }
  result<address_list> ask(std::string_view name, duration length = 30s) {
    return world.run(names.resolve(name, fake_now() + length)).value();
  }
  instant fake_now() const { return test::fake().now; }

  test::world world;
  scripted_network network;
  std::vector<ip_address> known{ip("203.0.113.1"), ip("2001:db8::1")};
  duration delay = 10ms;
  int queries = 0;
  dns_client<scripted_network> names{network, {}, siphash_key{1, 2}};
};

}  // namespace

static_assert(resolver<dns_client<scripted_network>>);

TEST_CASE("a name resolves to its addresses of both families, asked for at once", "[dns]") {
  names_under_test t;
  auto const found = t.ask("www.example");
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK((*found)[0] == ip("2001:db8::1"));
  CHECK((*found)[1] == ip("203.0.113.1"));
  CHECK(t.queries == 2);
  CHECK(t.network.bound == 2);  // a socket, and a port, for each
  CHECK(t.world.elapsed() == 10ms);
  REQUIRE(t.ask("WWW.example."));
  CHECK(t.queries == 2);
  CHECK(t.names.counters().cache_hits == 2);
  t.world.advance(101s);
  REQUIRE(t.ask("www.example"));
  CHECK(t.queries == 4);
}

TEST_CASE("one family is asked for alone", "[dns]") {
  names_under_test t;
  auto const found =
      t.world.run(t.names.resolve("www.example", address_family::v4, t.fake_now() + 9s)).value();
  REQUIRE(found);
  CHECK(found->size() == 1);
  CHECK(t.queries == 1);
}

TEST_CASE("names that need no server are answered without one", "[dns]") {
  names_under_test t;
  CHECK(t.ask("localhost")->size() == 2);
  CHECK((*t.ask("192.0.2.7"))[0] == ip("192.0.2.7"));
  CHECK(t.ask("x.invalid").error().is(net_error::name_not_found));
  CHECK(t.ask("a b").error().is(net_error::invalid_address));
  CHECK(t.queries == 0);
}

TEST_CASE("a name without addresses is not found, and not asked for again at once", "[dns]") {
  names_under_test t;
  t.network.on_datagram = [&](endpoint const&, bytes const& query) {
    ++t.queries;
    return std::vector<scripted_network::reply>{
        {answer_to(query, {}, false, dns::response_code::no_such_name), 1ms}};
  };
  CHECK(t.ask("nothing.example").error().is(net_error::name_not_found));
  CHECK(t.ask("nothing.example").error().is(net_error::name_not_found));
  CHECK(t.queries == 2);
}

TEST_CASE("a truncated answer comes over TCP", "[dns]") {
  names_under_test t;
  t.network.on_datagram = [&](endpoint const&, bytes const& query) {
    return std::vector<scripted_network::reply>{{answer_to(query, {}, true), 1ms}};
  };
  t.network.on_connect = [&](endpoint const& to) {
    CHECK(to == endpoint{ip("192.0.2.53"), 53});
    scripted_network::connection_plan plan;
    plan.answer = [&](bytes const& written) {
      bytes length(2);
      auto const message = answer_to(bytes(written.begin() + 2, written.end()), t.known);
      CHECK(wire::load16(written, 0) == written.size() - 2);
      wire::store16(length, 0, static_cast<std::uint16_t>(message.size()));
      return length + message;
    };
    return plan;
  };
  auto const found = t.ask("www.example");
  REQUIRE(found);
  CHECK(found->size() == 2);
  CHECK(t.names.counters().truncated == 2);
  CHECK(t.names.counters().queries_tcp == 2);
  CHECK(t.network.open_streams == 0);
}

TEST_CASE("an answer over TCP has a limit", "[dns]") {
  names_under_test t;
  resolver_limits limits;
  limits.message_bytes = 100;
  limits.tries = 2;
  dns_client<scripted_network> names(t.network, {}, siphash_key{1, 2}, limits);
  t.network.on_datagram = [&](endpoint const&, bytes const& query) {
    return std::vector<scripted_network::reply>{{answer_to(query, {}, true), 1ms}};
  };
  t.network.on_connect = [&](endpoint const&) {
    scripted_network::connection_plan plan;
    plan.answer = [](bytes const&) { return bytes{std::byte{0}, std::byte{101}}; };
    return plan;
  };
  auto const found = t.world.run(names.resolve("www.example", address_family::v4, t.fake_now() + 9s)).value();
  CHECK(found.error().is(net_error::unreachable));
  CHECK(names.counters().too_long == 1);
}

TEST_CASE("silence ends at the deadline", "[dns]") {
  names_under_test t;
  t.network.on_datagram = [](endpoint const&, bytes const&) {
    return std::vector<scripted_network::reply>{};
  };
  CHECK(t.ask("www.example", 3s).error().is(net_error::timed_out));
  CHECK(t.world.elapsed() == 3s);
  CHECK(t.ask("www.example", 100s).error().is(net_error::timed_out));
  CHECK(t.names.counters().tries_limit >= 1);
}

TEST_CASE("a question that is being asked is not asked twice", "[dns]") {
  names_under_test t;
  auto const both = [&]() -> task<int> {
    auto [a, b] = co_await all(t.names.resolve("www.example", address_family::v4, t.fake_now() + 9s),
                               t.names.resolve("www.EXAMPLE", address_family::v4, t.fake_now() + 9s));
    co_return (a ? 1 : 0) + (b ? 1 : 0);
  };
  CHECK(t.world.run(both()) == 2);
  CHECK(t.queries == 1);
}

TEST_CASE("who waits for another's question asks itself when that one gave up", "[dns]") {
  names_under_test t;
  t.delay = 500ms;
  auto const both = [&]() -> task<bool> {
    auto [impatient, patient] =
        co_await all(t.names.resolve("www.example", address_family::v4, t.fake_now() + 100ms),
                     t.names.resolve("www.example", address_family::v4, t.fake_now() + 9s));
    CHECK(impatient.error().is(net_error::timed_out));
    co_return patient.has_value();
  };
  CHECK(t.world.run(both()) == true);
  CHECK(t.queries == 2);
}

TEST_CASE("so many questions are asked at once, the rest wait", "[dns]") {
  names_under_test t;
  resolver_limits limits;
  limits.lookups = 1;
  dns_client<scripted_network> names(t.network, {}, siphash_key{1, 2}, limits);
  CHECK(t.world.run(names.resolve("www.example", t.fake_now() + 9s)).value());
  CHECK(t.world.elapsed() == 20ms);
  CHECK(names.counters().lookups_limit == 1);
}

TEST_CASE("without name servers nothing can be asked", "[dns]") {
  names_under_test t;
  t.network.servers = {};
  CHECK(t.ask("www.example").error().is(net_error::unreachable));
}

TEST_CASE("name servers are read as a setting", "[dns]") {
  CHECK(name_server_setting::parse("auto")->count == 0);
  auto const two = name_server_setting::parse("192.0.2.1,[2001:db8::1]:5353");
  REQUIRE(two);
  CHECK(two->servers[0] == endpoint{ip("192.0.2.1"), 53});
  CHECK(two->servers[1] == endpoint{ip("2001:db8::1"), 5353});
  for (auto const* wrong : {"", ",", "x", "192.0.2.1,", "192.0.2.1:0",
                            "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7"}) {
    CAPTURE(wrong);
    CHECK_FALSE(name_server_setting::parse(wrong));
  }
}

}  // namespace morgana::net::testing
