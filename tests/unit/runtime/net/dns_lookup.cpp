#include <catch2/catch.hpp>

#include <set>

#include "morgana/net/dns/lookup.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;
using dns::name;
using dns::record_type;
using dns::response_code;

name named(std::string_view text) {
  return name::parse(text).value();
}

/// Answers to one lookup, made of the question it asked.
struct asker {
  explicit asker(std::string_view what = "www.example.org", record_type type = record_type::a,
                 std::vector<endpoint> const& where = {{ip("192.0.2.53"), 53}, {ip("192.0.2.54"), 53}}) {
    servers.set(where);
    one.emplace(named(what), type, servers, limits, random, counted, now);
  }

  /// Fetches the next transmission; there must be one.
  dns::lookup::transmission const& ask() {
    auto const out = one->poll_transmit(now);
    REQUIRE(out);
    message.assign(out->message.begin(), out->message.end());
    last = *out;
    last.message = message;
    return last;
  }
  dns::question question() {
    auto reader = dns::message_reader::open(message).value();
    return reader.next_question().value();
  }
  bool has_extension() {
    auto reader = dns::message_reader::open(message).value();
    auto const record = reader.next_record();
    return record && record->type == record_type::opt;
  }
  /// A reply to the last question, to which `fill` adds records.
  bytes reply(std::function<void(dns::message_writer&)> const& fill,
              response_code code = response_code::no_error, bool truncated = false) {
    dns::header head = dns::header::parse(message).value();
    head.is_response = true;
    head.code = code;
    head.is_truncated = truncated;
    bytes into(4096);
    dns::message_writer writer(into, head);
    writer.add(question());
    fill(writer);
    auto const made = writer.finish();
    return {made.begin(), made.end()};
  }
  void give(bytes const& from_server) { one->input(from_server, last.server, now); }
  void time_out() {
    now = one->next_deadline();
    one->on_deadline(now);
  }

  resolver_limits limits;
  dns::server_list servers;
  random_stream random{{1, 2}};
  dns::counters counted;
  instant now{};
  std::optional<dns::lookup> one;
  dns::lookup::transmission last;
  bytes message;
};

void nothing(dns::message_writer&) {}

}  // namespace

TEST_CASE("a question is answered by the first server over UDP", "[dns]") {
  asker a;
  auto const& out = a.ask();
  CHECK(out.over == dns::transport::udp);
  CHECK(out.server == endpoint{ip("192.0.2.53"), 53});
  CHECK(a.question().name == named("www.example.org"));
  CHECK(a.has_extension());
  CHECK(dns::header::parse(a.message)->recursion_desired);
  CHECK_FALSE(a.one->poll_transmit(a.now));  // once
  a.give(a.reply([](auto& w) {
    w.add(named("www.example.org"), 300, ip("203.0.113.1"));
    w.add(named("www.example.org"), 100, ip("203.0.113.2"));
    w.add(named("other.example.org"), 5, ip("203.0.113.3"));  // nobody asked
    w.add(named("www.example.org"), 5, ip("2001:db8::1"));    // nor for that
  }));
  REQUIRE(a.one->result());
  auto const& given = a.one->result()->value();
  REQUIRE(given.addresses.size() == 2);
  CHECK(given.addresses[0] == ip("203.0.113.1"));
  CHECK(given.addresses[1] == ip("203.0.113.2"));
  CHECK(given.lifetime == 100s);
  CHECK(a.one->next_deadline() == never);
}

TEST_CASE("every try has another identifier and another spelling", "[dns]") {
  asker a;
  a.limits.tries = 9;
  std::set<std::uint16_t> ids;
  std::set<std::string> spellings;
  for (int i = 0; i < 8; ++i) {
    a.ask();
    ids.insert(dns::header::parse(a.message)->id);
    auto const question = a.question();   // the letters are its own
    auto const letters = question.name.wire_bytes();
    spellings.insert(std::string(reinterpret_cast<char const*>(letters.data()), letters.size()));
    a.time_out();
  }
  CHECK(ids.size() == 8);
  CHECK(spellings.size() == 8);
}

TEST_CASE("a reply that does not match in everything is not believed", "[dns]") {
  asker a;
  a.ask();
  auto const good = a.reply([](auto& w) { w.add(named("www.example.org"), 300, ip("203.0.113.1")); });
  a.one->input(good, {ip("192.0.2.99"), 53}, a.now);  // another host
  a.one->input(good, {ip("192.0.2.53"), 54}, a.now);  // another port
  auto wrong_id = good;
  wrong_id[0] ^= std::byte{1};
  a.give(wrong_id);
  auto wrong_question = good;
  wrong_question[dns::header::size_bytes + 1] = std::byte{'x'};
  a.give(wrong_question);
  a.give(a.message);  // our own question, reflected
  CHECK(a.counted.mismatched == 5);
  a.give({});
  CHECK(a.counted.malformed == 1);
  CHECK_FALSE(a.one->result());
  a.give(good);
  CHECK(a.one->result());
}

