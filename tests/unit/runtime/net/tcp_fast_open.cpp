// TCP Fast Open (RFC 7413), both sides: cookies, data in SYNs, what is not taken, and its limits.
#include <catch2/catch.hpp>

#include <cstring>

#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_fin, wire::tcp_psh, wire::tcp_rst, wire::tcp_syn;
using wire::fast_open_option;

namespace {

using cookie = std::vector<std::byte>;

/// The option of a segment; read again from its bytes, which it refers to.
std::pair<fast_open_option, cookie> option_of(scripted::answer const& one) {
  auto const h = wire::tcp_header::parse(one.raw.bytes, one.raw.bytes.size());
  REQUIRE(h);
  return {h->options.fast_open, {h->options.fast_open_cookie.begin(), h->options.fast_open_cookie.end()}};
}

wire::tcp_header syn_with(scripted const& s, fast_open_option how, cookie const& shown) {
  auto h = s.syn();
  h.options.fast_open = how;
  h.options.fast_open_cookie = shown;
  return h;
}

struct fast_server : scripted {
  explicit fast_server(std::uint32_t pending_max = 4, network_limits const& bounds = {}) : scripted(bounds) {
    auto made = mine.engine.listen({.address = v4(1), .port = my_port, .backlog = 8, .fast_open = pending_max});
    REQUIRE(made);
    listening = *made;
  }
  /// What a SYN that asks is told.
  cookie ask(fast_open_option how = fast_open_option::standard) {
    send(syn_with(*this, how, {}));
    auto const answer = receive();
    REQUIRE(answer);
    auto const [told_as, told] = option_of(*answer);
    CHECK(told_as == how);
    CHECK(answer->h.acknowledgment.value == their_next + 1);
    auto reset = header(tcp_rst);
    ++reset.sequence.value;
    send(reset);
    return told;
  }
  /// Opens with data; the SYN-ACK.
  scripted::answer open(cookie const& shown, std::size_t bytes) {
    send(syn_with(*this, fast_open_option::standard, shown), bytes);
    auto const answer = receive();
    REQUIRE(answer);
    REQUIRE(answer->is(tcp_syn | tcp_ack));
    my_next = answer->h.sequence.value + 1;
    return *answer;
  }
};

std::size_t read_all(tcp::connection& from, instant now) {
  std::array<std::byte, 4'096> bytes;
  auto const got = from.read(bytes, now);
  return got && *got ? **got : 0;
}

}  // namespace

TEST_CASE("A cookie is the keyed hash of both addresses that Linux has") {
  // Key, addresses and cookie of packetdrill's scripts: a0bf63f7-ed803d81-cd641d30-cebc4a90.
  scripted s;
  s.theirs = *ip_address::parse("10.248.0.2");
  s.mine.route.how.source = *ip_address::parse("192.168.0.2");
  auto made = s.mine.engine.listen({.port = s.my_port, .fast_open = 1});
  REQUIRE(made);
  (*made)->fast_open().key = {0xed80'3d81'a0bf'63f7, 0xcebc'4a90'cd64'1d30};
  s.send(syn_with(s, fast_open_option::standard, {}));
  auto const answer = s.receive();
  REQUIRE(answer);
  constexpr std::uint64_t expected = 0xc254'e9e8'abaa'ab00;
  cookie bytes(8);
  std::memcpy(bytes.data(), &expected, 8);
  CHECK(option_of(*answer).second == bytes);
}

TEST_CASE("A SYN that asks is told a cookie, which opens the next connection with data at once") {
  for (auto const how : {fast_open_option::standard, fast_open_option::experimental}) {
    fast_server s;
    auto const told = s.ask(how);
    REQUIRE(told.size() == 8);
    auto const answer = s.open(told, 100);
    CHECK(answer.h.acknowledgment.value == s.their_next + 101);
    CHECK(option_of(answer).first == fast_open_option::none);
    CHECK(s.counters().fast_opens_accepted == 1);
    s.c = s.listening->accept();
    REQUIRE(s.c != nullptr);
    CHECK(read_all(*s.c, s.now) == 100);
    CHECK(s.c->info().fast_open_bytes == 100);
    // Its answer does not wait for the end of the handshake.
    s.write(50);
    auto const data = s.receive();
    REQUIRE(data);
    CHECK(data->payload == 50);
    s.their_next += 101;
    s.my_next += 50;
    s.send(s.header(tcp_ack));
    CHECK(s.c->info().bytes_in_flight == 0);
    CHECK(s.c->state() == tcp::state::established);
  }
}

