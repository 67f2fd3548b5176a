#include "morgana/core/boot.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fake_platform.hpp"
#include "morgana/core/system_devices.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

std::string trace;  // what happened to the devices, in order

struct disk_options {
  std::uint32_t blocks = 8;
  duration connect_takes = 0s;
  duration disconnect_takes = 0s;
};

/// Neither copied nor moved: connect() gives a pointer.
class disk {
 public:
  static task<result<std::unique_ptr<disk>>> connect(context&, disk_options const& options) {
    co_await sleep_for(options.connect_takes);
    if (options.blocks == 0) co_return failure(core_error::device_missing);
    trace += "disk+ ";
    co_return std::unique_ptr<disk>(new disk(options));
  }
  disk(disk const&) = delete;
  disk& operator=(disk const&) = delete;
  ~disk() { trace += "~disk "; }
  task<void> disconnect() {
    co_await sleep_for(options_.disconnect_takes);
    trace += "disk- ";
  }

 private:
  explicit disk(disk_options const& options) : options_(options) {}
  disk_options options_;
};

/// Movable, without disconnect().
class store {
 public:
  static task<result<store>> connect(context&, disk& below) {
    trace += "store+ ";
    co_return store(below);
  }
  explicit store(disk& below) : below_(&below) {}
  store(store&& other) noexcept : below_(std::exchange(other.below_, nullptr)) {}
  store& operator=(store&&) = delete;
  ~store() {
    if (below_ != nullptr) trace += "~store ";
  }

 private:
  disk* below_;
};

/// Its disconnect() can fail.
class lamp {
 public:
  static task<result<lamp>> connect(context&) { co_return lamp(); }
  task<result<void>> disconnect() { co_return failure(core_error::closed); }
};

struct options {
  std::uint16_t port = 80;
};
struct boot_options {
  options app;
  disk_options disk;
};
boot_options chosen;

constexpr boot_option table[] = {
    option<&boot_options::app, &options::port>("port", "Port to listen on."),
    option<&boot_options::disk, &disk_options::blocks>("disk.blocks", "Size."),
    option<&boot_options::disk, &disk_options::connect_takes>("disk.connect-takes", ""),
    option<&boot_options::disk, &disk_options::disconnect_takes>("disk.disconnect-takes", ""),
};
constexpr manifest_entry manifest[] = {{"disk", "block_device", "file", "start → store → disk"},
                                       {"store", "key_value_store", "fat", "start → store"}};

task<result<int>> (*what_starts)(context&) = nullptr;

task<result<int>> run(device_stack& devices) {
  auto below = co_await devices.connect<disk>("start → store → disk", 3s, chosen.disk);
  if (!below) co_return failure(std::move(below.error()));
  auto above = co_await devices.connect<store>("start → store", 3s, **below);
  if (!above) co_return failure(std::move(above.error()));
  trace += "start ";
  co_return co_await what_starts(devices.context());
}

constexpr application app{
    .name = "hello",
    .options = table,
    .manifest = manifest,
    .boot_options = []() -> void* { return &chosen; },
    .run = run,
};

struct outcome {
  int status;
  std::string console;
  std::string trace;
  duration took;
};

outcome boot(std::vector<std::string_view> arguments, task<result<int>> (*start)(context&),
             std::vector<scheduled> at = {}) {
  fake_platform platform;
  trace.clear();
  chosen = {};
  what_starts = start;
  int status = 0;
  {
    boot_session session(app, arguments);
    status = run_session(session, std::move(at));
  }
  return {status, platform.console(), trace, fake().now.time_since_epoch()};
}

task<result<int>> done(context&) {
  co_return 0;
}
task<result<int>> serve_for_ever(context& in) {
  log_source(in.log(), "app").info("port {}", chosen.app.port);
  struct mark {
    ~mark() { trace += "~start "; }
  } const gone;
  co_await sleep_until(never);
  co_return 0;
}
/// Ends two seconds after a stop was asked for.
task<result<int>> drain(context&) {
  co_await stop_requested();
  trace += "draining ";
  co_await sleep_for(2s);
  trace += "drained ";
  co_return 7;
}
void stop() {
  fake().stop_requested = true;
}

}  // namespace

TEST_CASE("devices come up in order and go down in reverse, and start's status is the guest's") {
  auto const got = boot({}, [](context&) -> task<result<int>> { co_return 42; });
  CHECK(got.status == 42);
  CHECK(got.trace == "disk+ store+ start ~store disk- ~disk ");
  CHECK(got.console.empty());
}

