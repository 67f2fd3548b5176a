// Backends that lie, close or keep pages, and what is said of them.
#include "netfront_guest.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::xen::test::at;
using morgana::xen::test::frame_of;
using morgana::xen::test::text_of;
using guest = morgana::xen::test::net_guest;

}  // namespace

TEST_CASE("a backend that lies about what came ends in an error, for good", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 4> into;
  std::string how;
  auto const answer = [&](std::uint16_t id, unsigned offset, unsigned flags, int status) {
    on.backend.receive.answer(net_wire::receive_response{.id = id,
                                                         .offset = static_cast<std::uint16_t>(offset),
                                                         .flags = static_cast<std::uint16_t>(flags),
                                                         .status = static_cast<std::int16_t>(status)});
  };
  auto const answer_extra = [&](unsigned kind, unsigned flags) {
    on.backend.receive.answer(net_wire::extra{.kind = static_cast<std::uint8_t>(kind),
                                              .flags = static_cast<std::uint8_t>(flags),
                                              .segment_bytes = 1000,
                                              .protocol = 1,
                                              .reserved = 0,
                                              .features = 0});
  };
  auto const have_more_lent = [&] {
    for (int count : {20, 40}) {
      while (count-- != 0) REQUIRE(on.backend.deliver(frame_of(1514)));
      while (on.receive(*device, into, 1ms)) {
        for (auto& one : into) one.clear();
      }
    }
  };
  SECTION("an id of another slot") {
    answer(static_cast<std::uint16_t>(on.backend.next_lent().id + 1), 0, 0, 60);
    how = "an id that is not the slot's";
  }
  SECTION("a size beyond the page") {
    answer(on.backend.next_lent().id, 0, 0, 4097);
    how = "a length beyond its page";
  }
  SECTION("an offset that makes it so") {
    answer(on.backend.next_lent().id, 4000, 0, 97);
    how = "a length beyond its page";
  }
  SECTION("the largest size there is") {
    answer(on.backend.next_lent().id, 65'535, 0, 32'767);
    how = "a length beyond its page";
  }
  SECTION("parts without end") {
    have_more_lent();
    for (int i = 0; i < 60; ++i) answer(on.backend.next_lent().id, 0, net_wire::came_more, 1000);
    how = "a chain of responses without end";
  }
  SECTION("extra information without end") {
    have_more_lent();
    answer(on.backend.next_lent().id, 0, net_wire::came_extra, 60);
    for (int i = 0; i < 60; ++i) {
      (void)on.backend.next_lent();
      answer_extra(4, net_wire::extra::more);
    }
    how = "a chain of responses without end";
  }
  SECTION("extra information of no kind") {
    answer(on.backend.next_lent().id, 0, net_wire::came_extra, 60);
    (void)on.backend.next_lent();
    answer_extra(9, 0);
    how = "extra information of a kind that is none";
  }
  SECTION("more responses than requests") {
    on.backend.receive.put += 300;
    how = "an index that cannot be";
  }
  SECTION("a page that it keeps mapped") {
    auto const request = on.backend.next_lent();
    on.host.table[request.page].flags |= grant_is_written;
    answer(request.id, 0, 0, 1514);
    how = "a page that it answered and keeps mapped";
  }
  on.backend.publish_receive();
  auto const received = on.receive(*device, into);
  REQUIRE_FALSE(received);
  CHECK(received.error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("`network`: the backend of device/vif/0 broke the protocol: " + how));
  CHECK(on.receive(*device, into).error().is(driver_error::backend_lied));
  auto frame = on.made_of(frame_of(60));
  CHECK(device->transmit({&frame, 1}).error().is(driver_error::backend_lied));
}

