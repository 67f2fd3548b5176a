#include "morgana/core/scope.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "fake_platform.hpp"
#include "mark.hpp"
#include "morgana/core/event.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

task<void> sleeper(duration length, std::string& trace, char letter) {
  mark const gone(trace, letter);
  co_await sleep_for(length);
  trace += '!';
}
task<result<void>> fails_after(duration length, core_error why) {
  co_await sleep_for(length);
  co_return failure(why);
}

}  // namespace

TEST_CASE("join waits until every child has ended") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(2s, to, 'a'));
    children.spawn(sleeper(1s, to, 'b'));
    CHECK(children.running() == 2);
    CHECK((co_await children.join()).has_value());
    CHECK(children.running() == 0);
    to += 'j';
  }(trace)));
  CHECK(trace == "!b!aj");
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("join of a scope without children does not wait, and a scope may be used again") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    CHECK((co_await children.join()).has_value());
    for (int i = 0; i < 3; ++i) {
      children.spawn(sleeper(1s, to, 'a'));
      CHECK((co_await children.join()).has_value());
    }
  }(trace)));
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("a child starts on the executor's next turn, not in spawn") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn([](std::string& in) -> task<void> {
      in += 'c';
      co_return;
    }(to));
    to += 'p';
    (void)co_await children.join();
  }(trace)));
  CHECK(trace == "pc");
}

TEST_CASE("a child's error cancels its siblings and is given once") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(10s, to, 'a'));
    children.spawn(fails_after(1s, core_error::closed));
    children.spawn(fails_after(2s, core_error::not_found));
    auto ended = co_await children.join();
    to += 'j';
    REQUIRE_FALSE(ended.has_value());
    CHECK(ended.error().is(core_error::closed));
    CHECK((co_await children.join()).has_value());
  }(trace)));
  CHECK(trace == "aj");
  CHECK(w.elapsed() == 1s);
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("an error that came before join is still given") {
  world w;
  CHECK(w.run([]() -> task<void> {
    scope children = co_await open_scope();
    children.spawn(fails_after(1s, core_error::closed));
    co_await sleep_for(5s);
    CHECK(children.running() == 0);
    CHECK_FALSE((co_await children.join()).has_value());
  }()));
}

TEST_CASE("the end of a scope destroys what still runs, youngest first") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    mark const last(to, 'z');
    {
      scope children = co_await open_scope();
      children.spawn(sleeper(10s, to, 'a'));
      children.spawn(sleeper(10s, to, 'b'));
      co_await sleep_for(1s);
    }
    to += 'e';
  }(trace)));
  CHECK(trace == "baez");
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("children that never started are destroyed too") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(1s, to, 'a'));
  }(trace)));
  CHECK(trace.empty());
  w.settle();
  CHECK(trace.empty());
}

TEST_CASE("a child may cancel its own scope: it goes on until it suspends") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(10s, to, 'a'));
    children.spawn([](scope& in, std::string& trace_) -> task<void> {
      mark const gone(trace_, 'k');
      co_await sleep_for(1s);
      in.cancel();
      trace_ += 'c';
      co_await yield();
      trace_ += "not reached";
    }(children, to));
    CHECK((co_await children.join()).has_value());
    to += 'j';
  }(trace)));
  CHECK(trace == "ckaj");
  CHECK(w.elapsed() == 1s);
}

TEST_CASE("a child that cancels its scope and ends is taken as cancelled") {
  world w;
  CHECK(w.run([]() -> task<void> {
    scope children = co_await open_scope();
    children.spawn([](scope& in) -> task<result<void>> {
      in.cancel();
      co_return failure(core_error::closed);
    }(children));
    CHECK((co_await children.join()).has_value());
  }()));
}

TEST_CASE("what is spawned after cancel is not cancelled") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(10s, to, 'a'));
    co_await yield();
    children.cancel();
    CHECK(children.running() == 0);
    children.spawn(sleeper(1s, to, 'b'));
    CHECK(children.running() == 1);
    (void)co_await children.join();
  }(trace)));
  CHECK(trace == "a!b");
}

TEST_CASE("a child may spawn siblings, and a grandchild's scope ends with the child") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn([](scope& in, std::string& trace_) -> task<void> {
      in.spawn(sleeper(2s, trace_, 's'));
      scope own = co_await open_scope();
      own.spawn(sleeper(10s, trace_, 'g'));
      co_await sleep_for(1s);
    }(children, to));
    (void)co_await children.join();
  }(trace)));
  CHECK(trace == "g!s");
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("destroying a child whose destructors spawn and cancel in the same scope is safe") {
  world w;
  std::string trace;
  struct meddler {
    scope* in;
    std::string* trace;
    ~meddler() {
      in->spawn(sleeper(1s, *trace, 'm'));
      in->cancel();
    }
  };
  CHECK(w.run([](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    for (int i = 0; i < 3; ++i) {
      children.spawn([](scope& in, std::string& trace_) -> task<void> {
        meddler const m{&in, &trace_};
        co_await sleep_for(1h);
      }(children, to));
    }
    co_await yield();
    children.cancel();
    (void)co_await children.join();
    children.spawn([](scope& in, std::string& trace_) -> task<void> {
      meddler const m{&in, &trace_};
      co_await sleep_for(1h);
    }(children, to));
    co_await yield();
  }(trace)));
  CHECK(trace.empty());
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("below holds an accept loop back until there is room") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to, world& in) -> task<void> {
    scope children = co_await open_scope();
    for (int i = 0; i < 6; ++i) {
      CHECK((co_await children.below(2)).has_value());
      CHECK(children.running() < 2);
      children.spawn(sleeper(1s, to, 'a'));
    }
    CHECK(in.elapsed() == 2s);
    (void)co_await children.join();
  }(trace, w)));
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("below gives a child's error instead of room") {
  world w;
  CHECK(w.run([]() -> task<void> {
    scope children = co_await open_scope();
    children.spawn(fails_after(1s, core_error::closed));
    children.spawn(fails_after(1h, core_error::closed));
    auto room = co_await children.below(2);
    REQUIRE_FALSE(room.has_value());
    CHECK(room.error().is(core_error::closed));
  }()));
}

TEST_CASE("a task that waits for its children can be cancelled itself") {
  world w;
  std::string trace;
  auto got = w.run(with_deadline(instant(1s), [](std::string& to) -> task<void> {
    scope children = co_await open_scope();
    children.spawn(sleeper(10s, to, 'a'));
    children.spawn(sleeper(10s, to, 'b'));
    (void)co_await children.join();
  }(trace)));
  REQUIRE(got.has_value());
  CHECK_FALSE(got->has_value());
  CHECK(trace == "ba");
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("a scope that lives long keeps nothing of children that ended") {
  world w;
  CHECK(w.run([]() -> task<void> {
    scope children = co_await open_scope();
    for (int i = 0; i < 10'000; ++i) {
      children.spawn([]() -> task<void> { co_return; }());
      if (i % 100 == 99) (void)co_await children.join();
    }
    CHECK(children.running() == 0);
  }()));
}
