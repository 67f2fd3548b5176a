// A program of everything that an application may use of the C and C++ libraries. Prints one line for each; the
// test knows what they must say.
#include <array>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct generator {
  struct promise_type {
    int value = 0;
    generator get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int next) {
      value = next;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> handle;
};

generator count_and_throw() {
  co_yield 1;
  co_yield 2;
  throw std::runtime_error("out of a coroutine");
}

struct says_goodbye {
  std::string name;
  ~says_goodbye() { std::printf("goodbye %s\n", name.c_str()); }
};
thread_local says_goodbye local{"thread_local"};

struct unwound {
  ~unwound() { std::puts("unwound"); }
};

[[gnu::noinline]] void deep(int levels) {
  unwound here;
  if (levels == 0) throw std::out_of_range("deep");
  deep(levels - 1);
}

}  // namespace

int main(int argc, char** argv) {
  std::puts("puts");
  std::printf("arguments %d %s\n", argc, argc > 1 ? argv[1] : "none");

  std::map<std::string, int> sorted{{"b", 2}, {"a", 1}};
  std::unordered_map<std::string, int> hashed;
  for (int i = 0; i < 1000; ++i) hashed[std::to_string(i)] = i;
  std::printf("map %s unordered_map %zu %d\n", sorted.begin()->first.c_str(), hashed.size(), hashed["999"]);

  auto numbers = count_and_throw();
  int sum = 0;
  try {
    for (;;) {
      numbers.handle.resume();
      sum += numbers.handle.promise().value;
    }
  } catch (std::exception const& what) {
    std::printf("coroutine %d, %s\n", sum, what.what());
  }
  numbers.handle.destroy();

  try {
    deep(1);
  } catch (std::logic_error const& what) {
    std::printf("exception %s\n", what.what());
  }

  std::printf("hello %s\n", local.name.c_str());

  using namespace std::chrono;
  auto const before = steady_clock::now();
  auto const date = sys_days(year(2026) / 2 / 28) + days(1);
  std::printf("chrono %d, %u\n", steady_clock::now() >= before,
              static_cast<unsigned>(year_month_day(floor<days>(date)).month()));

  std::array<char, 64> text{};
  auto const end = std::to_chars(text.data(), text.data() + text.size(), 0.1).ptr;
  double back = 0;
  std::from_chars(text.data(), end, back);
  std::printf("charconv %s %d\n", text.data(), back == 0.1);
  std::snprintf(text.data(), text.size(), "%5.2f|%-4d|%s", 3.14159, 42, "x");
  std::printf("snprintf %s\n", text.data());

  std::mutex guard;
  std::once_flag once;
  std::lock_guard lock(guard);
  std::call_once(once, [] { std::puts("once"); });
  try {
    std::thread([] {}).join();
    std::puts("a second thread");
  } catch (std::system_error const& what) {
    std::printf("no second thread, %d\n", what.code() == std::errc::resource_unavailable_try_again ||
                                              what.code() == std::errc::function_not_supported);
  }
  std::vector<int> three(3);
  if (argc > 1 && std::string(argv[1]) == "overrun") return three[static_cast<std::size_t>(argc + 1)];
  return 0;
}
