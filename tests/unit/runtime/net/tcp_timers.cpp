// Windows, timers and endings: zero windows open again, silence ends in an error, closing leaves nothing
// behind.
#include <catch2/catch.hpp>

#include "../../../../runtime/net/tcp/congestion.hpp"
#include "../../../../runtime/net/tcp/round_trip.hpp"
#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_fin, wire::tcp_rst, wire::tcp_syn;

TEST_CASE("The retransmission timeout follows RFC 6298") {
  tcp::round_trip trip;
  CHECK(trip.timeout() == 1s);
  trip.sample(400ms);
  CHECK(trip.timeout() == 1'200ms);
  trip.sample(300ms);
  CHECK(trip.timeout() == 1'087'500us);
  for (int i = 0; i < 100; ++i) trip.sample(1ms);
  CHECK(trip.timeout() >= 200ms);
  CHECK(trip.timeout() < 203ms);
}

TEST_CASE("A fresh connection starts with ten segments and the window it can buffer") {
  scripted s;
  s.connect();
  CHECK(s.c->info().congestion_window_bytes == 14'600);
  s.write(100'000);
  CHECK(s.receive_all().size() == 10);
}

TEST_CASE("CUBIC comes back to the window of the last loss and then beyond it") {
  tcp::congestion control;
  control.window = 100 * 1'460;
  instant now{};
  control.reduce(tcp::congestion_control::cubic, control.window, 1'460, now);
  CHECK(control.threshold == 70 * 1'460);
  control.window = control.threshold;
  std::uint32_t at_inflection = 0;
  for (int round = 0; round < 100; ++round) {
    now += 100ms;
    control.acknowledged(tcp::congestion_control::cubic, control.window, 1'460, 100ms, now);
    // K is the cube root of 30 / 0.4: 4.2 s
    if (round == 42) at_inflection = control.window;
  }
  CHECK(at_inflection > 98 * 1'460);
  CHECK(at_inflection < 104 * 1'460);
  CHECK(control.window > 120 * 1'460);
}

TEST_CASE(
    "Three duplicate acknowledgments bring the lost segment again before its timer, with and without SACK") {
  for (bool sack : {true, false}) {
    scripted s;
    s.listen();
    auto h = s.syn();
    h.options.sack_permitted = sack;
    s.send(h);
    s.my_next = s.receive()->h.sequence.value + 1;
    ++s.their_next;
    s.send(s.header(tcp_ack));
    s.c = s.listening->accept();
    s.write(14'600);
    auto const sent = s.receive_all();
    REQUIRE(sent.size() == 10);
    s.now += 20ms;
    auto ack = s.header(tcp_ack);
    ack.window = sent[0].h.window;
    ack.window = 60'000;
    for (std::uint32_t i = 2; i <= 5; ++i) {
      if (sack) {
        ack.options.sack_count = 1;
        ack.options.sack[0] = {{s.my_next + 1'460}, {s.my_next + 1'460 * i}};
      }
      s.send(ack);
    }
    auto const again = s.receive_all();
    INFO("sack " << sack);
    REQUIRE(again.size() >= 1);
    CHECK(again[0].h.sequence.value == s.my_next);
    CHECK(again[0].payload == 1'460);
    CHECK(s.c->info().segments_retransmitted == 1);
    // All arrives: the window is what is left of it, and data flows.
    s.my_next += 14'600;
    s.send(s.header(tcp_ack));
    CHECK(s.c->info().congestion_window_bytes < 14'600);
    s.write(1'000);
    CHECK(s.receive());
  }
}

TEST_CASE("The last segment of a flight is probed for before the retransmission timeout (TLP)") {
  scripted s;
  s.connect();
  s.now += 1s;
  s.write(2'920);
  (void)s.receive_all();
  s.now += 20ms;
  auto ack = s.header(tcp_ack);
  ack.acknowledgment += 1'460;
  s.send(ack);
  auto const probes = s.pass(190ms);
  REQUIRE(probes.size() == 1);
  CHECK(probes[0].h.sequence.value == s.my_next + 1'460);
}

TEST_CASE("A timeout that was for nothing is taken back") {
  scripted s;
  s.timestamps = true;
  s.accept();
  s.write(14'480);
  auto const sent = s.receive_all();
  REQUIRE(sent.size() >= 10);
  auto const before = s.c->info().congestion_window_bytes;
  auto const again = s.pass(1'500ms);
  REQUIRE(again.size() >= 1);
  CHECK(s.c->info().congestion_window_bytes < before);
  s.my_clock = sent[0].h.options.timestamps->value;  // the echo of the first transmission
  s.my_next += 14'480;
  s.send(s.header(tcp_ack));
  CHECK(s.c->info().congestion_window_bytes >= before);
}

TEST_CASE("A window that closed opens again when the reader has read") {
  scripted s;
  s.listen();
  s.listening->options().receive_buffer_bytes = 10'000;
  s.accept();
  std::uint16_t window = 1;
  std::size_t sent = 0;
  while (sent < 10'000) {
    auto const piece = std::min<std::size_t>(1'000, 10'000 - sent);
    s.send(s.header(tcp_ack), piece);
    s.their_next += static_cast<std::uint32_t>(piece);
    sent += piece;
    for (auto const& one : s.receive_all()) window = one.h.window;
  }
  (void)s.pass(100ms);
  CHECK(window == 0);
  s.send(s.header(tcp_ack), 100);  // refused, and answered
  auto const refused = s.receive();
  REQUIRE(refused);
  CHECK(refused->h.acknowledgment.value == s.their_next);
  std::array<std::byte, 10'000> bytes;
  REQUIRE(*s.c->read(std::span(bytes).first(100), s.now));
  CHECK_FALSE(s.receive());  // not for a little: a silly window
  REQUIRE(*s.c->read(bytes, s.now));
  auto const update = s.receive();
  REQUIRE(update);
  CHECK(update->h.window != 0);
}

TEST_CASE("A peer's closed window is probed, ever more seldom, and what waits is sent when it opens") {
  scripted s;
  s.accept();
  auto closed = s.header(tcp_ack);
  closed.window = 0;
  s.send(closed);
  s.write(500);
  CHECK_FALSE(s.receive());
  std::size_t probes = 0;
  for (int i = 0; i < 20; ++i) {
    for (auto const& one : s.pass(30s)) {
      ++probes;
      CHECK(one.payload == 0);
      CHECK(one.h.sequence.value == s.my_next - 1);
      s.send(closed);
    }
  }
  CHECK(probes > 10);
  CHECK(s.c->state() == tcp::state::established);
  s.send(s.header(tcp_ack));
  auto const data = s.receive();
  REQUIRE(data);
  CHECK(data->payload == 500);
}

TEST_CASE("A peer that vanished behind a closed window, or with data under way, ends in an error") {
  for (bool window_closed : {true, false}) {
    scripted s;
    s.accept();
    auto h = s.header(tcp_ack);
    if (window_closed) h.window = 0;
    s.send(h);
    s.write(500);
    auto const sent = s.pass(3'000s);
    CHECK(sent.size() > 14);
    CHECK(s.c->failure() == net_error::timed_out);
    CHECK(s.mine.engine.connections() == 0);
    auto const more = s.c->write(std::array<std::byte, 1>{}, s.now);
    REQUIRE_FALSE(more);
    CHECK(more.error().is(net_error::timed_out));
  }
}

TEST_CASE("The user timeout ends a connection whose data is not acknowledged") {
  scripted s;
  s.accept();
  s.c->options().user_timeout = 5s;
  s.write(500);
  (void)s.pass(4'900ms);
  CHECK_FALSE(s.c->failure());
  (void)s.pass(200ms);
  CHECK(s.c->failure() == net_error::timed_out);
}

TEST_CASE("A SYN that nobody answers is tried for more than three minutes") {
  scripted s;
  s.connect(false);
  auto const last_asked = [&] {
    auto last = s.now;
    for (int i = 0; i < 400 && !s.c->failure(); ++i) {
      for (auto const& one : s.pass(1s)) {
        if (one.h.has(wire::tcp_syn)) last = s.now;
      }
    }
    return last;
  }();
  CHECK(s.c->failure() == net_error::timed_out);
  CHECK(s.now - instant{} >= 180s);
  CHECK(last_asked - instant{} < s.now - instant{});
}

TEST_CASE("Keepalive probes nine times after two hours and then gives up") {
  scripted s;
  s.connect(true, {.keepalive = true});
  CHECK(s.pass(2h - 1s).empty());
  auto const probes = s.pass(2h);
  std::size_t count = 0;
  for (auto const& one : probes) {
    if (one.h.has(tcp_rst)) continue;
    ++count;
    CHECK(one.h.sequence.value == s.my_next - 1);
  }
  CHECK(count == 9);
  CHECK(s.c->failure() == net_error::timed_out);
}

TEST_CASE("Keepalive leaves out probes that a jump of time skipped, and ends after all of them") {
  scripted s;
  s.connect(true, {.keepalive = true});
  s.now += 2h + 75s * 5 + 1s;
  s.mine.engine.on_deadline(s.now);
  CHECK(s.receive_all().size() == 1);
  CHECK_FALSE(s.c->failure());
  s.now += 2h;
  s.mine.engine.on_deadline(s.now);
  for (auto const& one : s.receive_all()) CHECK(one.h.has(tcp_rst));
  CHECK(s.c->failure() == net_error::timed_out);
}

TEST_CASE("An answer to a keepalive probe begins the idle time anew") {
  scripted s;
  s.connect(true, {.keepalive = true});
  CHECK(s.pass(2h + 1s).size() == 1);
  s.send(s.header(tcp_ack));
  CHECK(s.pass(2h - 2s).empty());
  CHECK(s.pass(3s).size() == 1);
}

TEST_CASE("Nagle holds a small segment back while another is out; without it nothing waits") {
  for (bool no_delay : {false, true}) {
    scripted s;
    s.connect(true, {.no_delay = no_delay});
    s.write(10);
    s.write(10);
    CHECK(s.receive_all().size() == 1);  // written together, sent together
    s.write(10);
    CHECK(s.receive_all().size() == (no_delay ? 1 : 0));
    s.my_next += 20;
    s.send(s.header(tcp_ack));
    CHECK(s.receive_all().size() == (no_delay ? 0 : 1));
  }
}

TEST_CASE("Acknowledgments are quick at first, then every second segment or after 40 ms") {
  scripted s;
  s.accept();
  for (int i = 0; i < 16; ++i) {
    s.send(s.header(tcp_ack), 1'460);
    s.their_next += 1'460;
    CHECK(s.receive());
  }
  s.send(s.header(tcp_ack), 100);
  s.their_next += 100;
  CHECK_FALSE(s.receive());
  CHECK(s.pass(39ms).empty());
  CHECK(s.pass(2ms).size() == 1);
  s.send(s.header(tcp_ack), 1'460);
  s.their_next += 1'460;
  CHECK_FALSE(s.receive());
  s.send(s.header(tcp_ack), 1'460);
  CHECK(s.receive());
}

TEST_CASE("A smaller path cuts what was sent, without slowing down") {
  scripted s;
  s.connect();
  s.write(5'000);
  CHECK(s.receive_all().size() == 4);
  auto const before = s.c->info().congestion_window_bytes;
  s.mine.engine.on_icmp({v4(1), s.theirs, 0}, s.my_port, s.their_port, s.my_next + 9'000'000,
                        tcp::engine::soft_error::too_big, 1'000, s.now);
  CHECK_FALSE(s.receive());  // nothing of ours is quoted
  s.mine.engine.on_icmp({v4(1), s.theirs, 0}, s.my_port, s.their_port, s.my_next,
                        tcp::engine::soft_error::too_big, 1'000, s.now);
  auto const again = s.receive_all();
  std::size_t bytes = 0;
  for (auto const& one : again) {
    CHECK(one.payload <= 960);
    bytes += one.payload;
  }
  CHECK(bytes >= 3 * 1'460);
  CHECK(s.c->info().congestion_window_bytes == before);
}

TEST_CASE("Closing first passes through FIN-WAIT and TIME-WAIT, which answers late FINs and ends") {
  scripted s;
  s.accept();
  s.c->shutdown(s.now);
  CHECK(s.receive()->is(tcp_fin | tcp_ack));
  ++s.my_next;
  s.send(s.header(tcp_ack));
  CHECK(s.c->state() == tcp::state::fin_wait_2);
  s.send(s.header(tcp_ack), 10);  // a half-closed connection still reads
  CHECK(s.c->info().bytes_received == 10);
  s.their_next += 10;
  s.send(s.header(tcp_ack | tcp_fin));
  CHECK(s.c->state() == tcp::state::time_wait);
  CHECK(s.receive_all().back().h.acknowledgment.value == s.their_next + 1);
  std::array<std::byte, 16> bytes;
  CHECK(**s.c->read(bytes, s.now) == 10);
  CHECK(**s.c->read(bytes, s.now) == 0);
  s.c->release(s.now);
  CHECK(s.mine.engine.connections() == 1);
  s.send(s.header(tcp_ack | tcp_fin));
  CHECK(s.receive_all().size() == 1);
  s.send(s.header(tcp_rst));  // RFC 1337
  CHECK(s.mine.engine.connections() == 1);
  (void)s.pass(61s);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("Closing second passes through CLOSE-WAIT and LAST-ACK") {
  scripted s;
  s.accept();
  s.send(s.header(tcp_ack | tcp_fin));
  ++s.their_next;
  CHECK(s.c->state() == tcp::state::close_wait);
  (void)s.receive_all();
  s.write(10);
  s.c->shutdown(s.now);
  CHECK(s.c->state() == tcp::state::last_ack);
  auto const last = s.receive();
  REQUIRE(last);
  CHECK(last->h.has(tcp_fin));
  CHECK(last->payload == 10);
  s.my_next += 11;
  s.send(s.header(tcp_ack));
  CHECK(s.c->state() == tcp::state::closed);
  CHECK(s.mine.engine.connections() == 0);
  s.c->release(s.now);
}

TEST_CASE("Both close at once, with acknowledgments or with a reset, and nothing remains") {
  for (bool with_reset : {false, true}) {
    scripted s;
    s.accept();
    s.c->shutdown(s.now);
    CHECK(s.receive()->is(tcp_fin | tcp_ack));
    s.send(s.header(tcp_ack | tcp_fin));  // does not acknowledge ours
    ++s.their_next;
    CHECK(s.c->state() == tcp::state::closing);
    s.c->release(s.now);
    (void)s.receive_all();
    if (with_reset) {
      auto reset = s.header(tcp_rst);
      reset.sequence += 1;
      s.send(reset);
      auto const challenge = s.receive();
      REQUIRE(challenge);
      CHECK(challenge->is(tcp_ack));
      s.send(s.header(tcp_rst));
    } else {
      ++s.my_next;
      s.send(s.header(tcp_ack));
      CHECK(s.mine.engine.connections() == 1);
      (void)s.pass(61s);
    }
    CHECK(s.mine.engine.connections() == 0);
  }
}

TEST_CASE("TIME-WAIT gives way to a SYN that is surely newer, and to the limit") {
  network_limits limits;
  limits.time_wait = 2;
  scripted s(limits);
  s.timestamps = true;
  for (std::uint16_t i = 0; i < 3; ++i) {
    s.their_port = static_cast<std::uint16_t>(4'000 + i);
    s.their_next = 1'000;
    s.accept();
    s.c->release(s.now);
    (void)s.receive_all();
    ++s.my_next;
    s.send(s.header(tcp_ack | tcp_fin));
    (void)s.receive_all();
  }
  CHECK(s.counters().time_wait_evicted == 1);
  CHECK(s.mine.engine.connections() == 2);
  (void)s.receive_all();
  s.their_next = 500;
  s.send(s.syn());  // the clock has not moved: not newer
  auto const old = s.receive();
  REQUIRE(old);
  CHECK(old->is(tcp_ack));
  ++s.their_clock;
  s.send(s.syn());
  auto const fresh = s.receive();
  REQUIRE(fresh);
  CHECK(fresh->is(tcp_syn | tcp_ack));
  CHECK(s.mine.engine.connections() == 1);
}

TEST_CASE("Within one tick of the peer's clock the sequence numbers say whether a SYN is newer") {
  scripted s;
  s.timestamps = true;
  s.accept();
  s.c->release(s.now);
  (void)s.receive_all();
  ++s.my_next;
  s.send(s.header(tcp_ack | tcp_fin));
  (void)s.receive_all();
  REQUIRE(s.mine.engine.connections() == 1);
  auto const last = s.their_next;
  s.their_next = last + 1'000'000;
  --s.their_clock;
  s.send(s.syn());  // RFC 6191, 2: an older clock is not outweighed by a number
  auto const old = s.receive();
  REQUIRE(old);
  CHECK(old->is(tcp_ack));
  ++s.their_clock;
  s.send(s.syn());
  auto const fresh = s.receive();
  REQUIRE(fresh);
  CHECK(fresh->is(tcp_syn | tcp_ack));
}

TEST_CASE("A connection its user left waits in FIN-WAIT-2 for a minute only") {
  scripted s;
  s.accept();
  s.c->release(s.now);
  (void)s.receive_all();
  ++s.my_next;
  s.send(s.header(tcp_ack));
  CHECK(s.mine.engine.connections() == 1);
  (void)s.pass(61s);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("A slow reader does not stop the stream for good") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    host left(seed, v4(1)), right(seed + 1, v4(2));
    network net(seed, left, right, {.lost = 20'000, .delay = 5ms});
    auto listening = right.engine.listen({.port = 80});
    (*listening)->options().receive_buffer_bytes = 8'000;
    auto client = left.engine.connect({v4(2), 80}, {}, net.now);
    REQUIRE(client);
    writer w{*client, seed, 300'000};
    reader r{nullptr, seed};
    while (!r.ended && net.now < instant(2'000s)) {
      if (r.from == nullptr) r.from = (*listening)->accept();
      w.go(net.now);
      if (r.from != nullptr) r.go(net.now, 700);
      net.run_for(7ms);
    }
    INFO("SEED=" << seed);
    REQUIRE(r.ended);
    CHECK(r.done == 300'000);
    CHECK_FALSE(r.wrong);
  }
}
