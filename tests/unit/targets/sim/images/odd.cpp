// The image that the tests of guests load: what it does is told by its option --what. Written as the driver
// would generate it, so that these tests need no driver.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/system_devices.hpp"
#include "morgana/core/text.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/sim/network_device.hpp"

using namespace morgana;

namespace {

struct options {
  std::string_view what = "hello";
  int times = 3;
};
options chosen;

constexpr boot_option options_table[] = {
    option<&options::what>("what", "What to do."),
    option<&options::times>("times", "How often."),
};

int runs_of_this_copy = 0;
thread_local int thread_local_number = 41;
struct constructed {
  constructed() { number = 7; }
  int number = 0;
};
constructed global_object;

void print(std::string_view text) {
  platform::console_write(std::as_bytes(std::span(text)));
}

template <class... Values>
void print_line(format_string<Values...> format, Values const&... values) {
  fixed_text<256> line;
  line.append(format, values...);
  line.put('\n');
  print(line.view());
}

[[gnu::noinline]] int deep(int level) {
  char volatile room[512];
  room[0] = static_cast<char>(level);
  return level == 0 ? 0 : deep(level + 1) + room[0];
}

/// Takes, resizes and gives back memory by a fixed pattern, and looks whether any block was another's.
bool torture_heap() {
  struct held {
    unsigned char* memory = nullptr;
    std::size_t size = 0;
    unsigned char mark = 0;
  };
  std::vector<held> all(200);
  std::uint32_t state = 1;
  auto const draw = [&](std::uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
  };
  auto const is_whole = [](held const& one) {
    for (std::size_t i = 0; i < one.size; ++i) {
      if (one.memory[i] != one.mark) return false;
    }
    return true;
  };
  for (int round = 0; round < 20'000; ++round) {
    auto& one = all[draw(200)];
    if (!is_whole(one)) return false;
    auto const size = std::size_t{draw(8) == 0 ? draw(100'000) : draw(600)};
    auto const align = std::size_t{1} << draw(10);
    unsigned char* next = nullptr;
    switch (draw(4)) {
      case 0:
        std::free(one.memory);
        next = static_cast<unsigned char*>(std::malloc(size));
        break;
      case 1: {
        next = static_cast<unsigned char*>(std::realloc(one.memory, size + 1));
        auto const kept = size < one.size ? size : one.size;
        for (std::size_t i = 0; i < kept; ++i) {
          if (next[i] != one.mark) return false;
        }
        break;
      }
      case 2:
        std::free(one.memory);
        next = static_cast<unsigned char*>(std::aligned_alloc(align, size));
        if (reinterpret_cast<std::uintptr_t>(next) % align != 0) return false;
        break;
      default:
        std::free(one.memory);
        next = static_cast<unsigned char*>(std::calloc(1, size));
        for (std::size_t i = 0; i < size; ++i) {
          if (next[i] != 0) return false;
        }
        break;
    }
    if (next == nullptr) return false;
    one = {.memory = next, .size = size, .mark = static_cast<unsigned char>(draw(256))};
    std::memset(one.memory, one.mark, one.size);
  }
  for (auto& one : all) std::free(one.memory);
  return true;
}

task<void> ping(sim::network_device& network, int times) {
  context& here = co_await this_context();
  net::buffer_pool pool(2048, 1u << 16);
  for (int i = 1; i <= times; ++i) {
    net::segment frame;
    auto room = pool.take_slice(60);
    auto const bytes = room.writable();
    std::memset(bytes.data(), 0xff, 12);
    std::memset(bytes.data() + 12, i, 48);
    static_cast<void>(frame.append(std::move(room)));
    static_cast<void>(network.transmit({&frame, 1}));
    net::segment answer;
    auto const got = co_await network.receive({&answer, 1}, after(here.now(), 1s));
    if (got) {
      std::byte last{};
      static_cast<void>(answer.copy_out(59, {&last, 1}));
      print_line("answer {} after {} us", std::to_integer<int>(last),
                 platform::monotonic_now().time_since_epoch() / 1us);
    } else {
      print_line("no answer to {}", i);
    }
  }
}

task<void> echo(sim::network_device& network) {
  for (;;) {
    net::segment frames[8];
    auto const got = co_await network.receive(frames, never);
    if (!got) co_return;
    static_cast<void>(network.transmit(std::span(frames).first(*got)));
  }
}

task<result<int>> run(device_stack& devices) {
  context& here = co_await this_context();
  auto const what = chosen.what;
  ++runs_of_this_copy;
  if (what == "hello") print_line("hello, run {} of this copy", runs_of_this_copy);
  if (what == "count") {
    for (int i = 0; i < chosen.times; ++i) {
      print_line("{} ms", here.now().time_since_epoch() / 1ms);
      co_await sleep_until(after(here.now(), 1s));
    }
    co_return chosen.times;
  }
  if (what == "globals") {
    auto const first = ++thread_local_number;
    print_line("{} {} {}", global_object.number, first, ++thread_local_number);
  }
  if (what == "addresses") {
    int on_stack = 0;
    auto* const on_heap = new int(1);
    print_line("{x} {x} {x}", reinterpret_cast<std::uintptr_t>(&on_stack),
               reinterpret_cast<std::uintptr_t>(on_heap), reinterpret_cast<std::uintptr_t>(&chosen));
  }
  if (what == "random") {
    std::uint64_t drawn = 0;
    static_cast<void>(
        platform::entropy_sources().front().sample(std::as_writable_bytes(std::span(&drawn, 1))));
    print_line("{x} {x}", drawn, std::to_integer<unsigned>(platform::boot_secret()[0]));
  }
  if (what == "heap") print_line("heap {}", torture_heap() ? "whole" : "broken");
  if (what == "null") *reinterpret_cast<int volatile*>(std::uintptr_t{8}) = 1;
  if (what == "overflow") print_line("{}", deep(1));
  if (what == "trap") __builtin_trap();
  if (what == "abort") std::abort();
  if (what == "double free") {
    auto* volatile memory = std::malloc(10);
    std::free(memory);
    std::free(memory);
  }
  if (what == "memory") {
    for (;;) {
      char volatile* const block = new char[1 << 16];
      block[0] = 1;
    }
  }
  if (what == "loop") {
    auto volatile turns = 0u;
    for (;;) turns = turns + 1;
  }
  if (what == "spin") {
    for (;;) co_await sleep_until(here.now());
  }
  if (what == "stop") {
    co_await stop_requested();
    print("stopping\n");
  }
  if (what == "ping" || what == "echo") {
    auto network =
        co_await devices.connect<sim::network_device>("start → network", 10s, device_name{"network"});
    if (!network) co_return failure(std::move(network.error()));
    if (what == "ping") {
      co_await ping(**network, chosen.times);
    } else {
      co_await echo(**network);
    }
  }
  co_return 0;
}

constexpr manifest_entry manifest[] = {{"network", "net::device", "sim", "start → network"}};

}  // namespace

application const morgana::this_application{
    .name = "odd",
    .options = options_table,
    .manifest = manifest,
    .boot_options = []() -> void* { return &chosen; },
    .run = run,
};
