#include "morgana/xen/blkfront.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "fake_blkback.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/storage/error.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::storage::storage_error;
using morgana::xen::test::fake_blkback;
using morgana::xen::test::fake_host;
using morgana::xen::test::fake_store;

static_assert(block_device<blkfront>);

constexpr char const* ours = "device/vbd/51712";
constexpr char const* theirs = "/local/domain/0/backend/vbd/5/51712";

std::string at(std::string const& key) {
  return std::string(theirs) + "/" + key;
}

/// A guest with one disk of 1 MiB, whose backend follows as Linux' does.
struct guest {
  guest() {
    keys.keys = {{std::string(ours) + "/backend", theirs},
                 {std::string(ours) + "/backend-id", "0"},
                 {std::string(ours) + "/state", "1"},
                 {at("state"), "2"}};
    keys.on_write = [this](std::string const& path, std::string const& value) {
      if (path != std::string(ours) + "/state") return;
      if (value == "3") {
        auto const reference =
            static_cast<grant_reference>(std::stoul(keys.value(std::string(ours) + "/ring-ref")));
        back.connect(host.map(reference));
        for (auto const& [key, text] : about) keys.set(at(key), text);
        keys.set(at("state"), "4");
      }
      if (value == "5" || value == "6") {
        back.connect(nullptr);
        keys.set(at("state"), value);
      }
    };
    host.on_event = [this] { back.serve(); };
  }

  result<std::unique_ptr<blkfront>> try_connect(device_name name = {"disk"},
                                                blkfront_options const& options = {}) {
    return world.run(blkfront::connect(world.context(), host, name, options)).value();
  }
  std::unique_ptr<blkfront> connected(blkfront_options const& options = {}) {
    auto made = try_connect({"disk"}, options);
    if (!made) FAIL("not connected: " << world.log());
    return *std::move(made);
  }
  result<void> read(blkfront& disk, std::uint64_t sector, std::span<std::byte> into) {
    return world.run(disk.read(sector, into)).value();
  }
  result<void> write(blkfront& disk, std::uint64_t sector, std::string const& text) {
    return world.run(disk.write(sector, std::as_bytes(std::span(text)))).value();
  }

  /// What the backend says of the disk, once it is connected.
  std::map<std::string, std::string> about{
      {"feature-flush-cache", "1"}, {"feature-discard", "1"}, {"feature-max-indirect-segments", "256"},
      {"sectors", "2048"},          {"sector-size", "512"},   {"info", "0"}};
  morgana::test::world world;
  fake_store keys{world.executor()};
  fake_host host{world.executor(), keys};
  fake_blkback back{host};
};

std::string some_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (auto& one : out) one = static_cast<char>(random());
  return out;
}

std::string read_text(guest& on, blkfront& disk, std::uint64_t sector, std::size_t size) {
  std::string out(size, '?');
  REQUIRE(on.read(disk, sector, std::as_writable_bytes(std::span(out))));
  return out;
}

}  // namespace

TEST_CASE("what is written is on the disk and is read back, whatever its size", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  CHECK(disk->information().sectors == 2048);
  for (std::size_t const sectors : {1u, 7u, 8u, 9u, 88u, 89u, 512u, 513u, 2000u}) {
    auto const text = some_text(sectors * 512, static_cast<unsigned>(sectors));
    REQUIRE(on.write(*disk, 3, text));
    CHECK(std::string(on.back.disk.data() + 3 * 512, text.size()) == text);
    CHECK(read_text(on, *disk, 3, text.size()) == text);
  }
  CHECK(on.back.pages_most == 64);
  CHECK(on.back.count[block_wire::operation::indirect] != 0);
}

TEST_CASE("pages are granted once for all requests", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  auto const used = on.host.grants.used();
  for (unsigned i = 0; i < 50; ++i) REQUIRE(on.write(*disk, i, some_text(4096, i)));
  CHECK(on.host.grants.used() == used);
  CHECK(on.back.grants.size() <= 4);
  CHECK(on.keys.value(std::string(ours) + "/feature-persistent") == "1");
}

