// What coroutines cost: calls of operator new, when optimising. A line per form; the most allowed is the
// promise of task.hpp, deadline.hpp and scope.hpp.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "fake_platform.hpp"
#include "morgana/core/channel.hpp"
#include "morgana/core/event.hpp"
#include "morgana/core/semaphore.hpp"

namespace {
std::size_t allocations = 0;
}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new[](std::size_t bytes) {
  return operator new(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace morgana;
using namespace morgana::test;

int failures = 0;

/// Counts from its construction to say().
class count {
 public:
  void say(char const* what, std::size_t rounds, std::size_t allowed_each) const {
    auto const made = allocations - before_;
    bool const good = made <= allowed_each * rounds;
    std::printf("%-44s %6zu for %zu rounds, allowed %zu each%s\n", what, made, rounds, allowed_each,
                good ? "" : "  TOO MANY");
    if (!good) ++failures;
  }

 private:
  std::size_t before_ = allocations;
};

constexpr std::size_t rounds = 100;

task<int> leaf(int value) {
  co_await yield();
  co_return value + 1;
}
task<result<int>> fallible(int value) {
  co_await yield();
  co_return value + 1;
}
task<int> two_deep(int value) {
  co_return co_await leaf(value) + 1;
}
task<void> nothing() {
  co_await yield();
}

task<void> measure() {
  context& here = co_await this_context();
  co_await sleep_for(1s);  // the timer heap and the first of everything
  int sum = 0;
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) sum += co_await leaf(1);
    c.say("co_await f()", rounds, 0);
  }
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) sum += co_await two_deep(1);
    c.say("co_await f(), which awaits g()", rounds, 0);
  }
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) {
      auto got = co_await with_deadline(here.now() + 1s, fallible(1));
      sum += got ? *got : 0;
    }
    c.say("co_await with_deadline(t, f())", rounds, 0);
  }
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i)
      sum += static_cast<int>((co_await race(leaf(1), nothing())).index());
    c.say("co_await race(f(), g())", rounds, 0);
  }
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) sum += std::get<0>(co_await all(leaf(1), nothing()));
    c.say("co_await all(f(), g())", rounds, 0);
  }
  {
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) co_await sleep_for(1ms);
    c.say("co_await sleep_for(t)", rounds, 0);
  }
  {
    event never_set;
    count const c;
    for (std::size_t i = 0; i < rounds; ++i)
      sum += (co_await never_set.wait(here.now() + 1ms)).has_value() ? 1 : 0;
    c.say("event, waiting to the deadline", rounds, 0);
  }
  {
    channel<int> numbers(4);
    semaphore slots(2);
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) {
      (void)co_await numbers.send(1);
      auto permit = co_await slots.acquire();
      sum += *co_await numbers.receive();
    }
    c.say("channel and semaphore", rounds, 0);
  }
  {
    scope children = co_await open_scope();
    count const c;
    for (std::size_t i = 0; i < rounds; ++i) {
      children.spawn(nothing());
      (void)co_await children.join();
    }
    c.say("scope: spawn and join", rounds, 2);
  }
  std::printf("(%d)\n", sum);
}

}  // namespace

int main() {
  world w;
  if (!w.run(measure())) {
    std::puts("it did not end");
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
