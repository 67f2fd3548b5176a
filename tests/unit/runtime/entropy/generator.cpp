#include "morgana/entropy/generator.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "fake_platform.hpp"

using namespace morgana;
using namespace morgana::test;
using entropy::generator;
using entropy::late_generator;

namespace {

std::uint64_t drawn = 0;
std::size_t left = 0;

/// Counts what it gave; has `left` bytes.
std::size_t sample_counted(std::span<std::byte> into) noexcept {
  auto const count = std::min(into.size(), left);
  for (auto& byte : into.first(count)) byte = static_cast<std::byte>(drawn++);
  left -= count;
  return count;
}
std::size_t sample_none(std::span<std::byte>) noexcept {
  return 0;
}

void give_source(std::uint32_t millibits_per_byte, std::size_t bytes) {
  drawn = 0;
  left = bytes;
  fake().entropy = {{.name = "test",
                     .kind = platform::entropy_kind::cpu_generator,
                     .millibits_per_byte = millibits_per_byte,
                     .sample = sample_counted}};
}

struct late_source {
  duration delay = 1s;
  std::size_t bytes = 64;
  task<result<std::size_t>> sample(std::span<std::byte> into, instant deadline) {
    context& here = co_await this_context();
    auto const ready = after(here.now(), delay);
    co_await sleep_until(std::min(ready, deadline));
    if (deadline < ready) co_return failure(core_error::timed_out);
    auto const count = std::min(into.size(), bytes);
    std::memset(into.data(), 0x5a, count);
    co_return count;
  }
  [[nodiscard]] std::uint32_t millibits_per_byte() const { return 8000; }
};

}  // namespace

TEST_CASE("a source is drawn from until its credit makes 256 bits") {
  world w;
  give_source(62, 100'000);
  generator random(w.context());
  CHECK(random.is_seeded());
  CHECK(drawn == 4160);  // 65 times 64 bytes of 0.062 bits
}

TEST_CASE("without a source that counts seeded() says so at once, and the log tells") {
  world w;
  give_source(0, 100'000);
  CHECK(w.run([](context& in) -> task<void> {
    auto random = co_await generator::connect(in);
    REQUIRE(random.has_value());
    auto const seeded = co_await (*random)->seeded(instant(10s));
    REQUIRE(!seeded);
    CHECK(seeded.error().is(core_error::not_seeded));
    std::array<std::byte, 4> out{};
    CHECK((*random)->fill(out).error().is(core_error::not_seeded));
  }(w.context())));
  CHECK(w.elapsed() == 0s);
  CHECK(w.log().find("no source of randomness") != std::string::npos);
}

TEST_CASE("a source that has nothing yet is asked again until the deadline") {
  world w;
  give_source(8000, 0);
  CHECK(w.run([](context& in) -> task<void> {
    generator random(in);
    CHECK(!(co_await random.seeded(instant(2s))));
    CHECK(in.now() == instant(2s));
    left = 32;
    CHECK(co_await random.seeded(instant(3s)));
  }(w.context())));
}

TEST_CASE("after a resume the generator seeds anew, or gives nothing") {
  world w;
  give_source(8000, 1000);
  generator random(w.context());
  std::array<std::byte, 8> out{};
  CHECK(random.fill(out));
  fake().resume_generation = 1;
  CHECK(random.fill(out));
  CHECK(random.seedings() == 2);
  fake().resume_generation = 2;
  left = 0;
  CHECK(!random.fill(out));
}

TEST_CASE("a sample is taken once a second of use") {
  world w;
  give_source(62, 100'000);
  CHECK(w.run([](context& in) -> task<void> {
    generator random(in);
    auto const before = drawn;
    std::array<std::byte, 8> out{};
    CHECK(random.fill(out));
    CHECK(drawn == before);
    co_await sleep_for(1s);
    CHECK(random.fill(out));
    CHECK(random.fill(out));
    CHECK(drawn == before + 64);
  }(w.context())));
}

TEST_CASE("a source that ended does not stop those after it") {
  world w;
  give_source(8000, 1000);
  fake().entropy.insert(fake().entropy.begin(), {.name = "broken",
                                                 .kind = platform::entropy_kind::cpu_generator,
                                                 .millibits_per_byte = 8000,
                                                 .sample = sample_none});
  CHECK(generator(w.context()).is_seeded());
}

TEST_CASE("a device that comes late seeds where the platform has nothing") {
  world w;
  give_source(0, 0);
  CHECK(w.run([](context& in) -> task<void> {
    late_source channel;
    late_generator<late_source> random(in, channel);
    CHECK(co_await random.seeded(instant(10s)));
    CHECK(in.now() == instant(1s));
    std::array<std::byte, 4> out{};
    CHECK(random.fill(out));
  }(w.context())));
}

TEST_CASE("a device that is late is not waited for where the platform has enough") {
  world w;
  give_source(8000, 1000);
  CHECK(w.run([](context& in) -> task<void> {
    late_source channel{.delay = 1h};
    late_generator<late_source> random(in, channel);
    CHECK(co_await random.seeded(instant(10s)));
    CHECK(in.now() == instant(late_generator<late_source>::optional_wait));
  }(w.context())));
}

TEST_CASE("where the platform has nothing the device is asked at boot, for some seconds") {
  world w;
  give_source(0, 0);
  CHECK(w.run([](context& in) -> task<void> {
    late_source channel;
    auto const random = co_await late_generator<late_source>::connect(in, channel);
    CHECK(in.now() == instant(1s));
    std::array<std::byte, 4> out{};
    CHECK((*random)->fill(out));
    late_source silent{.delay = 1h};
    auto const in_vain = co_await late_generator<late_source>::connect(in, silent);
    CHECK(in.now() == instant(1s + late_generator<late_source>::boot_wait));
    CHECK((*in_vain)->fill(out).error().is(core_error::not_seeded));
  }(w.context())));
  CHECK(w.log().find("no source of randomness") != std::string::npos);
}

TEST_CASE("after a resume a device that is needed is asked again before there is more") {
  world w;
  give_source(0, 0);
  CHECK(w.run([](context& in) -> task<void> {
    late_source channel;
    auto const random = co_await late_generator<late_source>::connect(in, channel);
    fake().resume_generation = 1;
    std::array<std::byte, 4> out{};
    CHECK((*random)->fill(out).error().is(core_error::not_seeded));
    fake().resume_generation = 2;
    CHECK(co_await (*random)->seeded(instant(10s)));
    CHECK((*random)->fill(out));
  }(w.context())));
}
