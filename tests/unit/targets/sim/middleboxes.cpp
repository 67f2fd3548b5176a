// Each middlebox does to a packet what it is for, and leaves the checksums right.
#include "morgana/sim/middlebox.hpp"
#include "morgana/sim/oracle.hpp"

#include <algorithm>

#include "support.hpp"

using namespace morgana;
using namespace morgana::sim;
using namespace morgana::sim::testing;

namespace {

struct made_segment {
  std::uint16_t from = 40'000, to = 80;
  std::uint32_t sequence = 1'000, acknowledgment = 0;
  std::uint8_t flags = ack;
  std::uint16_t window = 500;
  bytes options = {};
  std::size_t payload = 0;
  bool from_server = false;
};

/// An IPv4 segment between 10.0.0.1 (the client) and 10.0.0.2, capable of ECN.
frame make(made_segment const& how) {
  frame one;
  auto const header = 20 + how.options.size();
  one.bytes.resize(14 + 20 + header + how.payload);
  std::span<std::byte> const b = one.bytes;
  put8(b, 5, how.from_server ? 1 : 2);
  put8(b, 11, how.from_server ? 2 : 1);
  put16(b, 12, 0x0800);
  put16(b, 14, 0x4502);
  put16(b, 16, static_cast<std::uint32_t>(b.size() - 14));
  put8(b, 22, 64);
  put8(b, 23, 6);
  put32(b, 26, how.from_server ? 0x0a000002 : 0x0a000001);
  put32(b, 30, how.from_server ? 0x0a000001 : 0x0a000002);
  put16(b, 34, how.from);
  put16(b, 36, how.to);
  put32(b, 38, how.sequence);
  put32(b, 42, how.acknowledgment);
  put8(b, 46, static_cast<std::uint32_t>(header / 4) << 4);
  put8(b, 47, how.flags);
  put16(b, 48, how.window);
  std::ranges::copy(how.options, one.bytes.begin() + 54);
  for (std::size_t i = 0; i < how.payload; ++i)
    put8(b, 34 + header + i, static_cast<std::uint32_t>(i * 7 & 0xff));
  fix_checksums(b, packet::parse(b).value());
  return one;
}

bytes const syn_options = {std::byte{2}, std::byte{4}, std::byte{0x05}, std::byte{0xb4},
                           std::byte{3}, std::byte{3}, std::byte{7},    std::byte{1},
                           std::byte{4}, std::byte{2}, std::byte{1},    std::byte{1}};

/// What comes out at each port, its checksums judged.
struct bench {
  explicit bench(middlebox& under) : box(under) {}
  void put(std::size_t port, frame one) { box.receive(port, one, now); }
  std::vector<tcp_packet> out(std::size_t port) {
    std::vector<tcp_packet> all;
    frame one;
    last.clear();
    while (box.poll_transmit(port, one, now)) {
      CHECK(wrong_checksums(one.bytes).empty());
      all.push_back(tcp_packet::parse(one.bytes).value());
      last.push_back(one.bytes);
    }
    return all;
  }
  middlebox& box;
  std::vector<bytes> last;
  instant now = start;
};

}  // namespace

TEST_CASE("a stripper takes the options it is told to, and no others") {
  option_stripper box({3, 4});
  bench on(box);
  on.put(0, make({.flags = syn, .options = syn_options}));
  auto const got = on.out(1);
  REQUIRE(got.size() == 1);
  CHECK(got[0].maximum_segment_size == 1460);
  CHECK_FALSE(got[0].window_scale);
  CHECK_FALSE(got[0].sack_permitted);
  CHECK(on.out(0).empty());
}

TEST_CASE("a clamper lowers the MSS of SYNs and never raises it") {
  for (auto const [limit, result] : {std::pair{1'000, 1'000}, {1'500, 1'460}}) {
    mss_clamper box(static_cast<std::uint16_t>(limit));
    bench on(box);
    on.put(1, make({.flags = syn, .options = syn_options}));
    auto const got = on.out(0);
    REQUIRE(got.size() == 1);
    CHECK(got[0].maximum_segment_size == result);
  }
}

TEST_CASE("a bleacher of ECN clears the mark of the IP header") {
  ecn_bleacher box;
  bench on(box);
  on.put(0, make({.payload = 10}));
  REQUIRE(on.out(1).size() == 1);
  CHECK((get8(on.last[0], 15) & 3) == 0);
}

