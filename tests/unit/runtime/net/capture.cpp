// The decorators that record and log what passes: pcap and trace.
#include <catch2/catch.hpp>

#include <cstring>
#include <map>
#include <string>

#include "device_cable.hpp"
#include "morgana/core/system_devices.hpp"
#include "morgana/net/direct_stack.hpp"
#include "morgana/net/pcap.hpp"
#include "morgana/net/trace.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

namespace {

/// Recordings in memory; `room` bytes, then it fails.
struct memory_recorder {
  class recording {
   public:
    recording(memory_recorder& in, std::string name) : in_(&in), name_(std::move(name)) {}
    result<void> append(std::span<std::span<std::byte const> const> parts) {
      for (auto const& part : parts) {
        if (part.size() > in_->room) return failure(core_error::limit_reached);
        in_->room -= part.size();
        in_->files[name_].append(reinterpret_cast<char const*>(part.data()), part.size());
      }
      return {};
    }

   private:
    memory_recorder* in_;
    std::string name_;
  };
  result<recording> begin(std::string_view name) {
    files[std::string(name)].clear();
    return recording(*this, std::string(name));
  }
  std::map<std::string, std::string> files;
  std::size_t room = 1u << 30;
};

/// A clock that says what it was told.
struct fixed_clock {
  [[nodiscard]] wall_time now() const { return at; }
  [[nodiscard]] bool is_set() const { return is_known; }
  wall_time at{};
  bool is_known = true;
};

using recorded = pcap<cable_end, memory_recorder, fixed_clock>;
static_assert(device_with_room<recorded>);
static_assert(device_with_room<trace<cable_end>>);

struct block {
  std::uint32_t type;
  std::string body;
};

std::uint32_t word(std::string_view from, std::size_t at) {
  std::uint32_t value;
  REQUIRE(at + 4 <= from.size());
  std::memcpy(&value, from.data() + at, 4);
  return value;
}

/// The blocks of a file; every length is said twice, and is a multiple of four.
std::vector<block> blocks_of(std::string_view file) {
  std::vector<block> all;
  while (!file.empty()) {
    auto const size = word(file, 4);
    REQUIRE(size % 4 == 0);
    REQUIRE(size <= file.size());
    REQUIRE(word(file, size - 4) == size);
    all.push_back({word(file, 0), std::string(file.substr(8, size - 12))});
    file.remove_prefix(size);
  }
  return all;
}

struct pair_of_ends {
  pair_of_ends() : one(as(1)), two(as(2)), pool(4096, 1u << 20) { one.join(two); }
  static device_capabilities as(std::uint8_t last) {
    device_capabilities made;
    made.address = {{2, 0, 0, 0, 0, last}};
    return made;
  }
  segment frame(std::size_t bytes, std::byte with = std::byte{0x55}) {
    segment made;
    auto part = pool.take_slice(bytes);
    std::ranges::fill(part.writable(), with);
    REQUIRE(made.append(std::move(part)));
    return made;
  }
  cable_end one, two;
  buffer_pool pool;
};

}  // namespace

