// The decorator that loses, duplicates, swaps and damages frames.
#include "morgana/net/faults.hpp"

#include <catch2/catch.hpp>

#include "device_cable.hpp"
#include "morgana/net/direct_stack.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

namespace {

using faulty = faults<cable_end>;
using network = direct_stack<faulty>;
static_assert(device_with_room<faulty>);

struct outcome {
  std::size_t bytes = 0;
  faults_counters counters;
  duration took{};
};

/// Sends over a cable with faults at the sender's end.
outcome transfer(faults_options const& with, std::size_t total) {
  world w;
  device_capabilities first, second;
  first.address = {{2, 0, 0, 0, 0, 1}};
  second.address = {{2, 0, 0, 0, 0, 2}};
  cable_end one(first), two(second);
  one.join(two);
  auto made = w.run(faulty::connect(w.context(), one, with));
  auto& around = **made;
  direct_stack_options options;
  options.accept_ra = false;
  options.ipv4 = *ipv4_setting::parse("10.0.0.1/24");
  auto client = std::move(**w.run(network::connect(w.context(), around, options)));
  options.ipv4 = *ipv4_setting::parse("10.0.0.2/24");
  auto server = std::move(**w.run(direct_stack<cable_end>::connect(w.context(), two, options)));
  auto const start = w.elapsed();
  auto ended = w.run(all(
      [](auto& on, std::size_t size) -> task<result<void>> {
        auto stream = co_await on.connect(endpoint{*ip_address::parse("10.0.0.2"), 7}, never);
        if (!stream) co_return failure(stream.error());
        std::vector<std::byte> chunk(1000);
        for (std::size_t at = 0; at < size; at += chunk.size()) {
          for (std::size_t i = 0; i < chunk.size(); ++i)
            chunk[i] = static_cast<std::byte>((at + i) * 31 >> 3);
          if (auto sent = co_await stream->write(chunk, never); !sent) co_return sent;
        }
        co_return stream->shutdown();
      }(*client, total),
      [](auto& on) -> task<result<std::size_t>> {
        auto listening = on.listen({.port = 7});
        auto stream = co_await listening->accept(never);
        std::vector<std::byte> some(5000);
        for (std::size_t at = 0;;) {
          auto const got = co_await stream->read(some, never);
          if (!got) co_return failure(got.error());
          if (*got == 0) co_return at;
          for (std::size_t i = 0; i < *got; ++i, ++at) {
            if (some[i] != static_cast<std::byte>(at * 31 >> 3))
              co_return failure(core_error::invalid_argument);
          }
        }
      }(*server)));
  outcome out;
  REQUIRE(ended.has_value());
  REQUIRE(std::get<1>(*ended).has_value());
  out.bytes = *std::get<1>(*ended);
  out.counters = around.counters();
  out.took = w.elapsed() - start;
  return out;
}

}  // namespace

TEST_CASE("a stream arrives whole through losses, copies, swaps and damage, and a seed repeats them") {
  // Damage meets what comes in: acknowledgments, of which there are few.
  faults_options const bad{
      .seed = 7, .loss_ppm = 20'000, .duplicate_ppm = 20'000, .swap_ppm = 20'000, .damage_ppm = 100'000};
  auto const first = transfer(bad, 1'000'000);
  CHECK(first.bytes == 1'000'000);
  CHECK(first.counters.lost > 5);
  CHECK(first.counters.duplicated > 5);
  CHECK(first.counters.damaged > 1);
  auto const again = transfer(bad, 1'000'000);
  CHECK(again.counters.lost == first.counters.lost);
  CHECK(again.counters.damaged == first.counters.damaged);
  CHECK(again.took == first.took);
}

TEST_CASE("without faults nothing is touched") {
  auto const clean = transfer({}, 200'000);
  CHECK(clean.bytes == 200'000);
  CHECK(clean.counters.lost + clean.counters.duplicated + clean.counters.swapped + clean.counters.damaged ==
        0);
}
