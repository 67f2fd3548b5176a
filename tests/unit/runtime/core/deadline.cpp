#include "morgana/core/deadline.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "fake_platform.hpp"
#include "mark.hpp"
#include "morgana/core/event.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

task<int> after_sleep(duration length, int value) {
  co_await sleep_for(length);
  co_return value;
}
task<result<int>> fallible_after(duration length, int value) {
  co_await sleep_for(length);
  co_return value;
}
task<void> sleeper(duration length, std::string& trace, char letter) {
  mark const gone(trace, letter);
  co_await sleep_for(length);
  trace += '!';
}
task<int> at_once(int value) {
  co_return value;
}

}  // namespace

TEST_CASE("sleeping takes as long as asked, and no longer") {
  world w;
  CHECK(w.run(after_sleep(3s, 7)) == 7);
  CHECK(w.elapsed() == 3s);
  CHECK(w.run([](context& in) -> task<int> {
    co_await sleep_until(in.now() - 1s);
    co_await sleep_until(instant(5s));
    co_return 1;
  }(w.context())) == 1);
  CHECK(w.elapsed() == 5s);
}

TEST_CASE("sleeping for ever never ends, and a sum that overflows is for ever") {
  world w;
  CHECK_FALSE(w.run(after_sleep(duration::max(), 1)).has_value());
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("yield lets everything that is ready run first") {
  world w;
  std::string order;
  auto ran = w.run([](std::string& trace) -> task<int> {
    auto one = [](std::string& to, char letter) -> task<void> {
      to += letter;
      co_await yield();
      to += letter;
    };
    co_await all(one(trace, 'a'), one(trace, 'b'));
    co_return 0;
  }(order));
  CHECK(ran == 0);
  CHECK(order == "abab");
}

TEST_CASE("a task that ends before its deadline gives its result") {
  world w;
  auto got = w.run(with_deadline(instant(5s), fallible_after(2s, 9)));
  REQUIRE((got && got->has_value()));
  CHECK(**got == 9);
  CHECK(w.elapsed() == 2s);
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("a task that does not end before its deadline is destroyed before timed_out is given") {
  world w;
  std::string trace;
  auto got = w.run([](std::string& to) -> task<result<void>> {
    auto ended = co_await with_deadline(instant(1s), sleeper(10s, to, 'x'));
    to += 'r';
    co_return ended;
  }(trace));
  REQUIRE(got.has_value());
  REQUIRE_FALSE(got->has_value());
  CHECK(got->error().is(core_error::timed_out));
  CHECK(trace == "xr");
  CHECK(w.elapsed() == 1s);
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("a deadline in the past lets a task run to its first suspension") {
  world w;
  w.advance(10s);
  auto quick = w.run(with_deadline(instant(1s), [](int value) -> task<result<int>> { co_return value; }(3)));
  REQUIRE((quick && quick->has_value()));
  CHECK(**quick == 3);
  std::string trace;
  auto slow = w.run(with_deadline(instant(1s), sleeper(1s, trace, 'x')));
  REQUIRE(slow.has_value());
  CHECK_FALSE(slow->has_value());
  CHECK(trace == "x");
  CHECK(w.elapsed() == 10s);
}

TEST_CASE("when work and deadline come in the same batch one of them wins, cleanly") {
  world w;
  auto got = w.run(with_deadline(instant(1s), fallible_after(1s, 1)));
  REQUIRE(got.has_value());
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("a task that waits with a deadline can be destroyed") {
  world w;
  std::string trace;
  {
    auto waiting = with_deadline(instant(5s), sleeper(10s, trace, 'x'));
    struct nobody final : completion {
      std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
    } end;
    waiting.start(w.context(), end);
    CHECK(w.executor().armed_timers() == 2);
  }
  CHECK(trace == "x");
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("deadlines nest: the nearer one wins") {
  world w;
  auto got = w.run(with_deadline(instant(10s), with_deadline(instant(2s), fallible_after(1h, 1))));
  REQUIRE(got.has_value());
  CHECK(w.elapsed() == 2s);
  auto outer = w.run(with_deadline(instant(3s), with_deadline(instant(20s), fallible_after(1h, 1))));
  REQUIRE(outer.has_value());
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("a race gives the first to end, after the others are gone") {
  world w;
  std::string trace;
  auto got = w.run([](std::string& to) -> task<std::size_t> {
    auto first = co_await race(sleeper(5s, to, 'a'), after_sleep(1s, 42), sleeper(7s, to, 'c'));
    to += 'r';
    CHECK(std::get<1>(first) == 42);
    co_return first.index();
  }(trace));
  CHECK(got == 1u);
  CHECK(trace == "acr");
  CHECK(w.elapsed() == 1s);
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("a contender that ends at once wins, and the later ones never start") {
  world w;
  std::string trace;
  auto got = w.run(race(at_once(5), sleeper(1s, trace, 'b')));
  REQUIRE(got.has_value());
  CHECK(got->index() == 0);
  CHECK(std::get<0>(*got) == 5);
  CHECK(trace.empty());
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("a race can be cancelled from outside") {
  world w;
  std::string trace;
  auto got = w.run(race(
      [](std::string& to) -> task<void> {
        auto inner = co_await race(sleeper(5s, to, 'a'), sleeper(6s, to, 'b'));
        to += static_cast<char>('0' + inner.index());
      }(trace),
      after_sleep(1s, 1)));
  REQUIRE(got.has_value());
  CHECK(got->index() == 1);
  CHECK(w.executor().armed_timers() == 0);
  CHECK(trace.size() == 2);
}

TEST_CASE("all gives every value when the last has ended") {
  world w;
  auto got = w.run(all(after_sleep(2s, 1), at_once(2), after_sleep(1s, 3)));
  REQUIRE(got.has_value());
  CHECK(*got == std::tuple(1, 2, 3));
  CHECK(w.elapsed() == 2s);
  auto none_waits = w.run(all(at_once(1), at_once(2)));
  CHECK(none_waits == std::tuple(1, 2));
}

TEST_CASE("a value that cannot be copied or made from nothing comes through") {
  struct only_moved {
    explicit only_moved(int v) : value(std::make_unique<int>(v)) {}
    std::unique_ptr<int> value;
  };
  world w;
  auto make = [](int v) -> task<only_moved> {
    co_await yield();
    co_return only_moved(v);
  };
  auto got = w.run(race(make(4)));
  REQUIRE(got.has_value());
  CHECK(*std::get<0>(*got).value == 4);
}
