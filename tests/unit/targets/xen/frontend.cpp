#include "common/frontend.hpp"

#include <catch2/catch.hpp>

#include "fake_host.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::xen::test::fake_host;
using morgana::xen::test::fake_store;

constexpr char const* theirs = "/local/domain/0/backend/vif/5/0";

/// A guest with one vif whose backend follows the frontend's state as Linux' does.
struct guest {
  guest() {
    keys.keys = {{"device/vif/0/backend", theirs},
                 {"device/vif/0/backend-id", "0"},
                 {"device/vif/0/state", "1"},
                 {at("state"), "2"},
                 {at("feature-sg"), "1"},
                 {at("feature-odd"), "yes"}};
    keys.on_write = [this](std::string const& path, std::string const& value) {
      if (path != "device/vif/0/state" || !backend_follows) return;
      if (value == "1" && keys.value(at("state")) == "6") keys.set(at("state"), "2");
      if (value == "4") keys.set(at("state"), "4");
      if (value == "5") keys.set(at("state"), "5");
      if (value == "6") keys.set(at("state"), "6");
    };
  }
  static std::string at(std::string const& key) { return std::string(theirs) + "/" + key; }
  instant in(duration time) { return after(world.context().now(), time); }
  frontend make(std::string_view kind = "vif", std::uint32_t number = 0) {
    return {host, log_source(world.context().log(), "net"), "network", kind, number};
  }

  morgana::test::world world;
  fake_store keys{world.executor()};
  fake_host host{world.executor(), keys};
  bool backend_follows = true;
};

}  // namespace

TEST_CASE("a frontend finds its backend, tells it its keys, and is connected", "[frontend]") {
  guest on;
  auto device = on.make();
  REQUIRE(on.world.run(device.find(on.in(1s))).value());
  CHECK(device.backend() == 0);
  CHECK(device.backend_path() == theirs);
  CHECK(on.world.run(device.their_number("feature-sg", 0, on.in(1s))) == 1u);
  CHECK(on.world.run(device.their_number("feature-none", 7, on.in(1s))) == 7u);
  CHECK(on.world.run(device.their_number("feature-odd", 7, on.in(1s))) == 7u);
  std::vector<store_entry> const entries{{"tx-ring-ref", "8"}, {"event-channel", "5"}};
  REQUIRE(on.world.run(device.publish(entries, device_state::connected, on.in(1s))).value());
  CHECK(on.keys.value("device/vif/0/tx-ring-ref") == "8");
  CHECK(on.keys.value("device/vif/0/event-channel") == "5");
  REQUIRE(on.world.run(device.reached(device_state::connected, on.in(1s))).value());
}

TEST_CASE("a transaction that others disturb is tried again", "[frontend]") {
  guest on;
  auto device = on.make();
  REQUIRE(on.world.run(device.find(on.in(1s))).value());
  on.keys.conflicts = 3;
  std::vector<store_entry> const entries{{"tx-ring-ref", "8"}};
  REQUIRE(on.world.run(device.publish(entries, device_state::connected, on.in(1s))).value());
  CHECK(on.keys.conflicts == 0);
  CHECK(on.keys.value("device/vif/0/tx-ring-ref") == "8");
}

TEST_CASE("a device that the domain does not have is said by name and path", "[frontend]") {
  guest on;
  auto device = on.make("vif", 1);
  auto const found = on.world.run(device.find(on.in(1s))).value();
  REQUIRE_FALSE(found);
  CHECK(found.error().is(core_error::device_missing));
  CHECK_THAT(on.world.log(), Contains("`network`: the domain has no device/vif/1"));
}

TEST_CASE("a backend that does not come up ends in an error that says what it said", "[frontend]") {
  guest on;
  on.keys.keys[guest::at("state")] = "1";
  on.keys.keys[guest::at("hotplug-error")] = "could not find bridge device xenbr7";
  auto device = on.make();
  auto const found = on.world.run(device.find(on.in(3s))).value();
  REQUIRE_FALSE(found);
  CHECK(found.error().is(driver_error::backend_missing));
  CHECK(on.world.elapsed() >= 3s);
  CHECK_THAT(on.world.log(), Contains(std::string(theirs) + "/state is \"initialising\""));
  CHECK_THAT(on.world.log(), Contains("could not find bridge device xenbr7"));
}

