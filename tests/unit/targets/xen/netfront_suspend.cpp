#include "common/page_pool.hpp"
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

/// As the restored domain is: another backend that waits, a xenstore without watches, no ports.
void go_elsewhere(guest& on) {
  on.keys.watches.clear();
  on.keys.keys[at("state")] = "2";
  on.keys.keys["device/vif/0/state"] = "1";
  on.host.open_ports.clear();
  on.backend.transmit = {};
  on.backend.receive = {};
  on.backend.sent.clear();
  on.backend.answers.clear();
  on.host.resumed(resumption::elsewhere);
}

}  // namespace

TEST_CASE("a suspended network is connected again in its new domain, with the pages there are",
          "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 2> into;
  REQUIRE(on.backend.deliver(frame_of(1514)));
  REQUIRE(on.receive(*device, into) == 1u);
  auto kept = std::move(into[0]);
  on.backend.holds = true;
  auto frame = on.made_of(frame_of(60));
  REQUIRE(device->transmit({&frame, 1}) == 1u);
  on.world.settle();
  auto const used = on.host.grants.used();
  for (int round = 0; round < 24; ++round) {
    CHECK(on.host.quiesce());
    go_elsewhere(on);
    CHECK(on.host.grants.used() <= used + page_pool::group_pages);
    CHECK_FALSE(on.host.quiesce());
    // On the way it is lost, as on any wire.
    frame = on.made_of(frame_of(60));
    CHECK(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    on.backend.holds = false;
    CHECK(on.backend.sent.empty());
    CHECK(on.keys.value(at("state")) == "4");
    CHECK(on.host.open_ports.size() == 2);
    CHECK(text_of(kept) == frame_of(1514));
    REQUIRE(on.backend.deliver(frame_of(1400, 'b')));
    REQUIRE(on.receive(*device, into) == 1u);
    CHECK(text_of(into[0]) == frame_of(1400, 'b'));
    into[0].clear();
    frame = on.made_of(frame_of(900, 'c'));
    REQUIRE(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    REQUIRE(on.backend.sent.size() == 1);
    CHECK(on.backend.sent[0].bytes == frame_of(900, 'c'));
    CHECK(on.host.grants.used() <= used + page_pool::group_pages);
  }
  kept.clear();
  REQUIRE(on.world.run(device->disconnect()));
  CHECK((on.host.grants.used() == 0 && on.host.grants.stuck() == 0));
}

TEST_CASE("a suspend that was called off changes nothing", "[netfront]") {
  guest on;
  auto const device = on.connect();
  CHECK(on.host.quiesce());
  on.host.resumed(resumption::cancelled);
  std::array<net::segment, 1> into;
  REQUIRE(on.backend.deliver(frame_of(100)));
  REQUIRE(on.receive(*device, into) == 1u);
}

TEST_CASE("a network whose new backend is silent or can less is lost, and says so", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 1> into;
  SECTION("silent") {
    on.connects = false;
  }
  SECTION("no super-packets") {
    on.keys.keys.erase(at("feature-gso-tcpv6"));
  }
  SECTION("another address") {
    on.keys.keys["device/vif/0/mac"] = "00:16:3e:00:00:21";
  }
  go_elsewhere(on);
  CHECK(on.receive(*device, into, 20s).error().is(driver_error::backend_failed));
  CHECK_THAT(on.world.log(), Contains("backend at") || Contains("backend is not"));
  // Nothing holds up the next suspend, and the pages come back after it as well.
  CHECK(on.host.quiesce());
  go_elsewhere(on);
  CHECK(on.host.grants.used() != 0);
  REQUIRE(on.world.run(device->disconnect()));
  CHECK((on.host.grants.used() == 0 && on.host.grants.stuck() == 0));
}
