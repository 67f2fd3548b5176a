// What each state does with segments it did not expect: RFC 9293 3.10.7, RFC 5961, RFC 7323.
#include <catch2/catch.hpp>

#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_fin, wire::tcp_psh, wire::tcp_rst, wire::tcp_syn;

TEST_CASE("A segment to a port nobody listens on is answered by a reset, a reset by nothing") {
  scripted s;
  s.my_next = 77;
  s.send(s.header(tcp_syn));
  auto answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_rst | tcp_ack));
  CHECK(answer->h.acknowledgment.value == s.their_next + 1);
  s.send(s.header(tcp_ack), 10);
  answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_rst));
  CHECK(answer->h.sequence.value == 77);
  s.send(s.header(tcp_rst));
  s.send(s.header(tcp_rst | tcp_ack));
  CHECK_FALSE(s.receive());
}

TEST_CASE("A segment with a wrong checksum or a malformed header is dropped and counted") {
  scripted s;
  s.accept();
  auto h = s.header(tcp_ack);
  frame f{{s.theirs, v4(1), 0}, std::vector<std::byte>(h.encoded_bytes() + 5), 0, false};
  h.emit(f.bytes);
  s.mine.input(f, s.now);
  CHECK(s.counters().wrong_checksums == 1);
  f.checked = true;
  f.bytes[12] = std::byte{0x10};  // a header of four bytes
  s.mine.input(f, s.now);
  CHECK(s.counters().malformed == 1);
  CHECK_FALSE(s.receive());
}

TEST_CASE("A blind reset to SYN-SENT is ignored, one that acknowledges the SYN refuses the connection") {
  scripted s;
  s.connect(false);
  s.send(s.header(tcp_rst));
  auto wrong = s.header(tcp_rst | tcp_ack);
  wrong.acknowledgment += 5;
  s.send(wrong);
  CHECK(s.c->state() == tcp::state::syn_sent);
  CHECK_FALSE(s.receive());
  s.send(s.header(tcp_rst | tcp_ack));
  CHECK(s.c->state() == tcp::state::closed);
  CHECK(s.c->failure() == net_error::refused);
  CHECK((s.mine.ready[s.c] & tcp::ready_closed) != 0);
}

TEST_CASE("SYN-SENT answers an acknowledgment of something else by a reset") {
  scripted s;
  s.connect(false);
  auto h = s.syn();
  h.flags = tcp_syn | tcp_ack;
  h.acknowledgment = {s.my_next + 100};
  s.send(h);
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_rst));
  CHECK(answer->h.sequence.value == s.my_next + 100);
  CHECK(s.c->state() == tcp::state::syn_sent);
}

TEST_CASE("A reset within the window is challenged, the exact one ends the connection") {
  scripted s;
  s.accept();
  auto h = s.header(tcp_rst);
  h.sequence += 100;
  s.send(h);
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_ack));
  CHECK(answer->h.acknowledgment.value == s.their_next);
  CHECK(s.counters().challenge_acks == 1);
  CHECK(s.counters().resets_refused == 1);
  h.sequence += 10'000'000;  // beyond the window: not even that
  s.now += 1s;
  s.send(h);
  CHECK_FALSE(s.receive());
  CHECK(s.c->state() == tcp::state::established);
  s.send(s.header(tcp_rst));
  CHECK(s.c->failure() == net_error::reset);
  std::array<std::byte, 8> bytes;
  auto const got = s.c->read(bytes, s.now);
  REQUIRE_FALSE(got);
  CHECK(got.error().is(net_error::reset));
}

TEST_CASE("A blind SYN and blind data on an established connection are challenged, so often only") {
  scripted s;
  s.accept();
  s.send(s.header(tcp_syn));
  auto answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_ack));
  CHECK(s.c->state() == tcp::state::established);
  s.send(s.header(tcp_syn));
  CHECK_FALSE(s.receive());  // within the interval
  CHECK(s.counters().challenge_acks_suppressed == 1);
  s.now += 600ms;
  auto h = s.header(tcp_ack);
  h.acknowledgment += 100'000'000;  // of what was never sent
  s.send(h, 10);
  auto late = s.pass(50ms);
  REQUIRE(late.size() == 1);
  CHECK(late[0].is(tcp_ack));
  s.now += 600ms;
  h.acknowledgment = {s.my_next - 100'000'000};  // older than any window
  s.send(h, 10);
  CHECK(s.pass(50ms).size() == 1);
  CHECK(s.c->info().bytes_received == 0);
  CHECK(s.counters().challenge_acks == 3);
}