TEST_CASE("Reading tells nothing of a window that the header's field cannot say larger") {
  fast_server s;
  auto const told = s.ask();
  auto h = syn_with(s, fast_open_option::standard, told);
  h.options.window_scale.reset();
  s.send(h, 1'000);
  REQUIRE(s.receive());
  s.c = s.listening->accept();
  REQUIRE(s.c != nullptr);
  CHECK(read_all(*s.c, s.now) == 1'000);
  CHECK_FALSE(s.receive());
}

TEST_CASE("The answer and the end may leave before the handshake is done") {
  fast_server s;
  auto const told = s.ask();
  s.open(told, 10);
  s.c = s.listening->accept();
  REQUIRE(read_all(*s.c, s.now) == 10);
  s.write(20);
  s.c->shutdown(s.now);
  auto const last = s.receive();
  REQUIRE(last);
  CHECK(last->is(tcp_psh | tcp_fin | tcp_ack));
  s.their_next += 11;
  s.my_next += 21;
  s.send(s.header(tcp_ack));
  CHECK(s.c->state() == tcp::state::fin_wait_2);
}

TEST_CASE("Without a cookie, with a wrong one, or where it is off, a SYN's data is not taken") {
  {
    fast_server s;
    s.send(s.syn(), 100);
    auto const answer = s.receive();
    REQUIRE(answer);
    CHECK(answer->h.acknowledgment.value == s.their_next + 1);
    CHECK(option_of(*answer).first == fast_open_option::none);
    CHECK(s.listening->accept() == nullptr);
  }
  {
    fast_server s;
    auto const told = s.ask();
    auto const answer = s.open(cookie(8, std::byte{0xaa}), 100);
    CHECK(answer.h.acknowledgment.value == s.their_next + 1);
    CHECK(option_of(answer) == std::pair(fast_open_option::standard, told));
  }
  {
    scripted s;
    s.listen();
    s.send(syn_with(s, fast_open_option::standard, cookie(8, std::byte{0xaa})), 100);
    auto const answer = s.receive();
    REQUIRE(answer);
    CHECK(answer->h.acknowledgment.value == s.their_next + 1);
    CHECK(option_of(*answer).first == fast_open_option::none);
  }
}

TEST_CASE("A SYN-ACK in flight is sent again, the data behind it after it") {
  fast_server s;
  auto const told = s.ask();
  s.open(told, 10);
  s.c = s.listening->accept();
  s.write(30);
  (void)s.receive_all();
  auto const again = s.pass(1'500ms);
  REQUIRE(again.size() == 1);
  CHECK(again[0].is(tcp_syn | tcp_ack));
  CHECK(again[0].h.acknowledgment.value == s.their_next + 11);
  // The client's SYN once more asks for the same.
  s.send(syn_with(s, fast_open_option::standard, told), 10);
  auto const third = s.receive();
  REQUIRE(third);
  CHECK(third->is(tcp_syn | tcp_ack));
  s.their_next += 11;
  s.send(s.header(tcp_ack));
  auto const data = s.pass(3s);
  REQUIRE(!data.empty());
  CHECK(data[0].payload == 30);
  (void)s.pass(300s);
}

TEST_CASE("A client that never answers is given up, and its place is free again") {
  network_limits limits;
  limits.syn_retries = 2;
  fast_server s(1, limits);
  auto const told = s.ask();
  s.open(told, 10);
  s.c = s.listening->accept();
  ++s.their_port;
  CHECK(s.open(told, 10).h.acknowledgment.value == s.their_next + 1);  // RFC 7413 5.1
  CHECK(s.counters().fast_opens_full == 1);
  (void)s.pass(30s);
  CHECK(s.c->failure() == net_error::timed_out);
  ++s.their_port;
  CHECK(s.open(told, 10).h.acknowledgment.value == s.their_next + 11);
}

TEST_CASE("What came with a SYN is there although a reset came before anybody accepted") {
  fast_server s;
  auto const told = s.ask();
  s.open(told, 10);
  s.their_next += 11;
  s.send(s.header(tcp_rst));
  s.c = s.listening->accept();
  REQUIRE(s.c != nullptr);
  CHECK(s.c->failure() == net_error::reset);
  CHECK(read_all(*s.c, s.now) == 10);
  std::array<std::byte, 16> bytes;
  CHECK_FALSE(s.c->read(bytes, s.now));
  s.c->release(s.now);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("A client asks for a cookie, and its next SYN takes data along") {
  scripted s;
  tcp::settings with;
  with.fast_open = tcp::fast_open::with_cookie;
  cookie const given(8, std::byte{0x5c});
  CHECK_FALSE(s.mine.engine.fast_open_room(s.theirs, with));
  auto const begin = [&](std::size_t bytes) {
    if (s.c != nullptr) {
      s.c->abort(s.now);
      s.c->release(s.now);
      (void)s.receive_all();
    }
    ++s.my_port;
    auto made = s.mine.engine.connect({v4(1), s.my_port}, {s.theirs, s.their_port}, with, s.now);
    REQUIRE(made);
    s.c = *made;
    if (bytes != 0) s.write(bytes);
    auto asked = s.receive();
    REQUIRE(asked);
    REQUIRE(asked->is(tcp_syn));
    s.my_next = asked->h.sequence.value + 1;
    return *asked;
  };
  auto const answer = [&](std::uint32_t taken, cookie const& told, std::uint16_t segment_bytes) {
    auto h = syn_with(s, told.empty() ? fast_open_option::none : fast_open_option::standard, told);
    h.options.maximum_segment_size = segment_bytes;
    h.flags = tcp_syn | tcp_ack;
    h.acknowledgment = {s.my_next + taken};
    s.send(h);
    ++s.their_next;
    CHECK(s.c->state() == tcp::state::established);
  };

  auto const first = begin(100);
  CHECK(first.payload == 0);
  CHECK(option_of(first) == std::pair(fast_open_option::standard, cookie()));
  answer(0, given, 1'000);
  auto const later = s.receive_all();
  REQUIRE(!later.empty());
  CHECK(later[0].payload == 100);  // the handshake is done

  CHECK(s.mine.engine.fast_open_room(s.theirs, with) == 960u);  // all options have room
  auto const second = begin(2'000);
  CHECK(second.payload == 960);
  CHECK(option_of(second) == std::pair(fast_open_option::standard, given));
  answer(960, {}, 1'400);
  CHECK(s.c->info().fast_open_bytes == 960);
  auto const rest = s.receive_all();
  REQUIRE(rest.size() == 1);
  CHECK(rest[0].h.sequence.value == s.my_next + 960);
  CHECK(rest[0].payload == 1'040);

  // Taken in part, as by a peer that has no room.
  CHECK(begin(500).payload == 500);
  answer(200, {}, 1'400);
  auto const left = s.receive_all();
  REQUIRE(!left.empty());
  CHECK(left[0].h.sequence.value == s.my_next + 200);
  CHECK(left[0].payload == 300);
  CHECK(s.c->info().fast_open_bytes == 0);
  CHECK(s.counters().fast_opens_refused == 1);

  // Lost: the next SYN goes without data and without a cookie.
  CHECK(begin(500).payload == 500);
  auto const again = s.pass(1'500ms);
  REQUIRE(again.size() == 1);
  CHECK(again[0].is(tcp_syn));
  CHECK(again[0].payload == 0);
  CHECK(option_of(again[0]).first == fast_open_option::none);
  answer(0, {}, 1'400);
  auto const whole = s.receive_all();
  REQUIRE(!whole.empty());
  CHECK(whole[0].payload == 500);
  CHECK(s.counters().fast_opens_sent == 3);

  // More than was sent is acknowledged: somebody guesses.
  (void)begin(500);
  auto h = s.syn();
  h.flags = tcp_syn | tcp_ack;
  h.acknowledgment = {s.my_next + 501};
  s.send(h);
  CHECK(s.c->state() == tcp::state::syn_sent);
  CHECK(s.receive()->h.has(tcp_rst));
}

TEST_CASE("The cookies of so many peers are kept, and the one used longest ago goes") {
  network_limits limits;
  limits.fast_open_peers = 2;
  scripted s(limits);
  tcp::settings with;
  with.fast_open = tcp::fast_open::with_cookie;
  for (std::uint8_t i = 0; i < 3; ++i) {
    s.theirs = v4(static_cast<std::uint8_t>(20 + i));
    s.connect(false, with);
    auto const told = cookie(8, std::byte{i});
    auto h = syn_with(s, fast_open_option::standard, told);
    h.flags = tcp_syn | tcp_ack;
    h.acknowledgment = {s.my_next};
    s.send(h);
    (void)s.receive_all();
  }
  CHECK(s.counters().fast_open_peers_evicted == 1);
  CHECK_FALSE(s.mine.engine.fast_open_room(v4(20), with));
  CHECK(s.mine.engine.fast_open_room(v4(21), with));
  CHECK(s.mine.engine.fast_open_room(v4(22), with));
  s.mine.engine.forget_fast_open_cookies();
  CHECK_FALSE(s.mine.engine.fast_open_room(v4(22), with));
}

TEST_CASE("Two of our stacks open fast, through loss, and the stream is whole") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    host left(seed, v4(1)), right(seed + 100, v4(2));
    network net(seed, left, right, {.lost = 100'000, .duplicated = 20'000, .reordered = 50'000});
    auto const listening = right.engine.listen({.address = v4(2), .port = 80, .fast_open = 8});
    REQUIRE(listening);
    tcp::settings with;
    with.fast_open = tcp::fast_open::with_cookie;
    for (int round = 0; round < 4; ++round) {
      auto made = left.engine.connect({v4(2), 80}, with, net.now);
      REQUIRE(made);
      writer up{*made, seed, 3'000}, down{nullptr, seed + 1, 20'000};
      reader server{nullptr, seed}, client{*made, seed + 1};
      up.go(net.now);
      for (int i = 0; i < 20'000 && !(client.ended && server.ended); ++i) {
        net.step();
        if (server.from == nullptr) {
          server.from = down.to = (*listening)->accept();
        }
        if (server.from != nullptr) {
          server.go(net.now);
          down.go(net.now);
        }
        up.go(net.now);
        client.go(net.now);
        if (client.failed) break;
      }
      CHECK_FALSE(client.failed);
      CHECK((client.done == 20'000 && client.ended && !client.wrong));
      CHECK((server.done == 3'000 && server.ended && !server.wrong));
      (*made)->release(net.now);
      if (server.from != nullptr) server.from->release(net.now);
      net.run_for(70s);
    }
    CHECK(left.engine.connections() == 0);
    CHECK(right.engine.connections() == 0);
  }
}
