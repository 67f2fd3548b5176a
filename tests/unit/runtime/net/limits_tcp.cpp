// Each limit of TCP, reached: what happens then, and the counter that tells (tests/proofs/limits.toml).
#include <catch2/catch.hpp>

#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_fin, wire::tcp_rst, wire::tcp_syn;

namespace {

/// What the peer says when it has everything up to `my_next` and nothing else.
void acknowledge_with_sack(scripted& s, std::uint32_t left, std::uint32_t right) {
  auto h = s.header(tcp_ack);
  h.options.sack_count = 1;
  h.options.sack[0] = {{s.my_next + left}, {s.my_next + right}};
  s.send(h);
}

}  // namespace

TEST_CASE("A peer that acknowledges crumbs makes no records of them") {
  scripted s;
  s.accept();
  s.write(12'000);
  (void)s.receive_all();
  auto const in_flight = s.c->info().bytes_in_flight;
  REQUIRE(in_flight > 10'000);
  auto const end = s.c->info().maximum_segment_size * 2;
  for (std::uint32_t i = 1; i <= 20; ++i) {
    acknowledge_with_sack(s, end - 700 + i * 32, end - 700 + i * 32 + 8);
    (void)s.receive_all();
  }
  CHECK(s.c->info().segments_sacked == 0);
  CHECK(s.c->info().bytes_in_flight == in_flight);
}

TEST_CASE("A super-segment is cut by a peer's SACKs no more often than the limit of SACK ranges") {
  network_limits limits;
  limits.sack_ranges = 2;
  scripted s(limits);
  s.mine.route.how.segmentation = s.mine.route.how.checksum = true;
  s.accept();
  s.write(14'000);
  (void)s.receive_all();
  auto const mss = s.c->info().maximum_segment_size;
  for (std::uint32_t i = 0; i < 4; ++i) {
    acknowledge_with_sack(s, (2 * i + 1) * mss, (2 * i + 2) * mss);
    (void)s.receive_all();
  }
  CHECK(s.counters().sack_ranges_full >= 1);
}

TEST_CASE("A peer's MSS below the limit is raised and counted, by either side's SYN") {
  network_limits limits;
  limits.mss_bytes_min = 200;
  scripted s(limits);
  s.listen();
  auto h = s.syn();
  h.options.maximum_segment_size = 8;
  s.send(h);
  CHECK(s.counters().mss_raised == 1);
  scripted active(limits);
  active.connect(false);
  auto answer = active.syn();
  answer.flags = tcp_syn | tcp_ack;
  answer.acknowledgment = {active.my_next};
  answer.options.maximum_segment_size = 1;
  active.send(answer);
  CHECK(active.counters().mss_raised == 1);
  CHECK(active.c->info().maximum_segment_size == 200);
}

TEST_CASE("No more SYN-ACKs than the limit, then the half-open entry is forgotten") {
  network_limits limits;
  limits.syn_retries = 2;
  scripted s(limits);
  s.listen();
  s.send(s.syn());
  CHECK(s.pass(100s).size() == 3);
  CHECK(s.counters().half_opens_expired == 1);
}

TEST_CASE("No more retransmissions than the limit, then the connection has timed out") {
  network_limits limits;
  limits.retransmissions = 3;
  scripted s(limits);
  s.accept();
  s.write(100);
  std::size_t data = 0;
  for (auto const& one : s.pass(600s)) data += one.payload != 0 ? 1 : 0;
  CHECK(data <= 1 + 1 + 3);  // the first, a loss probe, the retransmissions
  CHECK(s.c->failure() == net_error::timed_out);
  CHECK(s.counters().timeouts >= 3);
}

TEST_CASE("The window closes at the limit of the receive buffer, whatever the user chose") {
  network_limits limits;
  limits.receive_buffer_bytes = 4'000;
  scripted s(limits);
  s.listen();
  s.listening->options().receive_buffer_bytes = 1u << 20;
  s.accept();
  for (int i = 0; i < 4; ++i) {
    s.send(s.header(tcp_ack), 1'000);
    s.their_next += 1'000;
  }
  (void)s.pass(100ms);
  CHECK(s.counters().windows_closed != 0);
  s.send(s.header(tcp_ack), 1'000);
  CHECK(s.c->info().bytes_received == 4'000);
}

TEST_CASE("The writer waits at the limit of the send buffer, whatever the user chose") {
  network_limits limits;
  limits.send_buffer_bytes = 5'000;
  scripted s(limits);
  s.accept();
  s.c->options().send_buffer_bytes = 1u << 20;
  CHECK(s.write(8'000) == 5'000);
  CHECK(s.write(1) == 0);
  CHECK(s.counters().send_buffers_full == 2);
  CHECK(s.counters().buffers_exhausted == 0);
  s.mine.ready.clear();
  for (auto const& one : s.receive_all()) s.my_next += static_cast<std::uint32_t>(one.payload);
  s.send(s.header(tcp_ack));
  CHECK((s.mine.ready[s.c] & tcp::ready_to_write) != 0);
  CHECK(s.write(8'000) == 5'000);
}

TEST_CASE("A writer that found no buffer is told when there is one again") {
  scripted s;
  s.accept();
  std::vector<slice> all;
  while (true) {
    auto one = s.mine.pool.take_slice(1);
    if (one.size() == 0) break;
    all.push_back(std::move(one));
  }
  CHECK_FALSE(s.mine.pool.has_room());
  CHECK(s.write(100) == 0);
  CHECK(s.counters().buffers_exhausted == 1);
  CHECK(s.mine.pool.refused() >= 2);
  s.mine.take_events();
  s.mine.ready.clear();
  (void)s.pass(1s);
  CHECK((s.mine.ready[s.c] & tcp::ready_to_write) == 0);
  all.clear();
  (void)s.pass(100ms);
  CHECK((s.mine.ready[s.c] & tcp::ready_to_write) != 0);
  CHECK(s.write(100) == 100);
  CHECK(s.receive_all().size() == 1);
}

TEST_CASE("A connection that waits for buffers may end meanwhile") {
  scripted s;
  s.accept();
  std::vector<slice> all;
  for (auto one = s.mine.pool.take_slice(1); one.size() != 0; one = s.mine.pool.take_slice(1)) {
    all.push_back(std::move(one));
  }
  CHECK(s.write(100) == 0);
  s.c->abort(s.now);
  s.c->release(s.now);
  all.clear();
  (void)s.pass(1s);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("The challenge acknowledgments of a connection keep their interval") {
  network_limits limits;
  limits.challenge_ack_interval = 2s;
  scripted s(limits);
  s.accept();
  auto h = s.header(tcp_rst);
  h.sequence += 100;
  for (int i = 0; i < 10; ++i) {
    s.send(h);
    (void)s.pass(300ms);
  }
  CHECK(s.counters().challenge_acks == 2);
  CHECK(s.counters().challenge_acks_suppressed == 8);
}

TEST_CASE("TIME-WAIT lasts as long as its limit says") {
  network_limits limits;
  limits.time_wait_length = 5s;
  scripted s(limits);
  s.accept();
  s.c->shutdown(s.now);
  (void)s.receive_all();
  ++s.my_next;
  s.send(s.header(tcp_ack | tcp_fin));
  (void)s.pass(4'900ms);
  CHECK(s.mine.engine.connections() == 1);
  (void)s.pass(200ms);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("Window probes are never further apart than their limit") {
  network_limits limits;
  limits.zero_window_probe = 5s;
  scripted s(limits);
  s.accept();
  auto closed = s.header(tcp_ack);
  closed.window = 0;
  s.send(closed);
  s.write(500);
  std::size_t probes = 0;
  for (int i = 0; i < 100; ++i) {
    for (std::size_t n = s.pass(1s).size(); n != 0; --n) {
      ++probes;
      s.send(closed);
    }
  }
  CHECK(probes >= 100 / 5);
}

TEST_CASE("A user timeout also ends a peer that answers probes and never opens its window") {
  scripted s;
  s.accept();
  s.c->options().user_timeout = 30s;
  auto closed = s.header(tcp_ack);
  closed.window = 0;
  s.send(closed);
  s.write(500);
  for (int i = 0; i < 40 && !s.c->failure(); ++i) {
    for (std::size_t n = s.pass(1s).size(); n != 0; --n) s.send(closed);
  }
  CHECK(s.c->failure() == net_error::timed_out);
  CHECK(s.counters().abandoned == 0);
}

TEST_CASE("A connection its user left is not kept for a peer that takes nothing") {
  network_limits limits;
  limits.abandoned_stall = 60s;
  scripted s(limits);
  s.accept();
  auto closed = s.header(tcp_ack);
  closed.window = 0;
  s.send(closed);
  s.write(500);
  s.c->release(s.now);
  bool reset = false;
  for (int i = 0; i < 70; ++i) {
    for (auto const& one : s.pass(1s)) {
      reset = reset || one.h.has(tcp_rst);
      if (!reset) s.send(closed);
    }
    if (i < 58) CHECK(s.mine.engine.connections() == 1);
  }
  CHECK(reset);
  CHECK(s.counters().abandoned == 1);
  CHECK(s.mine.engine.connections() == 0);
}

TEST_CASE("A connection its user left goes on for a peer that takes a little at a time") {
  network_limits limits;
  limits.abandoned_stall = 60s;
  scripted s(limits);
  s.accept();
  s.write(500);
  s.c->release(s.now);
  auto const first = s.receive_all();
  REQUIRE(first.size() == 1);
  for (int i = 0; i < 10; ++i) {
    (void)s.pass(50s);
    s.my_next += 50;
    s.send(s.header(tcp_ack));
  }
  CHECK(s.counters().abandoned == 0);
}