TEST_CASE("help is printed in sections and nothing is connected") {
  auto const got = boot({"--port=1", "--help", "--nonsense"}, done);
  CHECK(got.status == exit_status::help_shown);
  CHECK(got.trace.empty());
  CHECK(got.console == R"(usage: hello [--NAME=VALUE ...]

Options of hello:
  --port=NUMBER             Port to listen on. (default: 80)

Options of the device disk (block_device, file):
  --disk.blocks=NUMBER      Size. (default: 8)
  --disk.connect-takes=TIME
                            (default: 0s)
  --disk.disconnect-takes=TIME
                            (default: 0s)

Options of every unikernel:
  --help                    Show this and end.
  --log=LEVELS              What is logged: error, warning, info or debug, for
                            all sources or for some (http:debug,info). (default:
                            info)
  --shutdown-grace=TIME     How long the application may go on after a stop was
                            asked for. (default: 0s)
)");
}

TEST_CASE("a wrong argument ends with 64 and one line") {
  auto const unknown = boot({"--prot=1"}, done);
  CHECK(unknown.status == exit_status::wrong_argument);
  CHECK(unknown.console ==
        "hello: --prot=1: no such option; did you mean --port?; --help lists all options\n");
  CHECK(unknown.trace.empty());
  auto const level = boot({"--log=loud"}, done);
  CHECK(level.status == exit_status::wrong_argument);
  CHECK(
      level.console ==
      "hello: --log=loud: no such value, expected error, warning, info, debug, or SOURCE:LEVEL, with commas "
      "between; --help lists all options\n");
}

TEST_CASE("a device that fails ends the guest with 65, its path and what it is") {
  auto const got = boot({"--disk.blocks=0"}, done);
  CHECK(got.status == exit_status::device_failed);
  CHECK(got.console ==
        "hello: start → store → disk: connect: this device is missing [disk: block_device, file]\n");
  CHECK(got.trace.empty());
}

TEST_CASE("a device that does not connect in time ends the guest with 65") {
  auto const got = boot({"--disk.connect-takes=1h"}, done);
  CHECK(got.status == exit_status::device_failed);
  CHECK(got.console == "hello: start → store → disk: connect: timed out [disk: block_device, file]\n");
  CHECK(got.took == 3s);
}

TEST_CASE("an error of start ends the guest with 66 and its chain") {
  auto const got = boot({}, [](context&) -> task<result<int>> {
    co_return failure(error(core_error::not_found).during("open index.html"));
  });
  CHECK(got.status == exit_status::start_failed);
  CHECK(got.console == "hello: start: open index.html: not found\n");
  CHECK(got.trace == "disk+ store+ start ~store disk- ~disk ");
}

TEST_CASE("the three forms of start give their status") {
  world w;
  auto nothing = []() -> task<void> { co_return; };
  auto number = [](int value) -> task<int> { co_return value; };
  auto fallible = [](bool works) -> task<result<void>> {
    if (!works) co_return failure(core_error::closed);
    co_return {};
  };
  CHECK(**w.run(device_stack::status_of(nothing())) == 0);
  CHECK(**w.run(device_stack::status_of(number(255))) == 255);
  CHECK_FALSE(w.run(device_stack::status_of(number(256)))->has_value());
  CHECK_FALSE(w.run(device_stack::status_of(number(-1)))->has_value());
  CHECK(**w.run(device_stack::status_of(fallible(true))) == 0);
  CHECK(w.run(device_stack::status_of(fallible(false)))->error().is(core_error::closed));
}

TEST_CASE("a stop cancels start, takes the devices down and is no failure") {
  auto const got = boot({"--port=90"}, serve_for_ever, {{instant(5s), stop}});
  CHECK(got.status == exit_status::done);
  CHECK(got.trace == "disk+ store+ start ~start ~store disk- ~disk ");
  CHECK(got.console == "[   0.000] app: info: port 90\n");
  CHECK(got.took == 5s);
}

TEST_CASE("a stop while devices connect takes down those that are up") {
  auto const got = boot({"--disk.connect-takes=2s"}, serve_for_ever, {{instant(1s), stop}});
  CHECK(got.status == exit_status::done);
  CHECK(got.trace.empty());
  CHECK(got.took == 1s);
}

TEST_CASE("with a grace period an application can drain, and its status counts") {
  auto const got = boot({"--shutdown-grace=10s"}, drain, {{instant(1s), stop}});
  CHECK(got.status == 7);
  CHECK(got.trace == "disk+ store+ start draining drained ~store disk- ~disk ");
  CHECK(got.took == 3s);
}

TEST_CASE("when the grace period is over start is cancelled") {
  auto const got = boot({"--shutdown-grace=1s"}, drain, {{instant(1s), stop}});
  CHECK(got.status == exit_status::done);
  CHECK(got.trace == "disk+ store+ start draining ~store disk- ~disk ");
  CHECK(got.took == 2s);
}

TEST_CASE("a device that does not disconnect in time is named, and the guest ends with 72") {
  auto const got = boot({"--disk.disconnect-takes=1h"}, done);
  CHECK(got.status == exit_status::shutdown_deadline);
  CHECK(got.console == "hello: start → store → disk: did not disconnect within 5s\n");
  CHECK(got.trace == "disk+ store+ start ~store ~disk ");
  CHECK(got.took == device_stack::disconnect_timeout);
}

