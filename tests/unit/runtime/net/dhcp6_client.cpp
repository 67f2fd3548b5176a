// The DHCPv6 client in virtual time, against a server that the test plays.
#include <catch2/catch.hpp>

#include "morgana/net/dhcp/v6_client.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;
using dhcp::v6_client;
using dhcp::v6_message;
using dhcp::v6_state;
using dhcp::v6_status;
using dhcp::v6_type;
using kind = v6_client::event::kind;

ipv6_address v6(std::string_view text) { return ipv6_address::parse(text).value(); }

struct link6 {
  link6() : client({.hardware = mac(2), .rapid_commit = rapid}, siphash_key{1, 2}) {}
  explicit link6(bool with_rapid_commit) : rapid(with_rapid_commit), client({mac(2), with_rapid_commit}, siphash_key{1, 2}) {}

  /// What the server says to `in`; nothing: silence.
  std::optional<v6_message> serve(v6_message const& in) const {
    v6_message out;
    out.type = v6_type::reply;
    out.transaction = in.transaction;
    out.client = in.client;
    out.server = dhcp::identifier_of(mac(server));
    out.name_servers = {v6("2001:db8::53")};
    auto const give = [&] {
      if (!in.association) return;
      out.association = dhcp::v6_association{in.association->id, t1, t2, {{v6(address), preferred_s, valid_s}}};
    };
    bool const is_to_us = in.server.empty() || in.server == out.server;
    if (!is_to_us) return std::nullopt;
    switch (in.type) {
      case v6_type::solicit:
        out.type = in.rapid_commit && commits ? v6_type::reply : v6_type::advertise;
        out.rapid_commit = in.rapid_commit && commits;
        out.preference = preference;
        give();
        break;
      case v6_type::request:
      case v6_type::renew:
      case v6_type::rebind:
        give();
        if (status != v6_status::success) {
          out.association->status = status;
          out.association->addresses.clear();
        }
        break;
      case v6_type::information_request:
        out.refresh_s = 700;
        break;
      default:
        out.status = status;
        break;
    }
    return out;
  }
  void give(v6_message const& one) {
    bytes into(v6_message::bytes_max);
    client.input(one.emit(into), now);
  }
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      while (auto const out = client.poll_transmit(now)) {
        moved = true;
        sent.push_back(v6_message::parse(*out).value());
        if (!is_up) continue;
        if (auto const reply = serve(sent.back())) give(*reply);
      }
      while (auto const one = client.poll_event()) told.push_back({one->what, one->lease});
    }
  }
  void run(duration length) {
    auto const end = now + length;
    settle();
    for (int steps = 0; client.next_deadline() <= end; ++steps) {
      REQUIRE(steps < 10'000);
      now = std::max(now, client.next_deadline());
      client.on_deadline(now);
      settle();
    }
    now = end;
  }
  void start(v6_client::mode how = v6_client::mode::stateful) { client.start(how, now); }
  std::size_t count(v6_type type) const {
    return static_cast<std::size_t>(std::ranges::count(sent, type, &v6_message::type));
  }

  struct happened {
    kind what;
    dhcp::v6_lease lease;
  };
  bool rapid = true;
  v6_client client;
  std::vector<v6_message> sent;
  std::vector<happened> told;
  instant now{};
  bool is_up = true, commits = true;
  std::uint8_t server = 1;
  std::optional<std::uint8_t> preference;
  char const* address = "2001:db8::100";
  std::uint32_t t1 = 500, t2 = 800, preferred_s = 900, valid_s = 1000;
  v6_status status = v6_status::success;
};

}  // namespace

TEST_CASE("a DHCPv6 message that was written is read as it was meant", "[dhcp]") {
  v6_message sent;
  sent.type = v6_type::reply;
  sent.transaction = 0xabcdef;
  sent.client = dhcp::identifier_of(mac(2));
  sent.server = dhcp::identifier_of(mac(1));
  sent.association = dhcp::v6_association{
      7, 500, 800, {{v6("2001:db8::1"), 900, 1000}, {v6("2001:db8::2"), 0, 0, v6_status::not_on_link}}, v6_status::success};
  sent.requested_options = {23, 24};
  sent.preference = 9;
  sent.elapsed_10ms = 77;
  sent.status = v6_status::unspecified_failure;
  sent.rapid_commit = true;
  sent.name_servers = {v6("2001:db8::53")};
  sent.refresh_s = 600;
  sent.solicit_retry_max_s = 120;
  bytes into(v6_message::bytes_max);
  auto const message = sent.emit(into);
  auto const read = v6_message::parse(message).value();
  CHECK(read.type == sent.type);
  CHECK(read.transaction == sent.transaction);
  CHECK(read.client == sent.client);
  CHECK(read.server == sent.server);
  CHECK(read.association == sent.association);
  CHECK(read.requested_options == sent.requested_options);
  CHECK(read.preference == sent.preference);
  CHECK(read.elapsed_10ms == sent.elapsed_10ms);
  CHECK(read.status == sent.status);
  CHECK(read.rapid_commit);
  CHECK(read.name_servers == sent.name_servers);
  CHECK(read.refresh_s == sent.refresh_s);
  CHECK(read.solicit_retry_max_s == sent.solicit_retry_max_s);
  // Cut inside an option it is refused.
  CHECK(v6_message::parse(message.first(message.size() - 1)).error() == wire::parse_error::wrong_option);
  CHECK(v6_message::parse(message.first(3)).error() == wire::parse_error::too_short);
}

