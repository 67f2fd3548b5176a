// Guests: private copies of an image, with time, randomness and console of the test's.
#include "morgana/sim/guest.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "morgana/sim/guest_node.hpp"
#include "morgana/sim/world.hpp"

namespace morgana::sim {
namespace {

std::shared_ptr<image const> odd() {
  auto opened = image::open(MORGANA_SIM_IMAGES "/odd.sim.so");
  INFO((opened ? std::string() : opened.error()));
  REQUIRE(opened);
  return *opened;
}

struct services final : guest_services {
  explicit services(std::uint64_t seed = 1) : numbers(seed, "test") {}
  void console_write(std::span<std::byte const> bytes) override {
    console.append(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] wall_time wall_now(instant) override { return {}; }
  void random(std::span<std::byte> into) override {
    for (auto& one : into) one = static_cast<std::byte>(numbers.below(256));
  }
  std::string console;
  random_source numbers;
};

struct host {
  explicit host(std::vector<std::string> arguments, guest_settings settings = {}, std::uint64_t seed = 1)
      : around(seed) {
    settings.arguments = std::move(arguments);
    auto loaded = guest::load(odd(), around, std::move(settings));
    INFO((loaded ? std::string() : loaded.error()));
    REQUIRE(loaded);
    one = std::move(*loaded);
  }
  /// To its end, or until it waits for ever.
  host& run() {
    while (!one->has_ended()) {
      one->run(now);
      if (one->next_deadline() == never) break;
      now = std::max(now, one->next_deadline());
    }
    return *this;
  }
  services around;
  instant now = instant(5s);
  std::unique_ptr<guest> one;
};

}  // namespace

TEST_CASE("A guest prints, sleeps in virtual time from its own boot on, and ends with its status") {
  host counting({"--what=count", "--times=3"});
  counting.run();
  CHECK(counting.around.console == "0 ms\n1000 ms\n2000 ms\n");
  CHECK(counting.one->has_ended());
  CHECK(counting.one->end().how == guest_ending::finished);
  CHECK(counting.one->end().status == 3);
  CHECK(counting.now == instant(8s));
}

TEST_CASE("Every copy of an image has its own globals, constructed and thread-local ones too") {
  for (int i = 0; i < 2; ++i) {
    CHECK(host({"--what=hello"}).run().around.console == "hello, run 1 of this copy\n");
    CHECK(host({"--what=globals"}).run().around.console == "7 42 43\n");
  }
}

TEST_CASE("What a guest draws is what the world gives it") {
  guest_settings secret;
  secret.boot_secret[0] = std::byte{0xab};
  auto const first = host({"--what=random"}, secret, 1).run().around.console;
  CHECK(first == host({"--what=random"}, secret, 1).run().around.console);
  CHECK(first != host({"--what=random"}, secret, 2).run().around.console);
  CHECK(first.ends_with(" ab\n"));
}

TEST_CASE("A guest lives at the same addresses again, once those of others are free") {
  auto const first = host({"--what=addresses"}).run().around.console;
  CHECK(first == host({"--what=addresses"}).run().around.console);
  host other({"--what=stop"});
  CHECK(first != host({"--what=addresses"}).run().around.console);
}

TEST_CASE("The heap keeps what is in it through twenty thousand changes") {
  host torture({"--what=heap"});
  torture.run();
  CHECK(torture.around.console == "heap whole\n");
  // All that was taken is given back, but for what the session still held when it ended.
  CHECK(torture.one->memory().heap_bytes < 32'768);
  CHECK(torture.one->memory().heap_bytes_max > 1'000'000);
}

TEST_CASE("A guest that crashes ends alone, with a report") {
  host waiting({"--what=stop"});
  waiting.run();
  struct crash {
    std::string what, reason, message;
  };
  for (auto const& [what, reason, message] : {
           crash{"null", "fault", "an access to memory"},
           crash{"overflow", "stack overflow", "262144 bytes is full"},
           crash{"trap", "assertion", "trap instruction"},
           crash{"abort", "assertion", "abort() was called"},
           crash{"double free", "assertion", "free already"},
       }) {
    INFO(what);
    host crashing({"--what=" + what}, {.name = "odd one", .replay = "seed 9"});
    crashing.run();
    REQUIRE(crashing.one->has_ended());
    auto const& end = crashing.one->end();
    CHECK(end.how == guest_ending::crashed);
    CHECK(end.status == 70);
    INFO(end.report);
    CHECK(end.report.starts_with("reason: " + reason + "\n"));
    CHECK(end.report.find(message) != std::string::npos);
    CHECK(end.report.find("host: odd one, 0 ns after its boot, seed 9\n") != std::string::npos);
    CHECK(end.report.find("+0x") != std::string::npos);
    CHECK(crashing.around.console.find(end.report) != std::string::npos);
    crashing.one->run(instant(100s));  // nothing
  }
  CHECK_FALSE(waiting.one->has_ended());
  waiting.one->request_stop();
  waiting.run();
  CHECK(waiting.around.console == "stopping\n");
  CHECK(waiting.one->end().how == guest_ending::finished);
}

TEST_CASE("A guest's memory has a limit; reaching it ends that guest with 71") {
  host hungry({"--what=memory"}, {.memory_bytes = 1u << 20});
  hungry.run();
  CHECK(hungry.one->end().how == guest_ending::out_of_memory);
  CHECK(hungry.one->end().status == 71);
  CHECK(hungry.one->memory().heap_bytes_max > 800'000);
  CHECK(hungry.one->memory().heap_bytes_max <= 1u << 20);
}

TEST_CASE("A guest that does not wait is ended as hung") {
  host looping({"--what=loop"}, {.busy_limit = 200ms});
  looping.run();
  CHECK(looping.one->end().how == guest_ending::hung);
  CHECK(looping.one->end().report.find("without waiting") != std::string::npos);
  host spinning({"--what=spin"}, {.turns_max = 1'000});
  spinning.run();
  CHECK(spinning.one->end().how == guest_ending::hung);
  CHECK(spinning.one->end().report.find("ran 1000 times without time passing") != std::string::npos);
}

TEST_CASE("Three hundred hosts in one process cost little, and any may be killed at any time") {
  auto const shared = odd();
  services around;
  std::vector<std::unique_ptr<guest>> all;
  for (int i = 0; i < 300; ++i) {
    auto loaded =
        guest::load(shared, around, {.name = std::to_string(i), .arguments = {"--what=count", "--times=4"}});
    REQUIRE(loaded);
    all.push_back(std::move(*loaded));
    all.back()->run(instant(0s));
  }
  std::uint64_t heap = 0, whole = 0;
  for (auto const& one : all) {
    REQUIRE_FALSE(one->has_ended());
    heap = std::max(heap, one->memory().heap_bytes_max);
    whole = std::max(whole, one->memory().private_bytes);
  }
  // Printed with -s: a simulated host that waits for its timer.
  INFO("heap " << heap << ", pages of its own " << whole << " bytes");
  CHECK(heap < 16u << 10);
  CHECK(whole < 160u << 10);
  for (std::size_t i = 0; i < all.size(); i += 2) all[i].reset();
  for (int second = 1; second <= 4; ++second) {
    auto const now = instant(std::chrono::seconds(second));
    for (std::size_t i = 1; i < all.size(); i += 2) {
      while (!all[i]->has_ended() && all[i]->next_deadline() <= now) all[i]->run(now);
    }
  }
  for (std::size_t i = 1; i < all.size(); i += 2) CHECK(all[i]->end().status == 4);
}

TEST_CASE("What is no image is refused in words that say what it is") {
  auto const missing = image::open("/nonexistent/a.sim.so");
  REQUIRE_FALSE(missing);
  CHECK(missing.error() == "/nonexistent/a.sim.so: No such file or directory");
  auto const program = image::open("/proc/self/exe");
  REQUIRE_FALSE(program);
  CHECK(program.error().find("is no image of a simulated host") != std::string::npos);
  auto const text = image::open(MORGANA_SOURCE "/README.md");
  REQUIRE_FALSE(text);
  CHECK(text.error().find("not an ELF file") != std::string::npos);
  services around;
  auto const small = guest::load(odd(), around, {.memory_bytes = 1000});
  REQUIRE_FALSE(small);
  CHECK(small.error().find("from 64 KiB to 3 GiB") != std::string::npos);
}

// ---- in a world ----------------------------------------------------------------------------------------

namespace {

struct two_hosts {
  explicit two_hosts(std::uint64_t seed, link_settings const& link = {.delay = 5ms}) : all(seed) {
    auto const shared = odd();
    ping = all.add("ping", make(shared, {"--what=ping", "--times=4"}, "ping"));
    echo = all.add("echo", make(shared, {"--what=echo"}, "echo"));
    cable = all.join({ping, 0}, {echo, 0}, link);
  }
  std::unique_ptr<guest_node> make(std::shared_ptr<image const> const& what,
                                   std::vector<std::string> arguments, std::string const& name) {
    auto made = guest_node::load(
        what, {.guest = {.name = name, .arguments = std::move(arguments)}, .networks = {{.name = "network"}}},
        all.random(name));
    INFO((made ? std::string() : made.error()));
    REQUIRE(made);
    return std::move(*made);
  }
  [[nodiscard]] guest_node& node(node_id which) const { return *static_cast<guest_node*>(all.find(which)); }

  world all;
  node_id ping = 0, echo = 0;
  link_id cable = 0;
};

}  // namespace

TEST_CASE("Guests talk over the links of a world") {
  two_hosts pair(1);
  pair.all.run_for(20s);
  CHECK(
      pair.node(pair.ping).console() ==
      "answer 1 after 10000 us\nanswer 2 after 20000 us\nanswer 3 after 30000 us\nanswer 4 after 40000 us\n");
  CHECK(pair.node(pair.ping).host().end().status == 0);
  CHECK_FALSE(pair.node(pair.echo).host().has_ended());
  pair.node(pair.echo).request_stop();
  pair.all.touch(pair.echo);
  pair.all.run_for(1s);
  CHECK(pair.node(pair.echo).host().has_ended());
}

TEST_CASE("A world of guests is a function of its seed") {
  auto const run = [](std::uint64_t seed) {
    two_hosts pair(seed, {.delay = 5ms, .delay_extra = 3ms, .loss_millionths = 300'000});
    pair.all.run_for(20s);
    return std::pair(pair.node(pair.ping).console(), pair.all.trace_hash());
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("A guest that is killed answers no more, and its successor does") {
  two_hosts pair(1);
  pair.all.run_until(start + 14ms);
  pair.all.kill(pair.echo);
  pair.all.at(start + 1500ms,
              [&] { pair.all.replace(pair.echo, pair.make(odd(), {"--what=echo"}, "echo")); });
  pair.all.run_for(20s);
  CHECK(pair.node(pair.ping).console() ==
        "answer 1 after 10000 us\nno answer to 2\nno answer to 3\nanswer 4 after 2020000 us\n");
}

TEST_CASE("A guest without its network says which one, and ends with 65") {
  world all(1);
  auto made = guest_node::load(odd(), {.guest = {.arguments = {"--what=ping"}}}, all.random("alone"));
  REQUIRE(made);
  auto const which = all.add("alone", std::move(*made));
  all.run_for(1s);
  auto const& node = *static_cast<guest_node*>(all.find(which));
  CHECK(node.host().end().status == 65);
  CHECK(node.console().find("there is no network `network`") != std::string::npos);
}

}  // namespace morgana::sim
