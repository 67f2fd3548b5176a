// What TCP tells IP: progress, the lack of it, and how large packets may be.
#include <catch2/catch.hpp>

#include "tcp_peer.hpp"

using namespace tcp_test;
using wire::tcp_ack;

namespace {

/// An IP that remembers what it was told.
struct listening_path final : tcp::routing {
  path how;
  int confirmed = 0, suspected = 0;
  std::uint32_t limited_to = 0;
  std::optional<path> find(ip_address const&) override { return how; }
  bool is_local(ip_address const& address) const override { return address == how.source; }
  void confirm(ip_address const& destination, instant) override { confirmed += destination == v4(9) ? 1 : 0; }
  void suspect(ip_address const& destination, instant) override { suspected += destination == v4(9) ? 1 : 0; }
  void limit_mtu(ip_address const&, std::uint32_t mtu_bytes, instant) override { limited_to = mtu_bytes; }
};

/// An engine over it, and a peer that acknowledges what it is told to.
struct bench {
  buffer_pool pool{2048, 16u << 20};
  listening_path below;
  tcp::engine engine{network_limits{}, secrets(7), pool, below, instant{}};
  instant now{};
  std::uint32_t mine = 0;
  tcp::connection* c = nullptr;

  explicit bench(tcp::settings const& with = {}, std::uint32_t mtu_bytes = 1'500) {
    below.how.source = v4(1);
    below.how.mtu_bytes = mtu_bytes;
    c = engine.connect({v4(1), 1'000}, {v4(9), 80}, with, now).value();
    auto const asked = sent();
    REQUIRE(asked.size() == 1);
    mine = asked[0].first + 1;
    now += 20ms;
    wire::tcp_header h;
    h.flags = wire::tcp_syn | tcp_ack;
    h.options.maximum_segment_size = 1'460;
    h.options.sack_permitted = true;
    answer(h);
    REQUIRE(c->state() == tcp::state::established);
  }
  void answer(wire::tcp_header h) {
    h.source_port = 80;
    h.destination_port = 1'000;
    if (!h.has(wire::tcp_syn)) h.sequence = {1};
    h.acknowledgment = {mine};
    h.flags |= tcp_ack;
    h.window = 60'000;
    segment packet;
    auto part = pool.take_slice(h.encoded_bytes());
    h.emit(part.writable());
    REQUIRE(packet.append(std::move(part)));
    packet.checksum = checksum_state::valid;
    engine.input({v4(9), v4(1), 0}, std::move(packet), now);
  }
  /// Sequence number and payload of each segment.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> sent() {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> all;
    tcp::addressing between;
    segment packet;
    while (engine.poll_transmit(between, packet, now)) {
      auto const f = to_frame(between, packet);
      auto const h = wire::tcp_header::parse(f.bytes, f.bytes.size());
      REQUIRE(h);
      all.emplace_back(h->sequence.value, static_cast<std::uint32_t>(f.bytes.size() - h->header_bytes));
    }
    while (engine.poll_event()) {
    }
    return all;
  }
  void write(std::size_t bytes) {
    REQUIRE(c->write(std::vector<std::byte>(bytes, std::byte{1}), now).value() == bytes);
  }
  void pass(duration length) {
    auto const end = now + length;
    while (engine.next_deadline() <= end) {
      now = std::max(now, engine.next_deadline());
      engine.on_deadline(now);
      (void)sent();
    }
    now = end;
  }
};

}  // namespace

TEST_CASE("Acknowledged data confirms the next hop, once in four seconds") {
  bench b;
  for (int i = 0; i < 100; ++i) {
    b.write(100);
    (void)b.sent();
    b.now += 100ms;
    b.mine += 100;
    b.answer({});
  }
  CHECK(b.below.confirmed == 3);
  CHECK(b.below.suspected == 0);
}

TEST_CASE("Data that nobody acknowledges makes the next hop suspect at the third timeout, once") {
  bench b;
  b.write(100);
  (void)b.sent();
  b.pass(600ms);
  CHECK(b.below.suspected == 0);
  b.pass(20s);
  CHECK(b.below.suspected == 1);
  CHECK(b.below.confirmed == 0);
}

TEST_CASE("A search for the path MTU that has ended is told to IP") {
  // A path that was once known to carry 800 bytes; it carries 1,300 now, and says nothing about what it
  // drops.
  bench b({.probe_mtu_from = 512}, 800);
  b.below.how.mtu_bytes = 1'500;
  constexpr std::uint32_t carried = 1'300 - 40;
  auto const first = b.mine;
  std::vector<bool> arrived(8u << 20);
  for (int round = 0; round < 400 && b.below.limited_to == 0; ++round) {
    if (b.c->info().unsent_bytes < 60'000) b.write(30'000);
    for (auto const& [at, size] : b.sent()) {
      if (size > carried) continue;
      for (std::uint32_t i = 0; i < size; ++i) arrived[at - first + i] = true;
    }
    b.now += 20ms;
    while (arrived[b.mine - first]) ++b.mine;
    wire::tcp_header h;
    auto left = b.mine;
    while (left != b.mine + 100'000 && !arrived[left - first]) ++left;
    auto right = left;
    while (arrived[right - first]) ++right;
    if (right != left) h.options.sack[h.options.sack_count++] = {{left}, {right}};
    b.answer(h);
    if (b.engine.next_deadline() <= b.now) b.engine.on_deadline(b.now);
  }
  CHECK(b.below.limited_to <= 1'300);
  CHECK(b.below.limited_to > 1'290);
}