TEST_CASE("another spelling in the reply makes it ask over TCP", "[dns]") {
  asker a;
  a.ask();
  auto folded = a.reply([](auto& w) { w.add(named("www.example.org"), 300, ip("203.0.113.1")); });
  for (std::size_t i = dns::header::size_bytes; i < dns::header::size_bytes + 16; ++i) {
    auto const c = static_cast<char>(folded[i]);
    if (c >= 'A' && c <= 'Z') folded[i] ^= std::byte{0x20};
  }
  a.give(folded);
  CHECK(a.counted.case_mismatched == 1);
  CHECK_FALSE(a.one->result());
  CHECK(a.ask().over == dns::transport::tcp);
  CHECK(a.last.server == endpoint{ip("192.0.2.53"), 53});
}

TEST_CASE("a truncated reply is asked for again over TCP", "[dns]") {
  asker a;
  a.ask();
  a.give(a.reply([](auto& w) { w.add(named("www.example.org"), 300, ip("203.0.113.9")); },
                 response_code::no_error, true));
  CHECK(a.counted.truncated == 1);
  CHECK(a.ask().over == dns::transport::tcp);
  a.give(a.reply([](auto& w) { w.add(named("www.example.org"), 300, ip("203.0.113.1")); }));
  REQUIRE(a.one->result());
  CHECK(a.one->result()->value().addresses[0] == ip("203.0.113.1"));
}

TEST_CASE("a reply over TCP that is truncated or does not match fails the server", "[dns]") {
  asker a;
  a.ask();
  a.give(a.reply(nothing, response_code::no_error, true));
  a.ask();
  a.give(a.reply(nothing, response_code::no_error, true));
  CHECK(a.ask().server == endpoint{ip("192.0.2.54"), 53});
  CHECK(a.last.over == dns::transport::udp);
}

TEST_CASE("silence and failures go on to the next server, slower with every round", "[dns]") {
  asker a;
  a.ask();
  CHECK(a.one->next_deadline() == a.now + 1s);
  a.time_out();
  CHECK(a.ask().server == endpoint{ip("192.0.2.54"), 53});
  a.give(a.reply(nothing, response_code::server_failure));
  CHECK(a.counted.servers_failed == 1);
  a.ask();
  CHECK(a.one->next_deadline() == a.now + 2s);
  for (int i = 0; i < 6; ++i) {
    a.time_out();
    a.ask();
  }
  a.time_out();
  REQUIRE(a.one->result());
  CHECK(a.one->result()->error().is(net_error::unreachable));  // one of them said it cannot
  CHECK(a.counted.tries_limit == 1);
}

TEST_CASE("nobody answering is a timeout, nobody to ask is unreachable", "[dns]") {
  asker a;
  for (std::uint32_t i = 0; i < a.limits.tries; ++i) {
    a.ask();
    a.time_out();
  }
  REQUIRE(a.one->result());
  CHECK(a.one->result()->error().is(net_error::timed_out));
  asker none("www.example.org", record_type::a, {});
  CHECK(none.one->result()->error().is(net_error::unreachable));
}

TEST_CASE("a server that failed is asked last until its back-off ends, which doubles", "[dns]") {
  dns::server_list servers;
  std::array<endpoint, 2> const both{{{ip("192.0.2.1"), 53}, {ip("192.0.2.2"), 53}}};
  servers.set(both);
  instant now{};
  auto const first = [&](instant at) {
    std::uint32_t tried = 0;
    return servers.choose(tried, at);
  };
  CHECK(first(now) == 0);
  servers.failed(both[0], now);
  std::uint32_t tried = 0;
  CHECK(servers.choose(tried, now) == 1);
  CHECK(servers.choose(tried, now) == 0);
  CHECK(servers.choose(tried, now) == 1);  // a new round
  CHECK(first(now + 5s) == 0);
  servers.failed(both[0], now + 5s);
  CHECK(first(now + 14s) == 1);
  servers.set(both);  // the same list again forgets nothing
  CHECK(first(now + 14s) == 1);
  servers.answered(both[0]);
  CHECK(first(now + 14s) == 0);
}

TEST_CASE("aliases are followed within a reply, in any order, and over several", "[dns]") {
  asker a("a.example.org");
  a.ask();
  a.give(a.reply([](auto& w) {
    w.add(named("c.example.org"), 30, ip("203.0.113.1"));
    w.add_alias(named("b.example.org"), 20, named("c.example.org"));
    w.add_alias(named("a.example.org"), 40, named("b.example.org"));
  }));
  REQUIRE(a.one->result());
  CHECK(a.one->result()->value().addresses[0] == ip("203.0.113.1"));
  CHECK(a.one->result()->value().lifetime == 20s);

  asker b("a.example.org");
  b.ask();
  b.give(b.reply([](auto& w) { w.add_alias(named("a.example.org"), 40, named("b.example.com")); }));
  b.ask();
  CHECK(b.question().name == named("b.example.com"));
  b.give(b.reply([](auto& w) { w.add(named("b.example.com"), 300, ip("203.0.113.1")); }));
  REQUIRE(b.one->result());
  CHECK(b.one->result()->value().lifetime == 40s);
}

