// What was thought lost and was not, what was thought delivered and was not, and a slow start that ends in time.
#include <catch2/catch.hpp>

#include "runtime/net/tcp/congestion.hpp"
#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack, wire::tcp_syn;

namespace {

constexpr std::uint32_t mss = 1'460;

/// Ten segments out and more waiting.
std::uint32_t fill_window(scripted& s, std::size_t bytes = 20'000) {
  s.accept();
  s.write(bytes);
  REQUIRE(s.receive_all().size() == 10);
  return s.c->info().congestion_window_bytes;
}

/// Lets time pass up to the retransmission timeout's first segment.
void time_out(scripted& s) {
  for (int i = 0; i < 100; ++i) {
    for (auto const& one : s.pass(10ms)) {
      if (one.h.sequence.value == s.my_next) return;
    }
  }
  FAIL("no retransmission");
}

/// Acknowledges `segments` of them; SACK blocks in segments, [left, right).
void acknowledge(scripted& s, std::uint32_t segments, std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> sacked = {}) {
  auto h = s.header(tcp_ack);
  h.window = 500;  // scaled by 7
  h.acknowledgment += segments * mss;
  for (auto const& [left, right] : sacked) {
    h.options.sack[h.options.sack_count++] = {{s.my_next + left * mss}, {s.my_next + right * mss}};
  }
  s.send(h);
}

/// One segment is missing, and comes again at once.
void lose_the_first(scripted& s) {
  s.now += 20ms;
  for (std::uint32_t to = 2; to <= 5; ++to) acknowledge(s, 0, {{1, to}});
  auto const again = s.receive_all();
  REQUIRE_FALSE(again.empty());
  REQUIRE(again[0].h.sequence.value == s.my_next);
}

/// Ten samples of one round.
void round(tcp::congestion& control, std::uint32_t number, duration trip) {
  for (std::uint32_t i = 0; i < 10; ++i) {
    control.measure(trip, {number * 1'000 + i}, {(number + 1) * 1'000});
  }
}
std::uint32_t growth(tcp::congestion& control) {
  auto const before = control.window;
  control.acknowledged(tcp::congestion_control::cubic, mss, mss, 50ms, instant{});
  return control.window - before;
}

}  // namespace

TEST_CASE("F-RTO: a timeout after which originals are acknowledged is taken back without timestamps") {
  scripted s;
  auto const before = fill_window(s);
  time_out(s);
  REQUIRE(s.c->info().congestion_window_bytes < before);
  acknowledge(s, 1);
  // New data goes out instead of more of the old.
  auto const fresh = s.receive_all();
  REQUIRE_FALSE(fresh.empty());
  for (auto const& one : fresh) CHECK(one.h.sequence.value >= s.my_next + 10 * mss);
  acknowledge(s, 2);
  CHECK(s.c->info().congestion_window_bytes >= before);
}

TEST_CASE("F-RTO: a timeout after which only duplicates come is a loss") {
  scripted s;
  auto const before = fill_window(s);
  time_out(s);
  acknowledge(s, 1);
  auto const fresh = s.receive_all();
  REQUIRE_FALSE(fresh.empty());
  auto const number = (fresh[0].h.sequence.value - s.my_next) / mss;
  acknowledge(s, 1, {{number, number + 1}});  // once more the same: what arrived is new, the old is still missing
  auto const again = s.receive_all();
  REQUIRE_FALSE(again.empty());
  CHECK(again[0].h.sequence.value == s.my_next + mss);
  CHECK(s.c->info().congestion_window_bytes < before);
}

TEST_CASE("A duplicate report (DSACK) of every retransmission takes the reduction back") {
  for (bool late : {false, true}) {
    INFO((late ? "after recovery" : "during recovery"));
    scripted s;
    auto const before = fill_window(s);
    lose_the_first(s);
    CHECK(s.c->info().slow_start_threshold_bytes < before);
    if (late) acknowledge(s, 10);
    (void)s.receive_all();
    // The first block lies below the acknowledgment: that segment came twice.
    acknowledge(s, 10, {{0, 1}});
    CHECK(s.c->info().congestion_window_bytes >= before);
    CHECK(s.c->info().slow_start_threshold_bytes >= before);
  }
}

