// Fuzzes the TCP engine: arbitrary segments, and steps of time, at an engine with a listener and an
// established connection. Segments may be relative to what the connection expects, so that most pass the
// first checks. What must hold: every segment sent parses and has a right checksum, output ends, and every
// buffer comes back.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/tcp.hpp"

using namespace morgana;
using namespace morgana::net;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct input {
  std::span<std::uint8_t const> bytes;
  std::uint8_t take() {
    if (bytes.empty()) return 0;
    auto const first = bytes.front();
    bytes = bytes.subspan(1);
    return first;
  }
  std::uint32_t take32() {
    std::uint32_t all = 0;
    for (int i = 0; i < 4; ++i) all = all << 8 | take();
    return all;
  }
};

struct path final : tcp::routing {
  bool offload = false;
  std::optional<struct tcp::routing::path> find(ip_address const&) override {
    struct tcp::routing::path one;
    one.source = ipv4_address{{10, 0, 0, 1}};
    one.segmentation = one.checksum = offload;
    return one;
  }
  bool is_local(ip_address const&) const override { return true; }
};

struct world {
  buffer_pool pool{2'048, 1u << 20};
  path below;
  network_limits limits = [] {
    network_limits few;
    few.connections = few.time_wait = 8;
    few.syn_received = 4;
    few.out_of_order_ranges = 4;
    few.sack_ranges = 8;
    return few;
  }();
  std::array<std::byte, 32> secret{};
  tcp::engine engine{limits, keyed_secrets::derive(secret), pool, below, instant()};
  ip_address us = ipv4_address{{10, 0, 0, 1}}, them = ipv4_address{{10, 0, 0, 2}};
  instant now = instant(1'000s);
  std::uint32_t expected = 0;  ///< the next number the engine's connection sends, as last seen
  std::uint32_t acknowledged = 1'001;

  void send(wire::tcp_header const& header, std::size_t payload, std::uint8_t traffic_class = 0) {
    auto part = pool.take_slice(header.encoded_bytes() + payload);
    if (part.size() == 0) return;
    std::memset(part.writable().data(), 'x', part.size());
    header.emit(part.writable());
    segment packet;
    (void)packet.append(std::move(part));
    packet.checksum = checksum_state::valid;
    engine.input({them, us, traffic_class}, std::move(packet), now);
  }
  void drain() {
    tcp::addressing between;
    segment packet;
    for (int count = 0; engine.poll_transmit(between, packet, now); ++count) {
      require(count < 5'000);
      std::array<std::byte, 60> bytes;
      auto const size = std::min<std::size_t>(packet.size(), bytes.size());
      require(packet.copy_out(0, std::span(bytes).first(size)));
      auto const header = wire::tcp_header::parse(std::span(bytes).first(size), packet.size());
      require(header.has_value());
      if (packet.checksum != checksum_state::partial) {
        wire::checksum sum;
        sum.add_pseudo_header(between.source, between.destination, 6,
                              static_cast<std::uint32_t>(packet.size()));
        sum.add(packet.header());
        for (auto const& one : packet.slices()) sum.add(one.bytes());
        require(sum.finish() == 0);
      }
      if (header->source_port == 80 && header->destination_port == 4'000 && !header->has(wire::tcp_rst)) {
        auto const flags = (header->has(wire::tcp_syn) ? 1u : 0u) + (header->has(wire::tcp_fin) ? 1u : 0u);
        expected =
            header->sequence.value + static_cast<std::uint32_t>(packet.size() - header->header_bytes) + flags;
        acknowledged = header->acknowledgment.value;
      }
    }
    while (engine.poll_event()) {
    }
  }
};

wire::tcp_header read_header(input& in, world const& w) {
  wire::tcp_header h;
  auto const shape = in.take();
  h.source_port = static_cast<std::uint16_t>(4'000 + (shape & 0x80 ? in.take() % 8 : 0));
  h.destination_port = 80;
  h.flags = in.take();
  auto const relative = [&](std::uint32_t base) {
    return base + static_cast<std::uint32_t>(static_cast<std::int16_t>(in.take() << 8 | in.take()));
  };
  h.sequence = {shape & 1 ? in.take32() : shape & 2 ? relative(w.acknowledged) : w.acknowledged};
  h.acknowledgment = {shape & 4 ? in.take32() : shape & 8 ? relative(w.expected) : w.expected};
  h.window = static_cast<std::uint16_t>(in.take() << 8 | in.take());
  if (shape & 16) h.options.timestamps = wire::tcp_timestamps{in.take32(), in.take32()};
  if (shape & 32) {
    h.options.sack_count = static_cast<std::uint8_t>(1 + in.take() % 3);
    for (std::size_t i = 0; i < h.options.sack_count; ++i) {
      h.options.sack[i].left = {relative(w.expected)};
      h.options.sack[i].right = {relative(w.expected)};
    }
  } else if (shape & 64) {
    h.options.maximum_segment_size = static_cast<std::uint16_t>(in.take() << 4);
    h.options.window_scale = in.take();
    h.options.sack_permitted = true;
  }
  return h;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  input in{{data, size}};
  world w;
  auto const shape = in.take();
  w.below.offload = (shape & 1) != 0;
  auto listening = w.engine.listen({.port = 80, .backlog = 4});
  require(listening.has_value());
  wire::tcp_header h;
  h.source_port = 4'000;
  h.destination_port = 80;
  h.sequence = {1'000};
  h.flags = wire::tcp_syn;
  h.window = 60'000;
  h.options.sack_permitted = (shape & 2) != 0;
  h.options.window_scale = std::uint8_t{4};
  if (shape & 4) h.options.timestamps = wire::tcp_timestamps{100, 0};
  w.send(h, 0);
  w.drain();
  h.options = {};
  h.flags = wire::tcp_ack;
  h.sequence = {1'001};
  h.acknowledgment = {w.expected};
  if (shape & 4) h.options.timestamps = wire::tcp_timestamps{101, 1};
  w.send(h, 0);
  w.drain();
  auto* c = (*listening)->accept();
  require(c != nullptr);
  std::array<std::byte, 4'096> bytes{};
  for (int steps = 0; !in.bytes.empty() && steps < 400; ++steps) {
    switch (in.take() % 8) {
      case 0:
        if (c != nullptr) (void)c->write(std::span(bytes).first(std::size_t{in.take()} * 16), w.now);
        break;
      case 1:
        if (c != nullptr) (void)c->read(std::span(bytes).first(std::size_t{in.take()} * 16), w.now);
        break;
      case 2:
        w.now += duration(1ms) * (1 << in.take() % 18);
        w.engine.on_deadline(w.now);
        break;
      case 3: {
        auto const what = in.take();
        if (c == nullptr) c = (*listening)->accept();
        if (c == nullptr) break;
        if (what % 8 == 0) c->shutdown(w.now);
        if (what % 8 == 1) c->abort(w.now);
        if (what % 8 == 2) c->release(w.now), c = nullptr;
        break;
      }
      case 4:
        w.engine.on_icmp({w.us, w.them, 0}, 80, 4'000, w.expected - in.take(),
                         static_cast<tcp::engine::soft_error>(in.take() % 3), in.take32() & 0xffffu, w.now);
        break;
      default: {
        auto const header = read_header(in, w);
        auto const kind = in.take();
        w.send(header, kind & 1 ? std::size_t{in.take()} * 6 : 0, kind >> 6);
        break;
      }
    }
    w.drain();
  }
  // In the end everything ends: no deadline may come again and again.
  if (c != nullptr) c->release(w.now);
  (*listening)->release(w.now);
  w.drain();
  for (int steps = 0; w.engine.next_deadline() != never; ++steps) {
    require(steps < 10'000);
    w.now = std::max(w.now, w.engine.next_deadline());
    w.engine.on_deadline(w.now);
    w.drain();
  }
  require(w.engine.connections() == 0);
  require(w.pool.used_buffers() == 0);
  return 0;
}
