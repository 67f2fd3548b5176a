// Opening: listeners, half-open entries, cookies, simultaneous open, numbers that cannot be guessed.
#include <catch2/catch.hpp>

#include <set>

#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_ece, wire::tcp_cwr, wire::tcp_fin, wire::tcp_rst, wire::tcp_syn;

TEST_CASE("A retransmitted SYN-ACK carries the options of the first, until it is given up") {
  scripted s;
  s.timestamps = true;
  s.listen();
  s.send(s.syn());
  auto const sent = s.pass(300s);
  REQUIRE(sent.size() == 8);  // seven retries
  for (auto const& one : sent) {
    CHECK(one.is(tcp_syn | tcp_ack));
    CHECK(one.h.sequence == sent[0].h.sequence);
    CHECK(one.h.options.maximum_segment_size == sent[0].h.options.maximum_segment_size);
    CHECK(one.h.options.window_scale == sent[0].h.options.window_scale);
    CHECK(one.h.options.window_scale.has_value());
    CHECK(one.h.options.sack_permitted);
    CHECK(one.h.options.timestamps.has_value());
  }
  CHECK(s.mine.engine.next_deadline() == never);
}

TEST_CASE("A SYN that nobody answers is sent again and then given up") {
  scripted s;
  s.connect(false);
  auto const sent = s.pass(300s);
  CHECK(sent.size() == 7);
  for (auto const& one : sent) CHECK(one.h.options.maximum_segment_size == 1'460);
  CHECK(s.c->failure() == net_error::timed_out);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("Both ends open at once") {
  host left(1, v4(1)), right(2, v4(2));
  network net(3, left, right, {});
  auto a = left.engine.connect({v4(1), 1'000}, {v4(2), 2'000}, {}, net.now);
  auto b = right.engine.connect({v4(2), 2'000}, {v4(1), 1'000}, {}, net.now);
  REQUIRE(a);
  REQUIRE(b);
  net.run_for(2s);
  CHECK((*a)->state() == tcp::state::established);
  CHECK((*b)->state() == tcp::state::established);
  CHECK((*a)->info().has_sack);
  CHECK((*b)->info().send_window_scale == (*a)->info().receive_window_scale);
  writer w{*a, 9, 50'000};
  reader r{*b, 9};
  for (int i = 0; i < 200 && !r.ended; ++i) {
    w.go(net.now);
    r.go(net.now);
    net.step();
  }
  CHECK(r.ended);
  CHECK(r.done == 50'000);
  CHECK_FALSE(r.wrong);
}

TEST_CASE("Beyond the limit of half-open entries cookies answer, and remember the options in the timestamp") {
  network_limits limits;
  limits.syn_received = 3;
  scripted s(limits);
  s.timestamps = true;
  s.now += 1'000s;
  s.listen(64);
  for (int i = 0; i < 10; ++i) {  // a flood
    s.send(s.syn());
    ++s.their_port;
  }
  CHECK(s.counters().syn_cookies_sent == 7);
  (void)s.receive_all();
  s.send(s.syn());
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->h.options.window_scale.has_value());
  s.my_next = answer->h.sequence.value + 1;
  s.my_clock = answer->h.options.timestamps->value;
  ++s.their_next;
  s.send(s.header(tcp_ack), 25);
  CHECK(s.counters().syn_cookies_accepted == 1);
  auto* const c = s.listening->accept();
  REQUIRE(c != nullptr);
  CHECK(c->info().has_sack);
  CHECK(c->info().send_window_scale == 7);
  CHECK(c->info().bytes_received == 25);
  (void)s.receive_all();

  SECTION("one that was made up opens nothing") {
    s.their_port += 7;
    s.send(s.header(tcp_ack));
    CHECK(s.counters().syn_cookies_refused == 1);
    CHECK(s.listening->accept() == nullptr);
    CHECK_FALSE(s.receive());
  }
  SECTION("data that overtakes the end of its handshake does not reset its sender") {
    s.their_port += 8;
    --s.their_next;
    s.send(s.syn());
    auto const second = s.receive();
    REQUIRE(second);
    s.my_next = second->h.sequence.value + 1;
    s.my_clock = second->h.options.timestamps->value;
    ++s.their_next;
    auto later = s.header(tcp_ack);
    later.sequence += 1'000;
    s.send(later, 10);
    CHECK_FALSE(s.receive());
    s.send(s.header(tcp_ack), 1'000);
    CHECK(s.counters().syn_cookies_accepted == 2);
  }
  SECTION("long after the last cookie a stray acknowledgment is reset") {
    s.now += 200s;
    s.their_port += 7;
    s.send(s.header(tcp_ack));
    auto const refused = s.receive();
    REQUIRE(refused);
    CHECK(refused->h.has(tcp_rst));
  }
  SECTION("one that is too old is refused") {
    s.their_port += 8;
    --s.their_next;
    s.send(s.syn());
    auto const second = s.receive();
    REQUIRE(second);
    s.my_next = second->h.sequence.value + 1;
    ++s.their_next;
    s.now += 400s;
    s.send(s.header(tcp_ack));
    CHECK(s.counters().syn_cookies_accepted == 1);
  }
}

TEST_CASE("A full accept queue drops, and the peer's next try finds the room that was made") {
  scripted s;
  s.listen(1);
  s.send(s.syn());
  auto const first = s.receive();
  s.their_port = 4'001;
  s.send(s.syn());
  auto const second = s.receive();
  REQUIRE(first);
  REQUIRE(second);
  ++s.their_next;
  s.my_next = second->h.sequence.value + 1;
  s.send(s.header(tcp_ack));
  s.their_port = 4'000;
  s.my_next = first->h.sequence.value + 1;
  s.send(s.header(tcp_ack));
  CHECK(s.counters().accept_queue_full == 1);
  CHECK(s.listening->accept() != nullptr);
  CHECK(s.listening->accept() == nullptr);
  s.send(s.header(tcp_ack), 5);
  CHECK(s.listening->accept() != nullptr);
}

TEST_CASE("Beyond the limit of connections SYNs are dropped and connect is refused") {
  network_limits limits;
  limits.connections = 1;
  scripted s(limits);
  s.accept();
  s.their_port = 4'001;
  s.send(s.syn());
  CHECK_FALSE(s.receive());
  CHECK(s.counters().syn_dropped == 1);
  auto const more = s.mine.engine.connect({v4(9), 99}, {}, s.now);
  REQUIRE_FALSE(more);
  CHECK(more.error().is(net_error::limit_reached));
  CHECK(s.counters().connections_refused == 1);
}

TEST_CASE("A peer's tiny MSS counts as the least allowed") {
  scripted s;
  s.listen();
  auto h = s.syn();
  h.options.maximum_segment_size = 8;
  s.send(h);
  auto const answer = s.receive();
  REQUIRE(answer);
  s.my_next = answer->h.sequence.value + 1;
  ++s.their_next;
  s.send(s.header(tcp_ack));
  s.c = s.listening->accept();
  REQUIRE(s.c);
  CHECK(s.c->info().maximum_segment_size == 88);
}

TEST_CASE("Initial numbers, ports and clocks differ from flow to flow, and the same secret repeats them") {
  scripted a, b;
  std::set<std::uint32_t> numbers, ports, clocks;
  for (int i = 0; i < 50; ++i) {
    auto one = a.mine.engine.connect({v4(9), 99}, {}, a.now);
    auto two = b.mine.engine.connect({v4(9), 99}, {}, b.now);
    REQUIRE(one);
    auto const x = a.receive(), y = b.receive();
    REQUIRE(x);
    numbers.insert(x->h.sequence.value);
    ports.insert(x->h.source_port);
    clocks.insert(x->h.options.timestamps->value);
    CHECK(x->h.sequence == y->h.sequence);
    CHECK(x->h.source_port == y->h.source_port);
    CHECK(x->h.source_port >= 32'768);
  }
  CHECK(numbers.size() == 50);
  CHECK(ports.size() == 50);
  CHECK(clocks.size() == 50);
}

TEST_CASE("ECN is agreed when both ask for it, and a mark halves nothing twice in a window") {
  scripted s;
  s.listen();
  auto h = s.syn();
  h.flags = tcp_syn | tcp_ece | tcp_cwr;
  s.send(h);
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_syn | tcp_ack | tcp_ece));
  s.my_next = answer->h.sequence.value + 1;
  ++s.their_next;
  s.send(s.header(tcp_ack));
  s.c = s.listening->accept();
  REQUIRE(s.c);
  CHECK(s.c->info().has_ecn);
  s.send(s.header(tcp_ack), 100, 3);
  s.their_next += 100;
  CHECK(s.receive()->h.has(tcp_ece));
  s.send(s.header(tcp_ack | tcp_cwr), 100, 2);
  s.their_next += 100;
  CHECK_FALSE(s.receive()->h.has(tcp_ece));
  auto const before = s.c->info().congestion_window_bytes;
  s.write(3'000);
  auto const sent = s.receive_all();
  CHECK((sent[0].raw.between.traffic_class & 3) == 2);
  auto mark = s.header(tcp_ack | tcp_ece);
  mark.acknowledgment += 1'460;
  s.send(mark);
  auto const reduced = s.c->info().congestion_window_bytes;
  CHECK(reduced < before);
  mark.acknowledgment += 1'000;
  s.send(mark);
  CHECK(s.c->info().congestion_window_bytes >= reduced);
  s.write(100);
  CHECK(s.receive()->h.has(tcp_cwr));
}

TEST_CASE("An ICMP error ends an attempt to connect only when it quotes its number") {
  scripted s;
  s.connect(false);
  auto const quote = [&](std::uint32_t number) {
    s.mine.engine.on_icmp({v4(1), s.theirs, 0}, s.my_port, s.their_port, number,
                          tcp::engine::soft_error::unreachable, 0, s.now);
  };
  quote(s.my_next + 5'000);
  CHECK(s.c->state() == tcp::state::syn_sent);
  quote(s.my_next - 1);
  CHECK(s.c->failure() == net_error::unreachable);
}