TEST_CASE("a capture has every frame of both directions, with its time, its direction and what it was") {
  world w;
  pair_of_ends ends;
  memory_recorder files;
  fixed_clock clock{.at = wall_time(1'893'456'000s + 7ns)};
  auto device = *w.run(recorded::connect(w.context(), {"lan_pcap"}, ends.one, files, clock, {}));
  REQUIRE(device.has_value());
  auto out = ends.frame(61);
  out.gso_kind = segmentation::tcp_v4;
  out.gso_size = 1448;
  out.checksum = checksum_state::partial;
  REQUIRE(device->transmit(std::span(&out, 1)) == 1u);
  auto in = ends.frame(100, std::byte{0x66});
  REQUIRE(ends.two.transmit(std::span(&in, 1)) == 1u);
  segment got[2];
  REQUIRE(w.run(device->receive(got, never))->value() == 1);

  REQUIRE(files.files.size() == 1);
  auto const all = blocks_of(files.files.at("lan.pcapng"));
  REQUIRE(all.size() == 4);
  CHECK(all[0].type == 0x0a0d0d0a);
  CHECK(word(all[0].body, 0) == 0x1a2b3c4d);
  CHECK(all[1].type == 1);
  CHECK(word(all[1].body, 0) == 1);  // Ethernet
  CHECK(word(all[1].body, 4) == 262'144);
  CHECK(all[1].body.find("lan") != std::string::npos);
  auto const ns = std::uint64_t{word(all[2].body, 4)} << 32 | word(all[2].body, 8);
  CHECK(ns == 1'893'456'000'000'000'007u);
  CHECK(word(all[2].body, 12) == 61);
  CHECK(word(all[2].body, 16) == 61);
  CHECK(all[2].body.substr(20, 61) == std::string(61, 0x55));
  CHECK(word(all[2].body, 20 + 64) == 0x0004'0002);  // epb_flags, four bytes
  CHECK(word(all[2].body, 20 + 68) == 2);            // outbound
  CHECK(all[2].body.find("super-packet, to be cut into parts of 1448 bytes; checksum left to the device") !=
        std::string::npos);
  CHECK(all[3].body.substr(20, 100) == std::string(100, 0x66));
  CHECK(word(all[3].body, 20 + 104) == 1);  // inbound
  CHECK(device->counters().frames == 2);
}

TEST_CASE("a capture keeps no more of a frame than it was told, and knows its length") {
  world w;
  pair_of_ends ends;
  memory_recorder files;
  fixed_clock clock{.is_known = false};
  auto device = *w.run(
      recorded::connect(w.context(), {"lan"}, ends.one, files, clock, {.file = "x", .snap_bytes = 33}));
  auto out = ends.frame(1000);
  REQUIRE(device->transmit(std::span(&out, 1)) == 1u);
  auto const all = blocks_of(files.files.at("x"));
  CHECK(word(all[2].body, 4) == 0);  // without a clock, since boot
  CHECK(word(all[2].body, 12) == 33);
  CHECK(word(all[2].body, 16) == 1000);
}

TEST_CASE("a frame that the device had no room for is not in the capture until it was sent") {
  world w;
  pair_of_ends ends;
  ends.two.room_frames = 1;
  memory_recorder files;
  fixed_clock clock;
  auto device = *w.run(recorded::connect(w.context(), {"lan"}, ends.one, files, clock, {}));
  segment out[] = {ends.frame(60), ends.frame(60)};
  CHECK(device->transmit(out) == 1u);
  CHECK(device->counters().frames == 1);
  CHECK(blocks_of(files.files.at("lan.pcapng")).size() == 3);
}

TEST_CASE("at its limit a capture stops, or goes on in a ring of two files") {
  world w;
  pair_of_ends ends;
  memory_recorder files;
  fixed_clock clock;
  auto const send = [&](auto& device, std::uint8_t from, std::uint8_t to) {
    for (auto i = from; i < to; ++i) {
      auto out = ends.frame(900, static_cast<std::byte>(i));
      REQUIRE(device->transmit(std::span(&out, 1)) == 1u);
    }
  };
  SECTION("stops") {
    auto device = *w.run(
        recorded::connect(w.context(), {"lan"}, ends.one, files, clock, {.file = "x", .limit_bytes = 8'000}));
    send(device, 0, 20);
    auto const& file = files.files.at("x");
    CHECK(file.size() <= 8'000);
    CHECK(blocks_of(file).size() == 2 + 8);
    CHECK(device->counters().beyond_limit == 12);
    CHECK(w.log().find("warning pcap: x: recording of lan ends: its limit is reached\n") !=
          std::string::npos);
  }
  SECTION("a ring keeps the last frames") {
    auto device =
        *w.run(recorded::connect(w.context(), {"lan"}, ends.one, files, clock,
                                 {.file = "x", .limit_bytes = 8'000, .at_limit = pcap_limit::ring}));
    send(device, 0, 20);
    CHECK(device->counters().turns == 4);
    CHECK(files.files.at("x").size() + files.files.at("x.2").size() <= 8'000);
    auto const last = blocks_of(files.files.at("x"));  // after four turns
    REQUIRE(last.size() == 2 + 4);
    CHECK(last.back().body[20] == 19);
    CHECK(blocks_of(files.files.at("x.2")).back().body[20] == 15);
    CHECK(device->counters().beyond_limit == 0);
  }
  SECTION("no limit that has no room for a frame") {
    auto const device = *w.run(
        recorded::connect(w.context(), {"lan"}, ends.one, files, clock, {.file = "x", .limit_bytes = 100}));
    REQUIRE(!device.has_value());
    CHECK(device.error().is(core_error::invalid_argument));
  }
}

TEST_CASE("a recorder that fails ends the recording, not the network") {
  world w;
  pair_of_ends ends;
  memory_recorder files;
  files.room = 2'000;
  fixed_clock clock;
  auto device = *w.run(recorded::connect(w.context(), {"lan"}, ends.one, files, clock, {}));
  for (int i = 0; i < 5; ++i) {
    auto out = ends.frame(900);
    REQUIRE(device->transmit(std::span(&out, 1)) == 1u);
  }
  CHECK(device->counters().frames == 2);
  CHECK(device->counters().failed == 3);
  CHECK(w.log().find("error pcap: lan.pcapng: recording of lan ends: ") != std::string::npos);
}

TEST_CASE("a trace says of every frame what tcpdump would say") {
  world w;
  pair_of_ends ends;
  auto traced = *w.run(trace<cable_end>::connect(w.context(), {"lan_trace"}, ends.one, {}));
  direct_stack_options options;
  options.accept_ra = false;
  options.detect_conflicts = false;
  options.ipv4 = *ipv4_setting::parse("10.0.0.1/24");
  auto client = std::move(**w.run(direct_stack<trace<cable_end>>::connect(w.context(), *traced, options)));
  options.ipv4 = *ipv4_setting::parse("10.0.0.2/24");
  auto server = std::move(**w.run(direct_stack<cable_end>::connect(w.context(), ends.two, options)));
  auto const ended = w.run(all(
      [](auto& on) -> task<result<void>> {
        auto stream = co_await on.connect(endpoint{*ip_address::parse("10.0.0.2"), 7}, never);
        if (!stream) co_return failure(stream.error());
        if (auto sent = co_await stream->write(std::as_bytes(std::span("hello", 5)), never); !sent)
          co_return sent;
        co_return stream->shutdown();
      }(*client),
      [](auto& on) -> task<result<void>> {
        auto listening = on.listen({.port = 7});
        auto stream = co_await listening->accept(never);
        std::byte some[10];
        while (*co_await stream->read(some, never) != 0) {
        }
        co_return result<void>();
      }(*server)));
  REQUIRE(ended.has_value());
  w.advance(1s);
  auto const& log = w.log();
  INFO(log);
  auto const has = [&](std::string_view text) { return log.find(text) != std::string::npos; };
  CHECK(has("info trace: lan out ARP, who has 10.0.0.2 tell 10.0.0.1\n"));
  CHECK(has("info trace: lan in ARP, 10.0.0.2 is at 02:00:00:00:00:02\n"));
  CHECK(has(" > 10.0.0.2.7: Flags [S], seq "));
  CHECK(has("options [mss 1460,sackOK,TS val "));
  CHECK(has("info trace: lan in 10.0.0.2.7 > 10.0.0.1."));
  CHECK(has(": Flags [S.], seq "));
  CHECK(has(", ack 1, win "));
  CHECK(has(": Flags [FP.], seq 1:6, ack 1, win "));
  CHECK(has(", length 5\n"));
  CHECK(has(": Flags [F.], seq 1, ack 7, win "));
}

TEST_CASE("a trace has a limit of lines a second, and says how many frames it did not show") {
  world w;
  pair_of_ends ends;
  auto device = *w.run(trace<cable_end>::connect(w.context(), {"lan"}, ends.one, {.lines_per_second = 3}));
  auto const send = [&] {
    auto out = ends.frame(60);
    REQUIRE(device->transmit(std::span(&out, 1)) == 1u);
  };
  w.advance(2s);
  for (int i = 0; i < 10; ++i) send();
  CHECK(device->counters().shown == 3);
  w.advance(1s);
  send();
  CHECK(w.log().find("lan: 7 frames were not shown\n") != std::string::npos);
  CHECK(device->counters().shown == 4);
}

TEST_CASE("what a trace says of bytes that are no packet is where it stopped") {
  frame_text text;
  buffer_pool pool(4096, 1u << 20);
  auto const say = [&](std::initializer_list<int> bytes) {
    segment one;
    auto part = pool.take_slice(bytes.size());
    std::ranges::transform(bytes, part.writable().begin(), [](int b) { return static_cast<std::byte>(b); });
    REQUIRE(one.append(std::move(part)));
    fixed_text<200> out;
    text.write(out, one);
    return std::string(out.view());
  };
  CHECK(say({1, 2, 3}) == "Ethernet: malformed (too short)");
  CHECK(say({0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0x88, 0xcc, 1, 2}) ==
        "00:00:00:00:00:02 > 00:00:00:00:00:01: type 0x88cc, length 2");
  CHECK(say({0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 8, 0, 0x45}) == "IP: malformed (too short)");
}

TEST_CASE("a trace counts from both ends' first numbers, whatever the ports are") {
  frame_text text;
  buffer_pool pool(4096, 1u << 20);
  auto const line = [&](std::uint16_t from, std::uint16_t to, std::uint8_t flags, wire::sequence number,
                        wire::sequence acknowledgment) {
    segment one;
    auto part = pool.take_slice(54);
    auto const bytes = part.writable();
    wire::ethernet_header{}.emit(bytes);
    wire::ipv4_header ip;
    ip.source = ip.destination = *ipv4_address::parse("10.0.0.1");
    ip.total_bytes = 40;
    ip.emit(bytes.subspan(14));
    wire::tcp_header tcp;
    tcp.source_port = from;
    tcp.destination_port = to;
    tcp.flags = flags;
    tcp.sequence = number;
    tcp.acknowledgment = acknowledgment;
    tcp.emit(bytes.subspan(34));
    REQUIRE(one.append(std::move(part)));
    fixed_text<200> out;
    text.write(out, one);
    return std::string(out.view());
  };
  for (std::uint32_t port = 1; port <= 65'535; ++port) {
    auto const client = static_cast<std::uint16_t>(port);
    if (client == 80) continue;
    line(client, 80, wire::tcp_syn, wire::sequence{1000}, {});
    auto const answer =
        line(80, client, wire::tcp_syn | wire::tcp_ack, wire::sequence{5000}, wire::sequence{1001});
    auto const last = line(client, 80, wire::tcp_ack, wire::sequence{1001}, wire::sequence{5001});
    if (answer.find("seq 5000, ack 1,") == std::string::npos || last.find(", ack 1,") == std::string::npos) {
      FAIL(answer << "\n" << last);
    }
  }
}
