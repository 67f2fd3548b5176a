// Event, channel and semaphore.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fake_platform.hpp"
#include "morgana/core/channel.hpp"
#include "morgana/core/event.hpp"
#include "morgana/core/semaphore.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

task<void> receive_into(channel<int>& from, std::vector<int>& into, instant deadline = never) {
  while (auto value = co_await from.receive(deadline)) into.push_back(*value);
}

/// Waits in a queue; true when its deadline came.
class wait_in final : public waiter {
 public:
  wait_in(wait_queue& queue, instant deadline) : queue_(&queue), deadline_(deadline) {}
  bool await_ready() const { return false; }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, *queue_, deadline_);
  }
  bool await_resume() const { return timed_out(); }

 private:
  wait_queue* queue_;
  instant deadline_;
};

}  // namespace

TEST_CASE("an event lets everyone through who waits, now and later") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    event ready;
    auto waiter_ = [](event& on, std::string& trace_, char letter) -> task<void> {
      CHECK((co_await on.wait()).has_value());
      trace_ += letter;
    };
    scope children = co_await open_scope();
    children.spawn(waiter_(ready, to, 'a'));
    children.spawn(waiter_(ready, to, 'b'));
    co_await sleep_for(1s);
    ready.set();
    (void)co_await children.join();
    CHECK((co_await ready.wait()).has_value());
    ready.clear();
    CHECK_FALSE((co_await ready.wait(instant(2s))).has_value());
  }(trace)));
  CHECK(trace == "ab");
  CHECK(w.elapsed() == 2s);
  CHECK(w.executor().armed_timers() == 0);
}

TEST_CASE("waiting for an event ends at its deadline, one in the past included") {
  world w;
  CHECK(w.run([]() -> task<void> {
    event never_set;
    auto late = co_await never_set.wait(instant(3s));
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().is(core_error::timed_out));
    CHECK_FALSE((co_await never_set.wait(instant(1s))).has_value());
    never_set.set();
    CHECK((co_await never_set.wait(instant(1s))).has_value());
  }()));
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("waiting where the queue has the timer ends at the same times as where each waiter has one") {
  auto const trace_of = []<class Queue>(std::type_identity<Queue>) {
    world w;
    std::string trace;
    CHECK(w.run([](world& in, std::string& to) -> task<void> {
      Queue queue;
      auto const note = [](world& of, Queue& on, instant until, std::string& into) -> task<void> {
        bool const late = co_await wait_in(on, until);
        into += std::to_string(of.elapsed() / 1s) + (late ? "- " : "+ ");
      };
      scope children = co_await open_scope();
      // One after the other, whose deadlines move away, come nearer, or are in the past.
      for (int const seconds : {60, 61, 3, 0, 70, 1, 60}) {
        children.spawn(note(in, queue, (co_await this_context()).now() + seconds * 1s, to));
        co_await sleep_for(1500ms);
        queue.complete_first();
        (void)co_await children.join();
      }
      // Many, some of which are told, some destroyed, and some wait until their deadlines.
      for (int const seconds : {5, 2, 9, 2, 7, 1}) children.spawn(note(in, queue, (co_await this_context()).now() + seconds * 1s, to));
      (void)co_await with_deadline((co_await this_context()).now() + 500ms, note(in, queue, (co_await this_context()).now() + 1s, to));
      co_await sleep_for(1s);
      queue.complete_first();
      (void)co_await children.join();
      children.spawn(note(in, queue, never, to));
      co_await sleep_for(100s);
      queue.complete_all();
      (void)co_await children.join();
    }(w, trace)));
    CHECK(w.executor().armed_timers() == 0);
    return trace;
  };
  auto const own = trace_of(std::type_identity<wait_queue>());
  CHECK(trace_of(std::type_identity<timed_wait_queue>()) == own);
  CHECK(own.starts_with("1+ 3+ 4+ 4- 7+ 8- "));
}

TEST_CASE("a reader whose deadline moves away arms one timer for all of its waits") {
  world w;
  CHECK(w.run([](world& in) -> task<void> {
    timed_wait_queue queue;
    scope children = co_await open_scope();
    auto const reader = [](timed_wait_queue& on) -> task<void> {
      for (int i = 0; i < 3; ++i) (void)co_await wait_in(on, (co_await this_context()).now() + 60s);
    };
    children.spawn(reader(queue));
    for (int i = 0; i < 3; ++i) {
      co_await sleep_for(1s);
      CHECK(in.executor().armed_timers() == 1);
      queue.complete_first();
      CHECK(in.executor().armed_timers() == 1);
    }
    (void)co_await children.join();
    queue.rest();
    CHECK(in.executor().armed_timers() == 0);
  }(w)));
}

TEST_CASE("a waiter that was destroyed is not completed") {
  world w;
  CHECK(w.run([]() -> task<void> {
    event ready;
    (void)co_await with_deadline(instant(1s),
                                 [](event& on) -> task<void> { (void)co_await on.wait(); }(ready));
    ready.set();
    co_await yield();
  }()));
}

TEST_CASE("stop_requested lets through once the session says so, and never without one") {
  world w;
  CHECK(w.run([](world& in) -> task<void> {
    auto stopper = [](world& of) -> task<void> {
      co_await sleep_for(2s);
      of.stop().set();
    };
    auto waiting = []() -> task<void> { co_await stop_requested(); };
    co_await all(stopper(in), waiting());
    co_await stop_requested();
  }(w)));
  CHECK(w.elapsed() == 2s);

  executor runs;
  memory_log log;
  context alone(runs, log);
  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override {
      FAIL("there is no session");
      return std::noop_coroutine();
    }
  } end;
  auto waiting = []() -> task<void> { co_await stop_requested(); }();
  waiting.start(alone, end);
  CHECK(runs.run_ready(instant(1h)) == never);
}