TEST_CASE("without indirect segments a request has eleven pages", "[blkfront]") {
  guest on;
  on.about.erase("feature-max-indirect-segments");
  auto const disk = on.connected();
  auto const text = some_text(512 * 1024, 1);
  REQUIRE(on.write(*disk, 0, text));
  CHECK(std::string(on.back.disk.data(), text.size()) == text);
  CHECK(on.back.pages_most == 11);
  CHECK(on.back.count[block_wire::operation::indirect] == 0);
}

TEST_CASE("many at once share the pages, and each gets its own data", "[blkfront]") {
  guest on;
  morgana::test::fake().memory_limit_bytes = 2 << 20;
  auto const disk = on.connected();
  auto const text = some_text(1 << 20, 2);
  std::memcpy(on.back.disk.data(), text.data(), text.size());
  unsigned right = 0;
  auto const reader = [&](std::size_t i) -> task<void> {
    std::string into((i % 5 * 32 + 1) * 512, '?');
    auto const done = co_await disk->read(i, std::as_writable_bytes(std::span(into)));
    if (done && into == text.substr(i * 512, into.size())) ++right;
  };
  auto const all = [&]() -> task<void> {
    scope readers = co_await open_scope();
    for (std::size_t i = 0; i < 100; ++i) readers.spawn(reader(i));
    (void)co_await readers.join();
  };
  REQUIRE(on.world.run(all()));
  CHECK(right == 100);
}

TEST_CASE("flush is the backend's flush, or its barrier, or a warning", "[blkfront]") {
  guest on;
  SECTION("flush") {
    auto const disk = on.connected();
    REQUIRE(on.world.run(disk->flush()).value());
    CHECK(on.back.count[block_wire::operation::flush] == 1);
  }
  SECTION("barrier") {
    on.about.erase("feature-flush-cache");
    on.about["feature-barrier"] = "1";
    auto const disk = on.connected();
    REQUIRE(on.world.run(disk->flush()).value());
    CHECK(on.back.count[block_wire::operation::barrier] == 1);
  }
  SECTION("neither") {
    on.about.erase("feature-flush-cache");
    auto const disk = on.connected();
    REQUIRE(on.world.run(disk->flush()).value());
    CHECK(on.back.requests == 0);
    CHECK_THAT(on.world.log(), Contains("has no flush"));
  }
}

TEST_CASE("a failed flush is said", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.back.refused[0] = block_wire::response::failed;
  auto const done = on.world.run(disk->flush()).value();
  REQUIRE_FALSE(done);
  CHECK(done.error().is(storage_error::input_output));
}

TEST_CASE("discard is passed on in the ring's sectors", "[blkfront]") {
  guest on;
  on.about["sector-size"] = "4096";
  auto const disk = on.connected();
  CHECK(disk->information().sector_bytes == 4096);
  CHECK(disk->information().sectors == 256);
  REQUIRE(on.world.run(disk->discard(1, 2)).value());
  CHECK(on.back.disk[4095] == 0);
  CHECK(static_cast<unsigned char>(on.back.disk[4096]) == 0xdd);
  CHECK(static_cast<unsigned char>(on.back.disk[3 * 4096 - 1]) == 0xdd);
  CHECK(on.back.disk[3 * 4096] == 0);
  CHECK(on.world.run(disk->discard(255, 2)).value().error().is(storage_error::out_of_range));
}

TEST_CASE("a disk of large sectors moves whole ones", "[blkfront]") {
  guest on;
  on.about["sector-size"] = "4096";
  auto const disk = on.connected();
  auto const text = some_text(4096 * 3, 4);
  REQUIRE(on.write(*disk, 2, text));
  CHECK(std::string(on.back.disk.data() + 2 * 4096, text.size()) == text);
  CHECK(on.write(*disk, 0, some_text(512, 1)).error().is(storage_error::misaligned));
}