TEST_CASE("A peer that goes back on its SACKs is sent everything again") {
  scripted s;
  (void)fill_window(s, 14'600);
  lose_the_first(s);
  // The hole is filled, but what was reported behind it is not acknowledged any more.
  acknowledge(s, 1);
  (void)s.receive_all();
  std::uint32_t next = s.my_next + mss;
  for (int i = 0; i < 40 && next != s.my_next + 10 * mss; ++i) {
    for (auto const& one : s.pass(500ms)) {
      if (one.h.sequence.value == next) next += static_cast<std::uint32_t>(one.payload);
    }
    acknowledge(s, (next - s.my_next) / mss);
  }
  CHECK(next == s.my_next + 10 * mss);
  CHECK(s.c->info().bytes_in_flight == 0);
}

TEST_CASE("HyStart++: round trips that rise slow the start down, and end it after five rounds") {
  tcp::congestion control;
  control.start(mss);
  round(control, 0, 50ms);
  round(control, 1, 50ms);
  CHECK(growth(control) == mss);
  round(control, 2, 55ms);  // less than an eighth more
  CHECK(growth(control) == mss);
  round(control, 3, 65ms);
  CHECK(growth(control) == mss / 4);
  SECTION("for good") {
    for (std::uint32_t number = 4; number < 9; ++number) {
      CHECK(control.in_slow_start());
      round(control, number, 66ms);
    }
    CHECK_FALSE(control.in_slow_start());
    CHECK(control.threshold == control.window);
  }
  SECTION("unless the rise passes") {
    round(control, 4, 52ms);
    CHECK(growth(control) == mss);
    CHECK(control.in_slow_start());
  }
}

TEST_CASE("HyStart++: a few samples say nothing") {
  tcp::congestion control;
  control.start(mss);
  round(control, 0, 50ms);
  for (std::uint32_t i = 0; i < 7; ++i) control.measure(80ms, {1'000 + i}, {2'000});
  CHECK(growth(control) == mss);
}

TEST_CASE("What an acknowledgment reports beyond a gap did not overtake what it acknowledges") {
  scripted s;
  (void)fill_window(s, 14'600);
  s.now += 20ms;
  // One arrived, the next is lost, four behind it arrived: nothing was reordered, so nothing is waited for.
  acknowledge(s, 1, {{2, 6}});
  CHECK(s.c->info().reorderings == 0);
  auto const again = s.receive_all();
  REQUIRE_FALSE(again.empty());
  CHECK(again[0].h.sequence.value == s.my_next + mss);
}

TEST_CASE("A FIN without data is not held back by the congestion window") {
  scripted s;
  (void)fill_window(s, 14'600);
  s.c->shutdown(s.now);
  auto const end = s.receive();
  REQUIRE(end);
  CHECK(end->is(wire::tcp_fin | tcp_ack));
  CHECK(end->payload == 0);
}

TEST_CASE("CUBIC: time without data is not time in which the window grows") {
  using tcp::congestion_control;
  auto const grown = [](bool idle) {
    tcp::congestion control;
    control.start(mss);
    control.window = 60 * mss;
    control.reduce(congestion_control::cubic, control.window, mss, instant{});
    control.window = control.threshold;
    instant now{};
    control.acknowledged(congestion_control::cubic, mss, mss, 50ms, now);
    now += 20s;
    if (idle) control.resume(20s, now);
    for (int i = 0; i < 40; ++i) control.acknowledged(congestion_control::cubic, mss, mss, 50ms, now += 1ms);
    return control.window - control.threshold;
  };
  CHECK(grown(false) > 10 * mss);
  CHECK(grown(true) < 2 * mss);
}

TEST_CASE("CUBIC: after a timeout the window does not hurry to where it was") {
  using tcp::congestion_control;
  auto const grown = [](bool timed_out) {
    tcp::congestion control;
    control.start(mss);
    control.window = 200 * mss;
    control.reduce(congestion_control::cubic, control.window, mss, instant{});
    if (timed_out) control.time_out();
    control.window = control.threshold;
    instant now{};
    for (int i = 0; i < 200; ++i) control.acknowledged(congestion_control::cubic, mss, mss, 50ms, now += 2ms);
    return control.window - control.threshold;
  };
  CHECK(grown(false) > 6 * mss);
  CHECK(grown(true) < 3 * mss);
}

TEST_CASE("A slow start that ended at once goes on by a twentieth a round trip until something is lost") {
  using tcp::congestion_control;
  tcp::congestion control;
  control.start(mss);
  control.window = 100 * mss;
  for (std::uint32_t i = 0; i < 10 && control.in_slow_start(); ++i) {
    control.measure_at_once(80ms, 50ms, {i}, {1'000}, mss);
  }
  REQUIRE_FALSE(control.in_slow_start());
  instant now{};
  for (int i = 0; i < 100; ++i) control.acknowledged(congestion_control::cubic, mss, mss, 50ms, now += 100us);
  CHECK(control.window / mss == 105);
}

TEST_CASE("A smaller path cuts super-segments anew, and all of them arrive") {
  scripted s;
  s.mine.route.how.segmentation = s.mine.route.how.checksum = true;
  s.accept();
  s.write(14'600);
  auto const sent = s.receive_all();
  REQUIRE_FALSE(sent.empty());
  REQUIRE(sent[0].payload > mss);
  CHECK(sent[0].raw.gso_size == mss);
  auto const before = s.c->info().congestion_window_bytes;
  s.mine.engine.on_icmp({v4(1), s.theirs, 0}, s.my_port, s.their_port, s.my_next, tcp::engine::soft_error::too_big, 1'000,
                        s.now);
  std::uint32_t next = s.my_next;
  for (auto const& one : s.receive_all()) {
    CHECK((one.payload <= 960 || one.raw.gso_size == 960));
    CHECK(one.h.sequence.value == next);
    next += static_cast<std::uint32_t>(one.payload);
  }
  CHECK(next == s.my_next + 14'600);
  CHECK(s.c->info().congestion_window_bytes == before);
}

TEST_CASE("Segments carry the differentiated services their user chose, beside their ECN bits") {
  scripted s;
  s.connect(false, {.differentiated_services = 46});
  auto answer = s.syn();
  answer.flags = tcp_syn | tcp_ack;
  answer.acknowledgment = {s.my_next};
  s.send(answer);
  auto const ack = s.receive();
  REQUIRE(ack);
  CHECK(ack->raw.between.traffic_class == 46 << 2);

  scripted passive;
  passive.listen();
  passive.listening->options().differentiated_services = 10;
  auto h = passive.syn();
  h.flags |= wire::tcp_ece | wire::tcp_cwr;
  passive.send(h);
  auto const agreed = passive.receive();
  REQUIRE(agreed);
  passive.my_next = agreed->h.sequence.value + 1;
  ++passive.their_next;
  passive.send(passive.header(tcp_ack));
  passive.c = passive.listening->accept();
  REQUIRE(passive.c != nullptr);
  passive.write(100);
  auto const data = passive.receive();
  REQUIRE(data);
  CHECK(data->raw.between.traffic_class == (10 << 2 | 2));
}