TEST_CASE("a backend that lies about what was sent ends in an error, for good", "[netfront]") {
  guest on;
  auto const device = on.connect();
  on.backend.holds = true;
  std::vector<net::segment> frames;
  for (int i = 0; i < 256; ++i) frames.push_back(on.made_of(frame_of(60)));
  REQUIRE(device->transmit(frames) == 256u);
  on.world.settle();
  std::string how;
  auto const answer = [&](unsigned id, int status) {
    on.backend.transmit.answer(net_wire::transmit_response{.id = static_cast<std::uint16_t>(id),
                                                           .status = static_cast<std::int16_t>(status)});
  };
  SECTION("the same response twice") {
    answer(on.backend.answers[0].id, 0);
    answer(on.backend.answers[0].id, 0);
    how = "a response to a request that is not out";
  }
  SECTION("an id beyond the ring") {
    answer(256, 0);
    how = "a response to a request that is not out";
  }
  SECTION("extra information that was not sent") {
    answer(0, net_wire::transmit_response::none);
    how = "a response to extra information that was not sent";
  }
  SECTION("an index far off") {
    on.backend.transmit.put += 257;
    how = "an index that cannot be";
  }
  on.backend.publish_transmit();
  auto frame = on.made_of(frame_of(60));
  CHECK(device->transmit({&frame, 1}).error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("broke the protocol: " + how));
  std::array<net::segment, 1> into;
  CHECK(on.receive(*device, into).error().is(driver_error::backend_lied));
}

TEST_CASE("a backend that closes is an error for everyone who waits", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 1> into;
  auto waiting = [&]() -> task<result<std::size_t>> {
    auto [received, nothing] = co_await all([&]() -> task<result<std::size_t>> { co_return co_await device->receive(into, never); }(),
                                            [&]() -> task<void> {
                                              co_await sleep_for(1s);
                                              on.keys.set(at("state"), "5");
                                            }());
    co_return received;
  };
  auto const received = on.world.run(waiting()).value();
  REQUIRE_FALSE(received);
  CHECK(received.error().is(driver_error::backend_failed));
  CHECK_THAT(on.world.log(), Contains("`network`: the backend closed device/vif/0"));
}

TEST_CASE("24 connects and disconnects leave no grant, no port and no watch", "[netfront]") {
  guest on;
  for (int round = 0; round < 24; ++round) {
    CAPTURE(round);
    auto device = on.connect();
    std::array<net::segment, 4> into;
    REQUIRE(on.backend.deliver(frame_of(1514)));
    REQUIRE(on.receive(*device, into) == 1u);
    into[0].clear();
    auto frame = on.made_of(frame_of(1514));
    REQUIRE(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    REQUIRE(on.world.run(device->disconnect()));
    CHECK(on.host.grants.used() == 0);
    device.reset();
    CHECK(on.host.open_ports.empty());
  }
  on.world.settle();
  CHECK(on.host.grants.stuck() == 0);
  CHECK(on.keys.watches.empty());
  CHECK(on.backend.sent.size() == 24);
}

TEST_CASE("pages that a backend does not let go of are lost, within a time, and it is said", "[netfront]") {
  guest on;
  auto device = on.connect();
  on.host.table[static_cast<std::size_t>(std::stoul(on.keys.value("device/vif/0/rx-ring-ref")))].flags |= grant_is_read;
  auto const before = on.world.elapsed();
  REQUIRE(on.world.run(device->disconnect()));
  CHECK(on.world.elapsed() - before >= netfront::disconnect_time);
  CHECK(on.world.elapsed() - before < 2 * netfront::disconnect_time);
  device.reset();
  CHECK(on.host.grants.stuck() == 1);
  CHECK_THAT(on.world.log(), Contains("keeps pages of this guest mapped"));
}

TEST_CASE("what is wrong with a network is said by name and path", "[netfront]") {
  guest on;
  auto const connect = [&](device_name name = {"network"}) {
    return on.world.run(netfront::connect(on.world.context(), on.host, name, {})).value();
  };
  SECTION("the second network of a domain with one") {
    auto const made = connect({"inside", 1});
    CHECK(made.error().is(core_error::device_missing));
    CHECK_THAT(on.world.log(), Contains("`inside`: the domain has no device/vif/1"));
  }
  SECTION("no address") {
    on.keys.keys["device/vif/0/mac"] = "none";
    CHECK(connect().error().is(core_error::invalid_argument));
    CHECK_THAT(on.world.log(), Contains("device/vif/0/mac is no Ethernet address"));
  }
  SECTION("a backend that does not copy") {
    on.keys.keys.erase(at("feature-rx-copy"));
    CHECK(connect().error().is(core_error::not_supported));
  }
  SECTION("a backend that never connects") {
    on.connects = false;
    CHECK(connect().error().is(driver_error::backend_missing));
    CHECK_THAT(on.world.log(), Contains("the backend is not connected"));
  }
  SECTION("no event channel") {
    on.host.refuses_ports = true;
    CHECK(connect().error().is(driver_error::no_port));
  }
  CHECK(on.host.grants.used() == 0);
}