TEST_CASE("a disk that is read-only is not written", "[blkfront]") {
  guest on;
  SECTION("for the backend") {
    on.about["info"] = "4";
  }
  SECTION("by the option") {}
  auto const disk = on.connected({.vdev = "", .read_only = on.about["info"] == "0"});
  CHECK(disk->information().read_only);
  CHECK(on.write(*disk, 0, some_text(512, 1)).error().is(storage_error::read_only));
  CHECK(read_text(on, *disk, 0, 512) == std::string(512, '\0'));
}

TEST_CASE("errors of the backend are those of the call, and no others", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.back.refused[1] = block_wire::response::failed;
  auto const text = some_text(1 << 20, 5);
  auto const done = on.write(*disk, 0, text);
  REQUIRE_FALSE(done);
  CHECK(done.error().is(storage_error::input_output));
  REQUIRE(on.write(*disk, 0, text));
  CHECK(read_text(on, *disk, 0, text.size()) == text);
}

TEST_CASE("which disk it is: by name, by the option, by its place", "[blkfront]") {
  guest on;
  SECTION("the runner says a number") {
    on.keys.keys["data/disks"] = "";
    on.keys.keys["data/disks/disk"] = "51712";
    CHECK(on.try_connect({"disk"}));
    auto const other = on.try_connect({"other"});
    REQUIRE_FALSE(other);
    CHECK(other.error().is(core_error::device_missing));
    CHECK_THAT(on.world.log(), Contains("there is no disk `other`"));
  }
  SECTION("the option") {
    CHECK(on.try_connect({"disk"}, {.vdev = "xvda"}));
    CHECK_FALSE(on.try_connect({"disk"}, {.vdev = "xvdb"}));
    CHECK_THAT(on.world.log(), Contains("the domain has no device/vbd/51728"));
    CHECK(on.try_connect({"disk"}, {.vdev = "floppy"}).error().is(core_error::invalid_argument));
  }
  SECTION("its place") {
    CHECK_FALSE(on.try_connect({"second", 1}));
    CHECK_THAT(on.world.log(), Contains("the domain has no device/vbd/51728"));
  }
}

TEST_CASE("a size that cannot be is refused", "[blkfront]") {
  guest on;
  auto const [key, value] = GENERATE(table<std::string, std::string>({{"sectors", "many"},
                                                                      {"sectors", "18446744073709551615"},
                                                                      {"sector-size", "0"},
                                                                      {"sector-size", "768"},
                                                                      {"sector-size", "65536"}}));
  on.about[key] = value;
  auto const made = on.try_connect();
  REQUIRE_FALSE(made);
  CHECK(made.error().is(core_error::invalid_argument));
  CHECK(on.host.grants.used() == 0);
}

TEST_CASE("a backend that breaks the protocol ends every wait", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.back.holds = true;
  auto const lie = GENERATE(0, 1, 2, 3);
  on.host.on_event = [&] {
    on.back.serve();
    if (on.back.answers.empty()) return;
    auto one = on.back.answers.front();
    if (lie == 0) one.id += 1;
    if (lie == 1) one.id = ~std::uint64_t{0};
    if (lie == 2) {
      on.back.head().responses_put += 40;
      on.host.wake();
      return;
    }
    on.back.answer(one);
    if (lie == 3) on.back.answer(one);
  };
  std::vector<std::byte> into(512);
  auto const done = on.read(*disk, 0, into);
  REQUIRE_FALSE(done);
  CHECK(done.error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("broke the protocol"));
  CHECK(on.world.run(disk->flush()).value().error().is(driver_error::backend_lied));
}