TEST_CASE("An old acknowledgment inside the window does not keep its data out") {
  scripted s;
  s.accept();
  s.write(1'000);
  (void)s.receive_all();
  s.my_next += 1'000;
  s.send(s.header(tcp_ack));
  auto h = s.header(tcp_ack);
  h.acknowledgment = {s.my_next - 500};
  s.send(h, 10);
  CHECK(s.c->info().bytes_received == 10);
}

TEST_CASE("An acknowledgment of what was never sent is answered, right after the handshake, too") {
  scripted s;
  s.accept();
  auto h = s.header(tcp_ack);
  h.acknowledgment += 5'000;
  s.send(h, 10);
  CHECK_FALSE(s.receive());
  auto const answers = s.pass(50ms);  // as late as any acknowledgment may be
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].is(tcp_ack));
  CHECK(answers[0].h.acknowledgment.value == s.their_next);
  CHECK(s.c->info().bytes_received == 0);
}

TEST_CASE("A challenge for the whole stack is limited each second") {
  network_limits limits;
  limits.challenge_acks_per_s = 4;
  limits.challenge_ack_interval = 0s;
  scripted s(limits);
  s.accept();
  for (int i = 0; i < 20; ++i) s.send(s.header(tcp_syn));
  CHECK(s.counters().challenge_acks <= 6);
  CHECK(s.counters().challenge_acks >= 2);
  CHECK(s.counters().challenge_acks + s.counters().challenge_acks_suppressed == 20);
}

TEST_CASE("Segments of an older clock are refused and acknowledged (PAWS)") {
  scripted s;
  s.timestamps = true;
  s.accept();
  s.their_clock = 100;
  s.send(s.header(tcp_ack), 10);
  (void)s.receive_all();
  s.their_next += 10;
  s.their_clock = 99;
  s.send(s.header(tcp_ack), 10);
  CHECK(s.counters().paws_dropped == 1);
  CHECK(s.c->info().bytes_received == 10);
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->h.acknowledgment.value == s.their_next);
  CHECK(answer->h.options.timestamps->echo == 100);
}