TEST_CASE("a channel keeps order and holds senders back when full") {
  world w;
  std::vector<int> got;
  CHECK(w.run([](std::vector<int>& into) -> task<void> {
    channel<int> numbers(2);
    scope children = co_await open_scope();
    children.spawn([](channel<int>& to) -> task<void> {
      for (int i = 0; i < 10; ++i) CHECK((co_await to.send(i)).has_value());
      to.close();
    }(numbers));
    co_await sleep_for(1s);
    CHECK(numbers.size() == 2);
    co_await receive_into(numbers, into);
    (void)co_await children.join();
  }(got)));
  CHECK(got == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("receivers are served in the order they came, and none can jump the queue") {
  world w;
  std::string trace;
  CHECK(w.run([](std::string& to) -> task<void> {
    channel<int> numbers(4);
    scope children = co_await open_scope();
    auto one = [](channel<int>& from, std::string& trace_, char letter) -> task<void> {
      auto value = co_await from.receive();
      REQUIRE(value.has_value());
      trace_ += letter;
      trace_ += static_cast<char>('0' + *value);
    };
    children.spawn(one(numbers, to, 'a'));
    children.spawn(one(numbers, to, 'b'));
    co_await sleep_for(1s);
    (void)co_await numbers.send(1);
    CHECK_FALSE(numbers.try_receive().has_value());
    (void)co_await numbers.send(2);
    (void)co_await children.join();
  }(trace)));
  CHECK(trace == "a1b2");
}

TEST_CASE("a value promised to a receiver that is cancelled goes to the next") {
  world w;
  std::vector<int> got;
  CHECK(w.run([](std::vector<int>& into) -> task<void> {
    channel<int> numbers(4);
    scope doomed = co_await open_scope();
    scope lucky = co_await open_scope();
    doomed.spawn(receive_into(numbers, into));
    co_await yield();
    lucky.spawn(receive_into(numbers, into));
    co_await yield();
    doomed.cancel();
    int value = 5;
    CHECK(numbers.try_send(value));
    co_await sleep_for(1s);
    CHECK(into == std::vector{5});
    CHECK(numbers.size() == 0);
    numbers.close();
    (void)co_await lucky.join();
  }(got)));
}

TEST_CASE("sending and receiving end at their deadlines") {
  world w;
  CHECK(w.run([]() -> task<void> {
    channel<int> numbers(1);
    auto nothing = co_await numbers.receive(instant(1s));
    REQUIRE_FALSE(nothing.has_value());
    CHECK(nothing.error().is(core_error::timed_out));
    CHECK((co_await numbers.send(1)).has_value());
    auto full = co_await numbers.send(2, instant(2s));
    REQUIRE_FALSE(full.has_value());
    CHECK(full.error().is(core_error::timed_out));
    CHECK(*numbers.try_receive() == 1);
    CHECK_FALSE(numbers.try_receive().has_value());
  }()));
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("a closed channel gives what is inside, then closed; who waits to send is told") {
  world w;
  CHECK(w.run([]() -> task<void> {
    channel<std::unique_ptr<int>> boxes(1);
    scope children = co_await open_scope();
    (void)co_await boxes.send(std::make_unique<int>(1));
    children.spawn([](channel<std::unique_ptr<int>>& to) -> task<void> {
      auto sent = co_await to.send(std::make_unique<int>(2));
      REQUIRE_FALSE(sent.has_value());
      CHECK(sent.error().is(core_error::closed));
    }(boxes));
    co_await sleep_for(1s);
    boxes.close();
    auto inside = co_await boxes.receive();
    REQUIRE(inside.has_value());
    CHECK(**inside == 1);
    CHECK((co_await boxes.receive()).error().is(core_error::closed));
    CHECK((co_await boxes.send(nullptr)).error().is(core_error::closed));
    (void)co_await children.join();
  }()));
}

TEST_CASE("a semaphore never gives out more permits than it has, and gets them back") {
  world w;
  CHECK(w.run([](world& in) -> task<void> {
    semaphore slots(2);
    scope children = co_await open_scope();
    std::size_t inside = 0;
    auto user = [](semaphore& of, std::size_t& count) -> task<void> {
      auto permit = co_await of.acquire();
      REQUIRE(permit.has_value());
      ++count;
      CHECK(count <= 2);
      co_await sleep_for(1s);
      --count;
    };
    for (int i = 0; i < 6; ++i) children.spawn(user(slots, inside));
    (void)co_await children.join();
    CHECK(in.elapsed() == 3s);
    CHECK(slots.free() == 2);
  }(w)));
}

TEST_CASE("a permit granted to a task that is cancelled before it runs is not lost") {
  world w;
  CHECK(w.run([]() -> task<void> {
    semaphore slots(1);
    scope doomed = co_await open_scope();
    {
      auto mine = co_await slots.acquire();
      REQUIRE(mine.has_value());
      doomed.spawn([](semaphore& of) -> task<void> {
        (void)co_await of.acquire();
        co_await sleep_for(1h);
      }(slots));
      co_await sleep_for(1s);
      CHECK_FALSE((co_await slots.acquire(instant(2s))).has_value());
      doomed.cancel();
    }
    (void)co_await doomed.join();
    CHECK(slots.free() == 1);
  }()));
}
