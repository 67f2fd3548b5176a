#include "morgana/core/executor.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <random>
#include <vector>

using namespace morgana;

namespace {

struct node final : ready_node {
  explicit node(std::function<void()> what) : what_(std::move(what)) {}
  void run() override { what_(); }
  std::function<void()> what_;
};
struct alarm_clock final : timer_node {
  explicit alarm_clock(std::function<void()> what) : what_(std::move(what)) {}
  void expired() override { what_(); }
  std::function<void()> what_;
};

}  // namespace

TEST_CASE("ready nodes run in the order they became ready, once each") {
  executor runs;
  std::string order;
  node a([&] { order += 'a'; });
  node b([&] { order += 'b'; });
  runs.make_ready(b);
  runs.make_ready(a);
  runs.make_ready(b);
  CHECK(runs.run_ready(instant()) == never);
  CHECK(order == "ba");
}

TEST_CASE("a node that is destroyed does not run") {
  executor runs;
  bool ran = false;
  auto node_ = std::make_unique<node>([&] { ran = true; });
  runs.make_ready(*node_);
  node_.reset();
  CHECK(runs.run_ready(instant()) == never);
  CHECK_FALSE(ran);
}

TEST_CASE("a node may destroy another one that is ready, and itself") {
  executor runs;
  bool ran = false;
  auto victim = std::make_unique<node>([&] { ran = true; });
  std::unique_ptr<node> self;
  self = std::make_unique<node>([&] {
    victim.reset();
    auto const last = std::move(self);
  });
  runs.make_ready(*self);
  runs.make_ready(*victim);
  CHECK(runs.run_ready(instant()) == never);
  CHECK_FALSE(ran);
}

TEST_CASE("a batch ends although nodes make themselves ready for ever") {
  executor runs;
  std::size_t count = 0;
  std::unique_ptr<node> again;
  again = std::make_unique<node>([&] {
    ++count;
    runs.make_ready(*again);
  });
  runs.make_ready(*again);
  CHECK(runs.run_ready(instant(5s)) == instant(5s));
  CHECK(count == executor::batch_nodes_max);
}

TEST_CASE("timers that arm themselves for now do not starve ready nodes, nor the other way round") {
  executor runs;
  std::vector<std::unique_ptr<alarm_clock>> greedy;
  for (int i = 0; i < 500; ++i) {
    greedy.push_back(std::make_unique<alarm_clock>(
        [&runs, &greedy, i] { runs.arm(*greedy[static_cast<std::size_t>(i)], instant()); }));
    runs.arm(*greedy.back(), instant());
  }
  bool ran = false;
  node patient([&] { ran = true; });
  runs.make_ready(patient);
  CHECK(runs.run_ready(instant()) == instant());
  CHECK(ran);
}

TEST_CASE("timers expire by deadline, and in the order they were armed when equal") {
  executor runs;
  std::string order;
  alarm_clock a([&] { order += 'a'; });
  alarm_clock b([&] { order += 'b'; });
  alarm_clock c([&] { order += 'c'; });
  runs.arm(a, instant(2s));
  runs.arm(b, instant(1s));
  runs.arm(c, instant(1s));
  CHECK(runs.run_ready(instant()) == instant(1s));
  CHECK(runs.run_ready(instant(1s)) == instant(2s));
  CHECK(order == "bc");
  runs.arm(b, instant(3s));
  runs.arm(b, never);
  CHECK_FALSE(b.is_armed());
  CHECK(runs.run_ready(instant(10s)) == never);
  CHECK(order == "bca");
}

TEST_CASE("time never goes back") {
  executor runs;
  (void)runs.run_ready(instant(5s));
  (void)runs.run_ready(instant(4s));
  CHECK(runs.now() == instant(5s));
}

TEST_CASE("a timer may be destroyed or re-armed while others expire") {
  executor runs;
  bool ran = false;
  auto victim = std::make_unique<alarm_clock>([&] { ran = true; });
  alarm_clock killer([&] { victim.reset(); });
  runs.arm(killer, instant(1s));
  runs.arm(*victim, instant(1s));
  CHECK(runs.run_ready(instant(1s)) == never);
  CHECK_FALSE(ran);
}

TEST_CASE("many timers armed, re-armed and disarmed at random expire in order") {
  auto const seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  executor runs;
  std::vector<std::int64_t> expired;
  std::vector<std::unique_ptr<alarm_clock>> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(nullptr);
    auto& slot = all.back();
    slot = std::make_unique<alarm_clock>([&expired, i, &all] {
      expired.push_back(all[static_cast<std::size_t>(i)]->deadline().time_since_epoch().count());
    });
  }
  std::size_t armed = 0;
  for (int step = 0; step < 3000; ++step) {
    auto& timer = *all[random() % all.size()];
    if (random() % 4 == 0) {
      timer.disarm();
    } else {
      runs.arm(timer, instant(duration(random() % 1000 + 1)));
    }
  }
  for (auto& timer : all) armed += timer->is_armed() ? 1 : 0;
  CHECK(runs.armed_timers() == armed);
  while (runs.run_ready(instant(1s)) != never) {
  }
  CHECK(expired.size() == armed);
  CHECK(std::is_sorted(expired.begin(), expired.end()));
}

TEST_CASE("nodes and timers may outlive their executor") {
  node ready_one([] {});
  alarm_clock armed([] {});
  {
    executor runs;
    runs.make_ready(ready_one);
    runs.arm(armed, instant(1s));
  }
  CHECK_FALSE(ready_one.is_ready());
  CHECK_FALSE(armed.is_armed());
}