TEST_CASE("Data beyond a gap is reported by SACK, the latest first, and joined when the gap fills") {
  scripted s;
  s.accept();
  auto const at = [&](std::uint32_t offset, std::size_t size) {
    auto h = s.header(tcp_ack);
    h.sequence += offset;
    s.send(h, size);
    auto const answer = s.receive();
    REQUIRE(answer);
    return answer->h;
  };
  auto answer = at(1'000, 500);
  REQUIRE(answer.options.sack_count == 1);
  CHECK(answer.options.sack[0].left.value == s.their_next + 1'000);
  CHECK(answer.options.sack[0].right.value == s.their_next + 1'500);
  answer = at(3'000, 500);
  REQUIRE(answer.options.sack_count == 2);
  CHECK(answer.options.sack[0].left.value == s.their_next + 3'000);
  answer = at(1'000, 500);  // again: a duplicate is reported first (RFC 2883)
  REQUIRE(answer.options.sack_count == 3);
  CHECK(answer.options.sack[0].left.value == s.their_next + 1'000);
  CHECK(answer.options.sack[0].right.value == s.their_next + 1'500);
  answer = at(1'400, 1'700);
  REQUIRE(answer.options.sack_count == 1);
  CHECK(answer.options.sack[0].right.value == s.their_next + 3'500);
  answer = at(0, 1'000);
  CHECK(answer.acknowledgment.value == s.their_next + 3'500);
  CHECK(answer.options.sack_count == 0);
  CHECK(s.c->info().bytes_received == 3'500);
}

TEST_CASE("No more ranges beyond gaps are kept than the limit") {
  network_limits limits;
  limits.out_of_order_ranges = 4;
  scripted s(limits);
  s.accept();
  for (std::uint32_t i = 1; i <= 6; ++i) {
    auto h = s.header(tcp_ack);
    h.sequence += 100 * i;
    s.send(h, 10);
  }
  CHECK(s.counters().out_of_order_dropped == 2);
}

TEST_CASE("A FIN beyond a gap ends the stream when the gap is filled") {
  scripted s;
  s.accept();
  auto h = s.header(tcp_ack | tcp_fin);
  h.sequence += 100;
  s.send(h, 50);
  CHECK(s.c->state() == tcp::state::established);
  s.send(s.header(tcp_ack), 100);
  CHECK(s.c->state() == tcp::state::close_wait);
  auto const all = s.receive_all();
  CHECK(all.back().h.acknowledgment.value == s.their_next + 151);
}

TEST_CASE("Data that arrives after the user left is answered by a reset") {
  scripted s;
  s.accept();
  s.c->release(s.now);
  auto answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->is(tcp_fin | tcp_ack));
  ++s.my_next;
  s.send(s.header(tcp_ack), 10);
  answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->h.has(tcp_rst));
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("Releasing a connection with unread data resets it") {
  scripted s;
  s.accept();
  s.send(s.header(tcp_ack), 10);
  s.c->release(s.now);
  bool reset = false;
  for (auto const& one : s.receive_all()) reset |= one.h.has(tcp_rst);
  CHECK(reset);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("the window of a SYN-ACK that ends a simultaneous open is not scaled") {
  scripted peer;
  peer.connect(false);
  peer.send(peer.syn());
  (void)peer.receive_all();
  auto h = peer.syn();
  h.flags = wire::tcp_syn | wire::tcp_ack;
  h.acknowledgment = {peer.my_next};
  h.window = 1'000;  // scaled by 7 it would be more than the first flight
  peer.send(h);
  ++peer.their_next;
  REQUIRE(peer.c->state() == tcp::state::established);
  peer.write(20'000);
  std::size_t sent = 0;
  for (auto const& one : peer.receive_all()) sent += one.payload;
  CHECK(sent == 1'000);
}

TEST_CASE("a retransmission that acknowledges more tells the window, too") {
  scripted peer;
  peer.accept();
  auto const first = peer.their_next;
  for (int i = 0; i < 2; ++i) {
    auto h = peer.header(wire::tcp_ack);
    h.window = 40;  // scaled by 7: 5,120 bytes
    peer.send(h, 100);
    peer.their_next += 100;
  }
  (void)peer.receive_all();
  peer.write(20'000);
  std::uint32_t sent = 0;
  for (auto const& one : peer.receive_all()) sent += static_cast<std::uint32_t>(one.payload);
  REQUIRE(sent == 4'380);  // whole segments of it
  // The first of both again: it acknowledges everything, and there is no room for more.
  auto h = peer.header(wire::tcp_ack);
  h.sequence = {first};
  h.acknowledgment = {peer.my_next + sent};
  h.window = 0;
  peer.send(h, 100);
  sent = 0;
  for (auto const& one : peer.receive_all()) sent += static_cast<std::uint32_t>(one.payload);
  CHECK(sent == 0);
  CHECK(peer.c->info().send_window_bytes == 0);
}

TEST_CASE("Who answers what comes acknowledges the end with its own, or after 40 ms; all others at once") {
  enum class server { silent, leaves, stays };
  auto const what = GENERATE(server::silent, server::leaves, server::stays);
  scripted s;
  s.accept();
  s.send(s.header(tcp_ack | tcp_psh), 100);
  s.their_next += 100;
  CHECK(s.receive());
  std::array<std::byte, 200> into;
  CHECK(**s.c->read(into, s.now) == 100);
  if (what != server::silent) {
    s.write(50);
    CHECK(s.receive()->payload == 50);
    s.my_next += 50;
  }
  s.send(s.header(tcp_ack | tcp_fin));
  ++s.their_next;
  CHECK(s.c->state() == tcp::state::close_wait);
  CHECK(**s.c->read(into, s.now) == 0);
  auto const told = s.receive();
  CHECK(told.has_value() == (what == server::silent));
  if (what == server::stays) {
    CHECK(s.pass(39ms).empty());
    auto const late = s.pass(2ms);
    REQUIRE(late.size() == 1);
    CHECK(late[0].h.acknowledgment.value == s.their_next);
  }
  s.c->shutdown(s.now);
  auto const end = s.receive();
  REQUIRE(end);
  CHECK(end->is(tcp_fin | tcp_ack));
  CHECK(end->h.acknowledgment.value == s.their_next);
  ++s.my_next;
  s.send(s.header(tcp_ack));
  CHECK(s.c->state() == tcp::state::closed);
}