TEST_CASE("an error of disconnect is logged and is no failure") {
  world w;
  CHECK(w.run([](context& in) -> task<void> {
    device_stack devices(in);
    CHECK((co_await devices.connect<lamp>("start → lamp", 1s)).has_value());
    CHECK(devices.connected() == 1);
    co_await devices.take_down();
    CHECK(devices.connected() == 0);
    CHECK(devices.overdue_path().empty());
  }(w.context())));
  CHECK(w.log() == "warning boot: start → lamp: closed\n");
}

TEST_CASE("a session that is destroyed early destroys start before its devices") {
  fake_platform platform;
  trace.clear();
  chosen = {};
  what_starts = serve_for_ever;
  {
    boot_session session(app, {});
    for (int i = 0; i < 5; ++i) (void)session.run_ready(instant());
    CHECK_FALSE(session.is_finished());
  }
  CHECK(trace == "disk+ store+ start ~start ~store ~disk ");
}

TEST_CASE("an option of what the image was configured without is refused as such") {
  fake_platform platform;
  constexpr std::string_view gone[] = {"network.ipv6"};
  application const small{.name = "small",
                          .options = {},
                          .left_out = gone,
                          .manifest = {},
                          .boot_options = nullptr,
                          .run = [](device_stack&) -> task<result<int>> { co_return 3; }};
  std::string_view const arguments[] = {"--network.ipv6=none"};
  boot_session session(small, arguments);
  CHECK(run_session(session) == exit_status::wrong_argument);
  CHECK(platform.console() ==
        "small: --network.ipv6=none: this image was configured without it; --help lists all options\n");
}

TEST_CASE("an application without options, devices or manifest boots") {
  fake_platform platform;
  application const bare{.name = "noop",
                         .options = {},
                         .manifest = {},
                         .boot_options = nullptr,
                         .run = [](device_stack&) -> task<result<int>> { co_return 3; }};
  boot_session session(bare, {});
  CHECK(run_session(session) == 3);
}

TEST_CASE("the console gives input as it comes, then its end") {
  world w;
  CHECK(w.run([](world& in) -> task<void> {
    auto device = co_await system_console::connect(in.context());
    REQUIRE(device.has_value());
    std::byte bytes[4];
    auto late = co_await device->read(bytes, instant(1s));
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().is(core_error::timed_out));
    auto typist = [](world& at) -> task<void> {
      co_await sleep_for(1s);
      at.type("hello");
      co_await sleep_for(1s);
      fake().input_ended = true;
    };
    auto reader = [](system_console& from) -> task<std::string> {
      std::string text;
      for (;;) {
        std::byte some[4];
        auto count = co_await from.read(some, never);
        REQUIRE(count.has_value());
        if (*count == 0) co_return text;
        text.append(reinterpret_cast<char const*>(some), *count);
      }
    };
    auto [text, nothing] = co_await all(reader(*device), typist(in));
    CHECK(text == "hello");
    device->write("bye");
  }(w)));
  CHECK(w.console() == "bye");
}

TEST_CASE("randomness passes the host's generator through, and refuses without one") {
  world w;
  auto device = w.run(platform_random::connect(w.context()));
  REQUIRE((device && device->has_value()));
  std::byte bytes[40]{};
  CHECK((*device)->fill(bytes).error().is(core_error::not_seeded));
  CHECK(w.run((*device)->seeded(never))->error().is(core_error::not_seeded));

  auto const jitter = [](std::span<std::byte> into) noexcept { return into.size(); };
  fake().entropy = {{"jitter", platform::entropy_kind::timing, 100, jitter}};
  CHECK(w.run((*device)->seeded(never))->error().is(core_error::not_seeded));

  auto const some = [](std::span<std::byte> into) noexcept -> std::size_t {
    auto const count = std::min<std::size_t>(into.size(), 16);
    for (auto& byte : into.first(count)) byte = std::byte{9};
    return count;
  };
  fake().entropy.push_back({"getrandom", platform::entropy_kind::os_generator, 8000, some});
  CHECK(w.run((*device)->seeded(never))->has_value());
  CHECK((*device)->fill(bytes).has_value());
  CHECK(std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{9}; }));
  auto const below = random_below(**device, 10);
  REQUIRE(below.has_value());
  CHECK(*below < 10);
}

TEST_CASE("clocks read the platform") {
  world w;
  fake().wall_at_boot = wall_time(1h);
  w.advance(5s);
  auto monotonic = w.run(system_monotonic_clock::connect(w.context()));
  auto wall = system_wall_clock::connect(w.context());
  CHECK((*monotonic)->now() == instant(5s));
  CHECK(wall->now() == wall_time(1h + 5s));
  fake().wall_is_set = false;
  CHECK_FALSE(wall->is_set());
}