TEST_CASE("a chain of aliases that does not end is given up", "[dns]") {
  asker a("a.example.org");
  a.ask();
  a.give(a.reply([](auto& w) {
    w.add_alias(named("a.example.org"), 40, named("b.example.org"));
    w.add_alias(named("b.example.org"), 40, named("a.example.org"));
  }));
  REQUIRE(a.one->result());
  CHECK(a.one->result()->error().is(net_error::limit_reached));
  CHECK(a.counted.cname_limit == 1);
}

TEST_CASE("no such name and no such record are remembered as the zone says", "[dns]") {
  asker a;
  a.ask();
  a.give(
      a.reply([](auto& w) { w.add_authority(named("example.org"), 600, 120); }, response_code::no_such_name));
  REQUIRE(a.one->result());
  CHECK_FALSE(a.one->result()->value().name_exists);
  CHECK(a.one->result()->value().lifetime == 120s);

  asker b;
  b.ask();
  b.give(b.reply([](auto& w) { w.add_authority(named("example.org"), 60, 120); }));
  CHECK(b.one->result()->value().name_exists);
  CHECK(b.one->result()->value().addresses.empty());
  CHECK(b.one->result()->value().lifetime == 60s);
}

TEST_CASE("a server that does not know EDNS is asked without", "[dns]") {
  asker a;
  a.ask();
  a.give(a.reply(nothing, response_code::format_error));
  a.ask();
  CHECK_FALSE(a.has_extension());
  CHECK(a.last.server == endpoint{ip("192.0.2.53"), 53});
  CHECK(a.counted.without_edns == 1);
  a.give(a.reply(nothing, response_code::format_error));
  CHECK(a.ask().server == endpoint{ip("192.0.2.54"), 53});
  CHECK(a.has_extension());
}

TEST_CASE("a malformed reply of the right server goes on to the next", "[dns]") {
  asker a;
  a.ask();
  auto cut = a.reply([](auto& w) { w.add(named("www.example.org"), 300, ip("203.0.113.1")); });
  cut.pop_back();
  a.give(cut);
  CHECK(a.counted.malformed == 1);
  CHECK(a.ask().server == endpoint{ip("192.0.2.54"), 53});
}

TEST_CASE("answers are remembered for their lifetime, within clamps", "[dns]") {
  resolver_limits limits;
  dns::cache cache(limits, {1, 2});
  instant now{};
  dns::answer given;
  (void)given.addresses.add(ip("192.0.2.1"));
  given.lifetime = 10s;
  cache.keep(named("a.example"), record_type::a, given, now);
  CHECK(cache.find(named("A.EXAMPLE"), record_type::a, now + 4s)->lifetime == 6s);
  CHECK_FALSE(cache.find(named("a.example"), record_type::aaaa, now));
  CHECK_FALSE(cache.find(named("a.example"), record_type::a, now + 10s));
  CHECK(cache.size() == 0);

  given.lifetime = 0s;
  cache.keep(named("a.example"), record_type::a, given, now);
  CHECK(cache.size() == 0);
  given.lifetime = 1000h;
  cache.keep(named("a.example"), record_type::a, given, now);
  CHECK(cache.find(named("a.example"), record_type::a, now)->lifetime == limits.cache_lifetime_max);
  dns::answer negative;
  negative.lifetime = 1000h;
  cache.keep(named("a.example"), record_type::a, negative, now);
  CHECK(cache.size() == 1);
  CHECK(cache.find(named("a.example"), record_type::a, now)->lifetime == limits.negative_lifetime_max);
}

TEST_CASE("at its limit the cache forgets what was not used for longest", "[dns]") {
  resolver_limits limits;
  limits.cached_answers = 3;
  dns::cache cache(limits, {1, 2});
  instant now{};
  dns::answer given;
  given.lifetime = 100s;
  cache.keep(named("a"), record_type::a, given, now);
  cache.keep(named("b"), record_type::a, given, now);
  cache.keep(named("c"), record_type::a, given, now);
  CHECK(cache.find(named("a"), record_type::a, now));
  cache.keep(named("d"), record_type::a, given, now);
  CHECK(cache.size() == 3);
  CHECK(cache.evicted() == 1);
  CHECK_FALSE(cache.find(named("b"), record_type::a, now));
  CHECK(cache.find(named("a"), record_type::a, now));
}

TEST_CASE("some names are answered without asking anybody", "[dns]") {
  auto const of = [](std::string_view text, address_family family = address_family::any) {
    return dns::answer_without_asking(text, family);
  };
  CHECK(of("192.0.2.1")->value()[0] == ip("192.0.2.1"));
  CHECK(of("2001:db8::1")->value()[0] == ip("2001:db8::1"));
  CHECK(of("192.0.2.1", address_family::v6)->error().is(net_error::name_not_found));
  CHECK(of("localhost")->value().size() == 2);
  CHECK(of("A.LocalHost.", address_family::v4)->value()[0] == ip("127.0.0.1"));
  CHECK(of("x.invalid")->error().is(net_error::name_not_found));
  CHECK(of("x.onion")->error().is(net_error::name_not_found));
  CHECK(of("not a name")->error().is(net_error::invalid_address));
  CHECK_FALSE(of("www.example.org"));
}

}  // namespace morgana::net::testing