TEST_CASE("a backend that comes up late is waited for", "[frontend]") {
  guest on;
  on.keys.keys[guest::at("state")] = "1";
  auto device = on.make();
  auto finding = [&]() -> task<result<void>> {
    auto [found, nothing] = co_await all(device.find(on.in(3s)), [&]() -> task<void> {
      co_await sleep_for(1s);
      on.keys.set(guest::at("state"), "2");
    }());
    co_return found;
  };
  REQUIRE(on.world.run(finding()).value());
  CHECK(on.world.elapsed() < 2s);
}

TEST_CASE("what an earlier life left is undone", "[frontend]") {
  for (auto const* const left : {"4", "5", "6"}) {
    CAPTURE(left);
    guest on;
    on.keys.keys[guest::at("state")] = left;
    auto device = on.make();
    if (std::string_view(left) == "5") {
      // It is on its way to closed by itself.
      on.keys.set(guest::at("state"), "6");
    }
    REQUIRE(on.world.run(device.find(on.in(1s))).value());
    CHECK(on.keys.value(guest::at("state")) == "2");
  }
}

TEST_CASE("a device is closed in order and can be connected again, many times", "[frontend]") {
  guest on;
  for (int round = 0; round < 24; ++round) {
    CAPTURE(round);
    auto device = on.make();
    REQUIRE(on.world.run(device.find(on.in(1s))).value());
    REQUIRE(on.world.run(device.publish({}, device_state::connected, on.in(1s))).value());
    REQUIRE(on.world.run(device.reached(device_state::connected, on.in(1s))).value());
    REQUIRE(on.world.run(device.close(on.in(1s))).value());
    CHECK(on.keys.value(guest::at("state")) == "6");
  }
  on.world.settle();
  CHECK(on.keys.watches.empty());
}

TEST_CASE("a backend that does not close is not waited for for ever", "[frontend]") {
  guest on;
  auto device = on.make();
  REQUIRE(on.world.run(device.find(on.in(1s))).value());
  REQUIRE(on.world.run(device.publish({}, device_state::connected, on.in(1s))).value());
  on.backend_follows = false;
  auto const closed = on.world.run(device.close(on.in(2s))).value();
  REQUIRE_FALSE(closed);
  CHECK(closed.error().is(driver_error::backend_missing));
  CHECK(on.world.elapsed() < 4s);
}

TEST_CASE("a backend that closes instead of connecting is an error", "[frontend]") {
  guest on;
  auto device = on.make();
  REQUIRE(on.world.run(device.find(on.in(1s))).value());
  on.keys.keys[guest::at("state")] = "6";
  auto const reached = on.world.run(device.reached(device_state::connected, on.in(1s))).value();
  REQUIRE_FALSE(reached);
  CHECK(reached.error().is(driver_error::backend_failed));
}

TEST_CASE("xenstore that does not answer is an error at the deadline", "[frontend]") {
  guest on;
  on.keys.answers = false;
  auto device = on.make();
  auto const found = on.world.run(device.find(on.in(1s))).value();
  REQUIRE_FALSE(found);
  CHECK(found.error().is(core_error::timed_out));
  CHECK_THAT(on.world.log(), Contains("device/vif/0/backend"));
}

TEST_CASE("states that are none are unknown", "[frontend]") {
  guest on;
  auto device = on.make();
  REQUIRE(on.world.run(device.find(on.in(1s))).value());
  for (auto const* const odd : {"9", "-1", "4x", "", "4294967300"}) {
    on.keys.keys[guest::at("state")] = odd;
    CHECK(on.world.run(device.backend_state(on.in(1s))) == device_state::unknown);
  }
}
