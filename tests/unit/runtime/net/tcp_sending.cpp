// When data goes and how it is marked, by a peer played segment by segment. packetdrill's scripts
// (docs/network.md) ask the same and more of the whole host.
#include <catch2/catch.hpp>

#include "tcp_peer.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace tcp_test;

namespace {

constexpr std::uint8_t data_flags = wire::tcp_ack;
constexpr std::uint8_t pushed_flags = wire::tcp_ack | wire::tcp_psh;

/// Acknowledges all up to `bytes` of the stream.
void acknowledge(scripted& s, std::uint32_t bytes) {
  auto h = s.header(wire::tcp_ack);
  h.acknowledgment = {s.my_next + bytes};
  h.window = 500;
  s.send(h);
}

}  // namespace

TEST_CASE("PSH is on the last segment of a write, and on no other of it") {
  scripted s;
  s.accept();
  s.write(3 * 1'460 + 40);
  auto const all = s.receive_all();
  REQUIRE(all.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(all[i].is(data_flags));
  CHECK(all[3].is(pushed_flags));
}

TEST_CASE("A write that more follows waits to fill its segment, until the last one or a flush") {
  scripted s;
  s.accept();
  std::vector<std::byte> const bytes(100);
  REQUIRE(s.c->write(bytes, s.now, tcp::more::follows));
  CHECK(s.receive_all().empty());
  SECTION("the last one takes it along") {
    REQUIRE(s.c->write(bytes, s.now));
    auto const all = s.receive_all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].payload == 200);
    CHECK(all[0].is(pushed_flags));
  }
  SECTION("a flush sends it") {
    s.c->flush(s.now);
    auto const all = s.receive_all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].payload == 100);
  }
  SECTION("it does not wait for longer than a retransmission timeout") {
    auto const all = s.pass(s.c->info().retransmission_timeout);
    REQUIRE(!all.empty());
    CHECK(all[0].payload == 100);
  }
}

TEST_CASE("With Nagle's algorithm one small segment may be out, a second one waits") {
  scripted s;
  s.accept();
  s.c->options().no_delay = false;
  s.write(1'460 + 10);
  CHECK(s.receive_all().size() == 2);  // the small one goes although the full one is out
  s.write(10);
  CHECK(s.receive_all().empty());
  acknowledge(s, 1'470);
  CHECK(s.receive_all().size() == 1);
}

TEST_CASE("A reset carries timestamps once they were agreed on") {
  scripted s;
  s.timestamps = true;
  s.accept();
  s.c->abort(s.now);
  auto const all = s.receive_all();
  REQUIRE(all.size() == 1);
  CHECK((all[0].h.flags & wire::tcp_rst) != 0);
  CHECK(all[0].h.options.timestamps.has_value());
}

TEST_CASE("After a timeout without new data, what is lost is sent again as acknowledgments come") {
  scripted s;
  s.accept();
  s.c->options().loss_probe = false;
  s.write(4 * 1'460);
  CHECK(s.receive_all().size() == 4);
  auto all = s.pass(s.c->info().retransmission_timeout);
  REQUIRE(all.size() == 1);
  acknowledge(s, 1'460);
  all = s.receive_all();
  REQUIRE(all.size() == 2);
  CHECK(all[0].h.sequence == wire::sequence{s.my_next + 1'460});
}

TEST_CASE("A listener's segment size is offered and kept to") {
  scripted s;
  s.listen();
  s.listening->options().maximum_segment_bytes = 1'000;
  s.send(s.syn());
  auto const answer = s.receive();
  REQUIRE(answer);
  CHECK(answer->h.options.maximum_segment_size == 1'000);
}