TEST_CASE("malformed DHCPv6 messages are refused", "[dhcp]") {
  auto const error_of = [](std::initializer_list<int> values) {
    bytes made;
    for (auto const one : values) made.push_back(static_cast<std::byte>(one));
    return v6_message::parse(made).error();
  };
  using wire::parse_error;
  CHECK(error_of({12, 0, 0, 1}) == parse_error::unsupported);                       // a relay's
  CHECK(error_of({7, 0, 0, 1, 0, 1, 0, 2, 0, 3}) == parse_error::wrong_option);     // a DUID of a type alone
  CHECK(error_of({7, 0, 0, 1, 0, 3, 0, 4, 0, 0, 0, 1}) == parse_error::wrong_option);
  CHECK(error_of({7, 0, 0, 1, 0, 14, 0, 1, 0}) == parse_error::wrong_option);
  CHECK(error_of({7, 0, 0, 1, 0, 23, 0, 3, 0, 0, 0}) == parse_error::wrong_option);
  CHECK(error_of({7, 0, 0, 1, 0, 13, 0, 1, 0}) == parse_error::wrong_option);
  // An address that runs past its association.
  CHECK(error_of({7, 0, 0, 1, 0, 3, 0, 18, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24, 0, 0}) ==
        parse_error::wrong_option);
}

TEST_CASE("with rapid commit two messages make a lease", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  CHECK(t.client.state() == v6_state::bound);
  REQUIRE(t.sent.size() == 1);
  CHECK(t.sent[0].rapid_commit);
  REQUIRE(t.told.size() == 1);
  auto const& lease = t.told[0].lease;
  CHECK(lease.address == v6("2001:db8::100"));
  CHECK(lease.name_servers[0] == v6("2001:db8::53"));
  CHECK(lease.renew_at == t.now + 500s);
  CHECK(lease.rebind_at == t.now + 800s);
  CHECK(lease.preferred_until == t.now + 900s);
  CHECK(lease.valid_until == t.now + 1000s);
}

TEST_CASE("without it advertisements are compared until the first timeout, and the best one is asked", "[dhcp]") {
  link6 t(false);
  t.start();
  t.settle();
  CHECK(t.client.state() == v6_state::soliciting);
  auto better = t.serve(t.sent[0]).value();
  better.server = dhcp::identifier_of(mac(9));
  better.preference = 5;
  t.give(better);
  t.run(1200ms);
  REQUIRE(t.count(v6_type::request) >= 1);
  CHECK(t.sent[1].server == dhcp::identifier_of(mac(9)));
  t.server = 9;
  t.run(5s);
  CHECK(t.client.state() == v6_state::bound);

  link6 at_once(false);
  at_once.preference = 255;
  at_once.start();
  at_once.settle();
  CHECK(at_once.client.state() == v6_state::bound);
  CHECK(at_once.sent.size() == 2);
  CHECK(at_once.sent[1].association->addresses[0].address == v6("2001:db8::100"));
}

TEST_CASE("a DHCPv6 lease is renewed, rebound, and lost in the end", "[dhcp]") {
  link6 t;
  t.start();
  t.run(501s);
  CHECK(t.count(v6_type::renew) == 1);
  CHECK(t.told.back().what == kind::renewed);
  CHECK(t.client.counters().renewals == 1);
  t.is_up = false;
  t.run(500s);
  CHECK(t.client.state() == v6_state::renewing);
  t.run(300s);
  CHECK(t.client.state() == v6_state::rebinding);
  CHECK(t.sent.back().server.empty());
  t.run(200s);
  CHECK(t.told.back().what == kind::lost);
  CHECK(t.client.state() == v6_state::soliciting);
  CHECK(t.client.counters().expired == 1);
  t.is_up = true;
  t.run(300s);
  CHECK(t.client.state() == v6_state::bound);
}

TEST_CASE("another server takes a rebinding DHCPv6 client over", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.server = 9;                                 // does not answer what names another one
  t.run(820s);
  CHECK(t.client.state() == v6_state::bound);
  CHECK(t.client.lease()->server == dhcp::identifier_of(mac(9)));
  CHECK(t.told.back().what == kind::renewed);
}

