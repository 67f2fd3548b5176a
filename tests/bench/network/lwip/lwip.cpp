// The same workloads on lwIP. usage: bench_network_lwip FIRST.so SECOND.so WORKLOAD [COUNT]; prints one JSON object.
#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "../measure.hpp"
extern "C" {
#include "host.h"
}

namespace morgana::bench {
namespace {

constexpr std::size_t write_bytes = 16 * 1024;
constexpr std::size_t message_bytes = 64;
constexpr std::uint16_t port = 5001;

void must(bool condition, char const* what) {
  if (condition) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

/// Frames under way to one host.
struct wire {
  std::vector<frame> frames;
  static void add(void* self, frame one) { static_cast<wire*>(self)->frames.push_back(one); }
};

struct hosts {
  lwip_host const* a;
  lwip_host const* b;
  wire to_a, to_b, moving;
  std::uint32_t now_ms = 1000;
  std::uint64_t now_us = 0;

  hosts(char const* first, char const* second) : a(load(first)), b(load(second)) {
    for (auto* one : {&to_a, &to_b, &moving}) one->frames.reserve(4096);
    a->start(1, wire::add, &to_b, &now_ms);
    b->start(2, wire::add, &to_a, &now_ms);
    pump();
  }
  static lwip_host const* load(char const* path) {
    auto* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) std::fprintf(stderr, "bench: %s\n", dlerror());
    must(library != nullptr, "lwIP cannot be loaded");
    return reinterpret_cast<lwip_host_entry>(dlsym(library, "lwip_host_table"))();
  }
  bool pass(wire& from, lwip_host const* to) {
    if (from.frames.empty()) return false;
    moving.frames.swap(from.frames);
    for (auto const& one : moving.frames) to->input(one);
    moving.frames.clear();
    return true;
  }
  void pump() {
    for (bool moved = true; moved;) {
      moved = pass(to_b, b);
      moved = pass(to_a, a) || moved;
    }
  }
  void step(std::uint64_t us) {
    now_us += us;
    auto const ms = static_cast<std::uint32_t>(1000 + now_us / 1000);
    if (ms == now_ms) return;
    now_ms = ms;
    a->timers();
    b->timers();
  }
};

struct outcome {
  cost spent;
  std::uint64_t operations = 0, bytes = 0;
};

struct ends {
  connection_state client{}, server{};
};

void connect(hosts& two, ends& both) {
  two.a->connect(2, port, &both.client);
  two.pump();
  must(both.client.is_connected && both.server.is_connected, "no connection");
}

outcome bulk(hosts& two, std::uint64_t count) {
  ends both;
  two.b->listen(port, &both.server);
  connect(two, both);
  std::vector<std::byte> from(write_bytes, std::byte{0x5a});
  auto const one = [&] {
    must(two.a->write(&both.client, from.data(), from.size()), "a write did not take everything");
    two.step(10);
    two.pump();
  };
  for (unsigned i = 0; i < 200; ++i) one();
  two.step(1'000'000);
  two.pump();
  both.server.received = 0;
  outcome found;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < count; ++i) one();
  });
  two.step(1'000'000);
  two.pump();
  found.operations = count;
  found.bytes = count * from.size();
  must(both.server.received == found.bytes, "not every byte arrived");
  return found;
}

outcome udp(hosts& two, std::uint64_t count) {
  std::uint64_t received = 0, ignored = 0;
  two.a->bind(port, &ignored);
  two.b->bind(port, &received);
  std::array<std::byte, message_bytes> message{};
  constexpr unsigned together = 32;
  auto const some = [&] {
    for (unsigned i = 0; i < together; ++i) two.a->send(2, port, message.data(), message.size());
    two.step(10);
    two.pump();
  };
  for (unsigned i = 0; i < 20; ++i) some();
  received = 0;
  outcome found;
  found.operations = count / together * together;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < count / together; ++i) some();
  });
  found.bytes = found.operations * message_bytes;
  must(received == found.operations, "datagrams were lost");
  return found;
}

constexpr std::array<std::byte, message_bytes> message{};

void say(hosts& two, lwip_host const* here, connection_state& from, connection_state& to, wire& on,
         lwip_host const* there) {
  auto const before = to.received;
  must(here->write(&from, message.data(), message.size()), "a write did not take everything");
  must(two.pass(on, there), "nothing was sent");
  must(to.received == before + message.size(), "the message did not arrive whole");
}

outcome ping_pong(hosts& two, std::uint64_t count) {
  ends both;
  two.b->listen(port, &both.server);
  connect(two, both);
  auto const one = [&] {
    say(two, two.a, both.client, both.server, two.to_b, two.b);
    say(two, two.b, both.server, both.client, two.to_a, two.a);
    two.step(100);
  };
  for (unsigned i = 0; i < 100; ++i) one();
  outcome found;
  found.operations = count;
  found.bytes = count * 2 * message_bytes;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < count; ++i) one();
  });
  return found;
}

outcome connect_close(hosts& two, std::uint64_t count) {
  ends both;
  two.b->listen(port, &both.server);
  connect(two, both);   // they know each other's link addresses
  both.client.first = message.data();
  both.client.first_size = message.size();
  // As ours: each host takes what came, its user answers, and what that made goes over.
  auto const to_b = [&] { must(two.pass(two.to_b, two.b), "nothing was sent"); };
  auto const to_a = [&] { must(two.pass(two.to_a, two.a), "nothing was sent"); };
  auto const one = [&] {
    two.a->connect(2, port, &both.client);
    to_b();
    to_a();
    must(both.client.is_connected, "no connection");
    to_b();
    must(both.server.is_connected && both.server.received == message.size(), "the message did not arrive whole");
    say(two, two.b, both.server, both.client, two.to_a, two.a);
    two.a->close(&both.client);
    to_b();
    must(both.server.is_ended, "the end of the stream did not arrive");
    two.b->close(&both.server);
    to_a();
    to_b();
    two.step(20'000);
  };
  for (unsigned i = 0; i < 100; ++i) one();
  outcome found;
  found.operations = count;
  found.bytes = count * 2 * message_bytes;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < count; ++i) one();
  });
  return found;
}

int run(int argc, char** argv) {
  std::string_view const name = argc > 3 ? argv[3] : "";
  auto const count = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1000;
  outcome (*const workload)(hosts&, std::uint64_t) = name == "bulk"            ? bulk
                                                     : name == "udp"           ? udp
                                                     : name == "ping_pong"     ? ping_pong
                                                     : name == "connect_close" ? connect_close
                                                                               : nullptr;
  if (workload == nullptr) {
    std::fprintf(stderr, "usage: %s FIRST.so SECOND.so bulk|udp|ping_pong|connect_close [COUNT]\n", argv[0]);
    return 2;
  }
  hosts two(argv[1], argv[2]);
  auto const found = workload(two, count);
  std::printf("{\"stack\": \"lwip\", \"workload\": \"%s\", \"operations\": %llu, \"bytes\": %llu, "
              "\"cpu_seconds\": %.6f}\n",
              argv[3], static_cast<unsigned long long>(found.operations), static_cast<unsigned long long>(found.bytes),
              found.spent.cpu_seconds);
  return 0;
}

}  // namespace
}  // namespace morgana::bench

int main(int argc, char** argv) { return morgana::bench::run(argc, argv); }