TEST_CASE("what a splitter cuts a coalescer puts together again") {
  segment_splitter splits(300);
  segment_coalescer joins(2'000, 1ms);
  bench cutting(splits), joining(joins);
  auto const whole = make({.flags = ack | psh, .payload = 1'000});
  cutting.put(0, whole);
  auto const parts = cutting.out(1);
  REQUIRE(parts.size() == 4);
  CHECK(parts[3].size() == 100);
  CHECK(parts[1].sequence == 1'300);
  CHECK_FALSE(parts[0].has(psh));
  CHECK(parts[3].has(psh));
  for (auto const& part : cutting.last) {
    frame one;
    one.bytes = part;
    joining.put(0, std::move(one));
  }
  CHECK(joining.out(1).empty());
  CHECK(joins.next_deadline() == start + 1ms);
  joining.now = start + 1ms;
  joins.on_deadline(joining.now);
  REQUIRE(joining.out(1).size() == 1);
  CHECK(std::equal(joining.last[0].begin() + 34, joining.last[0].end(), whole.bytes.begin() + 34,
                   whole.bytes.end()));
}

TEST_CASE("a reset is forged with the number expected next, or one beyond it") {
  for (auto const how : {reset_injector::aim::exact, reset_injector::aim::within_window}) {
    reset_injector box(1'000'000, how, random_source(1, "x"));
    bench on(box);
    on.put(0, make({.flags = ack, .payload = 100}));
    auto const got = on.out(1);
    REQUIRE(got.size() == 2);
    CHECK(got[1].has(rst));
    CHECK((got[1].sequence == 1'100) == (how == reset_injector::aim::exact));
    on.put(0, make({.flags = ack}));
    CHECK(on.out(1).size() == 1);
  }
}

TEST_CASE("a translator changes ports both ways, and forgets them when it is told to") {
  port_translator box;
  bench on(box);
  on.put(0, make({.flags = syn}));
  auto got = on.out(1);
  REQUIRE(got.size() == 1);
  auto const outside = got[0].source_port;
  CHECK(outside == port_translator::first_port);
  on.put(1, make({.from = 80, .to = outside, .from_server = true}));
  got = on.out(0);
  REQUIRE(got.size() == 1);
  CHECK(got[0].destination_port == 40'000);
  box.rebind();
  on.put(1, make({.from = 80, .to = outside, .from_server = true}));
  CHECK(on.out(0).empty());
  on.put(0, make({.payload = 5}));
  got = on.out(1);
  REQUIRE(got.size() == 1);
  CHECK(got[0].source_port == outside + 1);
}

TEST_CASE("a SYN proxy opens to the host only after the client has answered, and shifts numbers") {
  syn_proxy box(random_source(1, "x"));
  bench on(box);
  on.put(1, make({.sequence = 500, .flags = syn, .options = syn_options}));
  CHECK(on.out(0).empty());
  auto got = on.out(1);
  REQUIRE(got.size() == 1);
  CHECK(got[0].has(syn | ack));
  CHECK(got[0].acknowledgment == 501);
  CHECK(got[0].window == 0);
  CHECK_FALSE(got[0].window_scale);
  auto const mine = got[0].sequence;
  on.put(1, make({.sequence = 501, .acknowledgment = mine + 1}));
  got = on.out(0);
  REQUIRE(got.size() == 1);
  CHECK(got[0].flags == syn);
  CHECK(got[0].sequence == 500);
  on.put(0, make({.from = 80,
                  .to = 40'000,
                  .sequence = 9'000,
                  .acknowledgment = 501,
                  .flags = syn | ack,
                  .window = 700,
                  .from_server = true}));
  got = on.out(0);
  REQUIRE(got.size() == 1);
  CHECK(got[0].acknowledgment == 9'001);
  got = on.out(1);
  REQUIRE(got.size() == 1);
  CHECK(got[0].window == 700);
  CHECK(got[0].sequence == mine + 1);
  on.put(0, make({.from = 80,
                  .to = 40'000,
                  .sequence = 9'001,
                  .acknowledgment = 501,
                  .payload = 10,
                  .from_server = true}));
  got = on.out(1);
  REQUIRE(got.size() == 1);
  CHECK(got[0].sequence == mine + 1);
  on.put(1, make({.sequence = 501, .acknowledgment = mine + 11}));
  got = on.out(0);
  REQUIRE(got.size() == 1);
  CHECK(got[0].acknowledgment == 9'011);
}

// ---- what judges --------------------------------------------------------------------------------------

namespace {

/// A host that is judged sends and receives what the test says, through a cable without faults.
std::string judged(std::vector<std::pair<bool, made_segment>> const& story, bool breaks_checksum = false) {
  world all(1);
  auto first = std::make_unique<probe>();
  auto second = std::make_unique<probe>();
  auto* const host = first.get();
  auto* const peer = second.get();
  auto const a = all.add("host", std::move(first));
  auto const b = all.add("peer", std::move(second));
  (void)all.join({a, 0}, {b, 0});
  wire_oracle oracle(all);
  oracle.judge(a);
  for (auto const& [is_sent, how] : story) {
    auto one = make(how);
    if (breaks_checksum) one.bytes[50] ^= std::byte{1};
    (is_sent ? host : peer)->send(std::move(one.bytes));
    all.touch(is_sent ? a : b);
    all.run_for(1ms);
  }
  return oracle.violation();
}

made_segment const opens{.sequence = 100, .flags = syn, .window = 1'000};
made_segment const answers{.from = 80,
                           .to = 40'000,
                           .sequence = 900,
                           .acknowledgment = 101,
                           .flags = syn | ack,
                           .window = 500,
                           .from_server = true};

}  // namespace

TEST_CASE("the oracle over frames has nothing against a connection in order") {
  CHECK(judged({{true, opens},
                {false, answers},
                {true, {.sequence = 101, .acknowledgment = 901, .window = 1'000, .payload = 500}},
                {false,
                 {.from = 80,
                  .to = 40'000,
                  .sequence = 901,
                  .acknowledgment = 601,
                  .window = 500,
                  .payload = 50,
                  .from_server = true}},
                {true, {.sequence = 601, .acknowledgment = 951, .window = 950}}}) == "");
}

TEST_CASE("each violation that frames can show is seen") {
  auto const contains = [](std::string const& found, char const* what) {
    INFO(found);
    CHECK(found.find(what) != std::string::npos);
  };
  contains(judged({{true, opens}}, true), "checksum is wrong");
  contains(judged({{true, opens}, {false, answers}, {true, {.sequence = 101, .acknowledgment = 902}}}),
           "acknowledgment beyond what arrived");
  contains(judged({{true, opens}, {true, {.sequence = 101, .acknowledgment = 902}}}), "what never arrived");
  contains(judged({{true, opens},
                   {false, answers},
                   {false,
                    {.from = 80,
                     .to = 40'000,
                     .sequence = 901,
                     .acknowledgment = 101,
                     .payload = 50,
                     .from_server = true}},
                   {true, {.sequence = 101, .acknowledgment = 951, .window = 950}},
                   {true, {.sequence = 101, .acknowledgment = 901, .window = 1'000}}}),
           "goes back");
  contains(judged({{true, opens},
                   {false, answers},
                   {true, {.sequence = 101, .acknowledgment = 901, .window = 1'000}},
                   {true, {.sequence = 101, .acknowledgment = 901, .window = 999}}}),
           "window shrinks");
  contains(judged({{true, opens},
                   {false, answers},
                   {true, {.sequence = 101, .acknowledgment = 901, .payload = 501}}}),
           "beyond the offered window");
}

TEST_CASE("each violation that a connection's own facts can show is seen") {
  using net::tcp::state;
  net::tcp::information good;
  good.state = state::established;
  good.maximum_segment_size = 1'000;
  good.congestion_window_bytes = 10'000;
  good.send_unacknowledged = 100;
  good.send_next = 5'100;
  good.bytes_in_flight = 5'000;
  good.bytes_sent = 5'000;
  good.receive_next = 50;
  good.deadline = start + 1s;
  auto const second = [&](auto const& change) {
    connection_oracle oracle;
    CHECK(oracle.check(good, {}, start) == "");
    auto worse = good;
    change(worse);
    return oracle.check(worse, {}, start);
  };
  CHECK(second([](auto&) {}) == "");
  CHECK(second([](auto& f) { f.state = state::syn_sent; }) == "its state goes from established to syn_sent");
  CHECK(second([](auto& f) { f.state = state::closed; }) == "");
  CHECK(second([](auto& f) { f.send_unacknowledged = 99; }) == "SND.UNA goes back");
  CHECK(second([](auto& f) { f.receive_next = 49; }) == "RCV.NXT goes back");
  CHECK(second([](auto& f) { f.send_unacknowledged = 5'101; }) == "SND.UNA is beyond SND.NXT");
  CHECK(second([](auto& f) { f.deadline = never; }) == "something is outstanding, and no timer runs");
  CHECK(second([](auto& f) { f.deadline = start + 5min; }) ==
        "something is outstanding, and nothing happens for two minutes");
  CHECK(second([](auto& f) { f.bytes_in_flight = 5'001; }) == "more in flight than outstanding");
  CHECK(second([](auto& f) {
          f.send_next += 15'000;
          f.bytes_sent += 15'000;
          f.bytes_in_flight += 15'000;
        }) == "20000 bytes in flight, the congestion window is 10000");
}

TEST_CASE("states follow each other as RFC 9293 says, whatever was missed between") {
  using net::tcp::state;
  CHECK(may_follow(state::syn_sent, state::close_wait));
  CHECK(may_follow(state::established, state::time_wait));
  CHECK_FALSE(may_follow(state::close_wait, state::fin_wait_1));
  CHECK_FALSE(may_follow(state::time_wait, state::established));
  CHECK_FALSE(may_follow(state::closing, state::last_ack));
}