TEST_CASE("a server that forgot the lease is asked for it anew", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.status = v6_status::no_binding;
  t.is_up = false;
  t.run(500s);
  REQUIRE(t.client.state() == v6_state::renewing);
  auto const refusal = t.serve(t.sent.back()).value();
  t.give(refusal);
  CHECK(t.client.state() == v6_state::requesting);
  t.status = v6_status::success;
  t.is_up = true;
  t.settle();
  CHECK(t.client.state() == v6_state::bound);
  CHECK(t.told.back().what == kind::renewed);
}

TEST_CASE("an address that is not of the link any more is given up", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.client.confirm(t.now);
  t.settle();
  CHECK(t.client.state() == v6_state::bound);   // success
  CHECK(t.told.size() == 1);
  t.status = v6_status::not_on_link;
  t.client.confirm(t.now);
  t.is_up = false;
  t.settle();
  t.give(t.serve(t.sent.back()).value());
  t.settle();
  CHECK(t.told.back().what == kind::lost);
  CHECK(t.client.state() == v6_state::soliciting);
}

TEST_CASE("a CONFIRM that nobody answers leaves the address in use", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.is_up = false;
  t.client.confirm(t.now);
  t.run(11s);
  CHECK(t.count(v6_type::confirm) >= 3);
  CHECK(t.client.state() == v6_state::bound);
  CHECK(t.told.size() == 1);
}

TEST_CASE("an address in use by another is declined, and another one asked for", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.client.conflict(t.now);
  t.address = "2001:db8::200";
  t.settle();
  REQUIRE(t.count(v6_type::decline) == 1);
  CHECK(t.sent[1].association->addresses[0].address == v6("2001:db8::100"));
  CHECK(t.client.state() == v6_state::bound);
  CHECK(t.client.lease()->address == v6("2001:db8::200"));
  REQUIRE(t.told.size() == 3);
  CHECK(t.told[1].what == kind::lost);
}

TEST_CASE("a DHCPv6 lease is released, four times at most", "[dhcp]") {
  link6 t;
  t.start();
  t.settle();
  t.client.release(t.now);
  t.settle();
  CHECK(t.client.state() == v6_state::off);
  CHECK(t.count(v6_type::release) == 1);
  CHECK(t.told.back().what == kind::lost);

  link6 alone;
  alone.start();
  alone.settle();
  alone.is_up = false;
  alone.client.release(alone.now);
  alone.run(60s);
  CHECK(alone.count(v6_type::release) == 4);
  CHECK(alone.client.state() == v6_state::off);
  CHECK(alone.client.next_deadline() == never);
}

TEST_CASE("solicitations are sent again later and later, up to the server's limit", "[dhcp]") {
  link6 t;
  t.is_up = false;
  t.start();
  t.run(70s);
  CHECK(t.count(v6_type::solicit) >= 6);        // 1, 2, 4, 8, 16, 32 seconds
  CHECK(t.count(v6_type::solicit) <= 8);
  auto none = t.serve(t.sent.back()).value();
  none.type = v6_type::advertise;
  none.rapid_commit = false;
  none.association->addresses.clear();
  none.association->status = v6_status::no_addresses;
  none.solicit_retry_max_s = 60;
  t.give(none);
  CHECK(t.client.counters().unusable == 1);
  auto const before = t.count(v6_type::solicit);
  t.run(700s);
  CHECK(t.count(v6_type::solicit) - before >= 9);
}

TEST_CASE("stateless, a client asks for name servers, and again when they are old", "[dhcp]") {
  link6 t;
  t.start(v6_client::mode::stateless);
  t.settle();
  REQUIRE(t.told.size() == 1);
  CHECK(t.told[0].what == kind::informed);
  CHECK(t.told[0].lease.name_servers[0] == v6("2001:db8::53"));
  CHECK_FALSE(t.sent[0].association);
  CHECK_FALSE(t.client.lease());
  t.run(701s);
  CHECK(t.told.size() == 2);
  CHECK(t.count(v6_type::information_request) == 2);
}

TEST_CASE("DHCPv6 replies that are not for us are not believed", "[dhcp]") {
  link6 t;
  t.is_up = false;
  t.start();
  t.settle();
  auto const good = t.serve(t.sent[0]).value();
  auto wrong = good;
  wrong.transaction ^= 1;
  t.give(wrong);
  wrong = good;
  wrong.client = dhcp::identifier_of(mac(9));
  t.give(wrong);
  wrong = good;
  wrong.server.clear();
  t.give(wrong);
  wrong = good;
  wrong.rapid_commit = false;                   // a reply to a solicitation has it
  t.give(wrong);
  CHECK(t.client.counters().not_for_us == 4);
  wrong = good;
  wrong.association->id ^= 1;
  t.give(wrong);
  wrong = good;
  wrong.association->addresses = {{v6("ff02::1"), 900, 1000}};
  t.give(wrong);
  CHECK(t.client.counters().unusable == 2);
  t.client.input(bytes(2), t.now);
  CHECK(t.client.counters().malformed == 1);
  CHECK(t.client.state() == v6_state::soliciting);
  t.give(good);
  CHECK(t.client.state() == v6_state::bound);
}

}  // namespace morgana::net::testing