TEST_CASE("a backend that does not answer ends in an error, and its pages stay its own", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.back.holds = true;
  auto const text = some_text(4096, 1);
  auto done = on.write(*disk, 0, text);
  REQUIRE_FALSE(done);
  CHECK(done.error().is(core_error::timed_out));
  CHECK_THAT(on.world.log(), Contains("has not answered for 60 s"));
  auto const first = on.back.grants;
  on.back.holds = false;
  REQUIRE(on.write(*disk, 8, text));
  CHECK(on.back.grants.size() == first.size() + 1);
}

TEST_CASE("a backend that closes ends every wait", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.host.on_event = [&] { on.keys.set(at("state"), "5"); };
  std::vector<std::byte> into(512);
  auto const done = on.read(*disk, 0, into);
  REQUIRE_FALSE(done);
  CHECK(done.error().is(driver_error::backend_failed));
  CHECK_THAT(on.world.log(), Contains("the backend closed device/vbd/51712"));
}

TEST_CASE("after disconnecting nothing of it is left, 24 times over", "[blkfront]") {
  guest on;
  for (unsigned i = 0; i < 24; ++i) {
    auto const disk = on.connected();
    REQUIRE(on.write(*disk, i, some_text(1024, i)));
    REQUIRE(on.world.run(disk->disconnect()));
    on.keys.keys[at("state")] = "2";
  }
  CHECK(on.host.grants.used() == 0);
  CHECK(on.host.grants.stuck() == 0);
  CHECK(on.host.open_ports.size() == 0);
}

// ---- a suspend ----------------------------------------------------------------------------------------

TEST_CASE("a suspended disk waits for what is out, and is connected again in its new domain", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  auto const text = some_text(40 * 512, 1);
  REQUIRE(on.write(*disk, 8, text));
  auto const used = on.host.grants.used();
  for (int round = 0; round < 24; ++round) {
    auto const is_elsewhere = round % 3 != 2;
    std::array<std::byte, 512> into{};
    unsigned ended = 0;
    auto const reader = [&](std::uint64_t sector) -> task<void> {
      if (co_await disk->read(sector, into)) ++ended;
    };
    auto const all = [&]() -> task<void> {
      scope readers = co_await open_scope();
      on.back.holds = true;
      readers.spawn(reader(8));
      co_await sleep_for(1ms);
      CHECK_FALSE(on.host.quiesce());
      // What is asked for now waits for the time after.
      auto const before = on.back.requests;
      readers.spawn(reader(9));
      co_await sleep_for(1ms);
      CHECK(on.back.requests == before);
      on.back.holds = false;
      on.back.answer_all();
      co_await sleep_for(1ms);
      CHECK((ended == 1 && on.host.quiesce()));
      if (is_elsewhere) {
        on.keys.watches.clear();
        on.keys.keys[at("state")] = "2";
        on.host.open_ports.clear();
        on.back.connect(nullptr);
      }
      on.host.resumed(is_elsewhere ? resumption::elsewhere : resumption::cancelled);
      CHECK(on.host.grants.used() == used);
      (void)co_await readers.join();
    };
    REQUIRE(on.world.run(all()));
    CHECK(ended == 2);
    CHECK(on.host.open_ports.size() == 1);
    CHECK(read_text(on, *disk, 8, text.size()) == text);
  }
  REQUIRE(on.world.run(disk->disconnect()));
  CHECK((on.host.grants.used() == 0 && on.host.grants.stuck() == 0));
}

TEST_CASE("a disk that is another one after a suspend is lost, and not written", "[blkfront]") {
  guest on;
  auto const disk = on.connected();
  on.about["sectors"] = "1024";
  on.keys.watches.clear();
  on.keys.keys[at("state")] = "2";
  on.host.open_ports.clear();
  on.back.connect(nullptr);
  auto const before = on.back.requests;
  REQUIRE(on.host.quiesce());
  on.host.resumed(resumption::elsewhere);
  CHECK_FALSE(on.write(*disk, 0, some_text(512, 2)));
  CHECK(on.back.requests == before);
  CHECK_THAT(on.world.log(), Contains("another disk"));
}
