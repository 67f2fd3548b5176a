// Fuzzes two TCP engines that talk to each other: the input is a script of what their users do (write, read, shut
// down, abort, let go) and of what the path does to each segment (lose, repeat, hold back, damage). First chaos by
// the script, then a path that works: what was written and not aborted then arrives, in order, and nothing is left.
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "input.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/tcp.hpp"

using namespace morgana;
using namespace morgana::net;
using fuzz::require;

namespace {

std::byte content(std::uint64_t offset, int side) {
  return static_cast<std::byte>(offset * 13 + (offset >> 8) + static_cast<std::uint64_t>(side) * 101);
}

struct one_path final : tcp::routing {
  path how;
  std::optional<path> find(ip_address const&) override { return how; }
  bool is_local(ip_address const& address) const override { return address == how.source; }
};

struct frame {
  tcp::addressing between;
  std::vector<std::byte> bytes;
};

struct side {
  side(std::uint8_t number, network_limits const& limits) : index(number) {
    std::array<std::byte, 32> secret{};
    secret[0] = std::byte{number};
    below.how.source = address(number);
    engine = std::make_unique<tcp::engine>(limits, keyed_secrets::derive(secret), pool, below, instant{});
  }
  static ip_address address(std::uint8_t number) { return ipv4_address{{10, 0, 0, number}}; }

  std::uint8_t index;
  buffer_pool pool{512, 1u << 20};
  one_path below;
  std::unique_ptr<tcp::engine> engine;
  tcp::connection* connection = nullptr;
  std::deque<frame> outgoing;             ///< on its way to the other
  std::uint64_t written = 0, read = 0;
  bool shut = false, saw_end = false;
  std::uint32_t acknowledged = 0;         ///< the last number that it acknowledged
  bool has_acknowledged = false;
};

struct world {
  world()
      : limits([] {
          network_limits few;
          few.out_of_order_ranges = 4;
          few.sack_ranges = 8;
          few.syn_retries = 8;
          return few;
        }()),
        sides{side(1, limits), side(2, limits)} {}

  network_limits limits;
  instant now{};
  tcp::listener* listening = nullptr;
  std::array<side, 2> sides;
  bool aborted = false;

  void gather(side& from) {
    tcp::addressing between;
    std::array<segment, 4> made;
    for (int count = 0; from.engine->poll_transmit(between, made[0], now); ++count) {
      require(count < 3'000);
      auto const following = from.engine->transmit_following(between, made[0], std::span(made).subspan(1), now);
      for (auto const& packet : std::span(made).first(1 + following)) sent(from, between, packet);
    }
    while (from.engine->poll_event()) {
    }
  }
  void sent(side& from, tcp::addressing const& between, segment const& packet) {
    frame made{between, std::vector<std::byte>(packet.size())};
    require(packet.copy_out(0, made.bytes));
    wire::checksum sum;
    sum.add_pseudo_header(between.source, between.destination, 6, static_cast<std::uint32_t>(made.bytes.size()));
    sum.add(made.bytes);
    require(sum.finish() == 0);
    auto const header = wire::tcp_header::parse(made.bytes, made.bytes.size());
    require(header.has_value());
    // A copy of the first SYN that comes after a reset begins another connection, which has acknowledged nothing.
    if (header->has(wire::tcp_syn)) from.has_acknowledged = false;
    if (header->has(wire::tcp_ack) && !header->has(wire::tcp_rst)) {
      // What was acknowledged stays so.
      if (from.has_acknowledged) require(header->acknowledgment >= wire::sequence{from.acknowledged});
      from.acknowledged = header->acknowledgment.value;
      from.has_acknowledged = true;
    }
    from.outgoing.push_back(std::move(made));
  }
  void deliver(side& to, frame const& what) {
    segment packet;
    for (std::size_t at = 0; at < what.bytes.size();) {
      auto part = to.pool.take_slice(std::min(what.bytes.size() - at, to.pool.buffer_bytes()));
      if (part.size() == 0) return;
      std::copy_n(what.bytes.begin() + static_cast<std::ptrdiff_t>(at), part.size(), part.writable().begin());
      at += part.size();
      require(packet.append(std::move(part)));
    }
    to.engine->input(what.between, std::move(packet), now);
    gather(to);
  }
  void carry(side& from, fuzz::input& in) {
    if (from.outgoing.empty()) return;
    auto& to = sides[from.index == 1 ? 1 : 0];
    auto const how = in.take();
    if (how % 8 == 1 && from.outgoing.size() > 1) std::swap(from.outgoing[0], from.outgoing[1]);
    auto one = std::move(from.outgoing.front());
    from.outgoing.pop_front();
    if (how % 8 == 2) return;
    if (how % 8 == 3) from.outgoing.push_back(one);
    if (how % 8 == 4) one.bytes[in.take() % one.bytes.size()] ^= static_cast<std::byte>(1 + in.take() % 255);
    if (how % 8 == 4 && in.take() % 2 == 0) return;  // a flipped sum may cancel out; half of them are lost instead
    if (how % 8 == 4) {
      wire::checksum sum;
      sum.add_pseudo_header(one.between.source, one.between.destination, 6, static_cast<std::uint32_t>(one.bytes.size()));
      sum.add(one.bytes);
      if (sum.finish() == 0) return;
    }
    deliver(to, one);
  }
  void read_some(side& by, std::size_t most) {
    if (by.connection == nullptr) return;
    auto const& other = sides[by.index == 1 ? 1 : 0];
    std::array<std::byte, 700> into;
    while (most != 0) {
      auto const got = by.connection->read(std::span(into).first(std::min(most, into.size())), now);
      if (!got || !*got) return;
      if (**got == 0) {
        by.saw_end = true;
        return;
      }
      for (std::size_t i = 0; i < **got; ++i) require(into[i] == content(by.read + i, other.index));
      by.read += **got;
      most -= **got;
      require(by.read <= other.written);
    }
  }
  void write_some(side& by, std::size_t size) {
    if (by.connection == nullptr || by.shut) return;
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = content(by.written + i, by.index);
    auto const done = by.connection->write(bytes, now);
    if (done) by.written += *done;
  }
  void pass(duration length) {
    auto const end = now + length;
    for (int count = 0; count < 1'000; ++count) {
      auto const next = std::min(sides[0].engine->next_deadline(), sides[1].engine->next_deadline());
      if (next > end) break;
      now = std::max(now, next);
      for (auto& one : sides) {
        one.engine->on_deadline(now);
        gather(one);
      }
    }
    now = std::max(now, end);
  }
  void check() {
    for (auto& one : sides) {
      if (one.connection == nullptr || one.connection->state() < tcp::state::syn_sent) continue;
      // What is out has a timer that asks for it.
      if (one.connection->info().bytes_in_flight != 0) require(one.engine->next_deadline() != never);
    }
  }
};

void step(world& w, fuzz::input& in) {
  auto const op = in.take();
  auto& one = w.sides[op & 1];
  switch (op >> 1 & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
      return w.carry(one, in);
    case 4:
      for (int i = in.take() % 32; i > 0; --i) w.carry(one, in);
      return;
    case 5:
    case 6:
      w.write_some(one, 1u + in.take16() % 6'000);
      break;
    case 7:
      w.write_some(one, 1);
      break;
    case 8:
    case 9:
      w.read_some(one, in.take16());
      break;
    case 10:
      w.pass(std::chrono::milliseconds(in.take()));
      break;
    case 11:
      w.pass(std::chrono::milliseconds(in.take16() % 3'000));
      break;
    case 12:
      if (one.connection != nullptr && in.take() % 4 == 0) {
        one.connection->shutdown(w.now);
        one.shut = true;
      }
      break;
    case 13:
      if (one.connection != nullptr) {
        auto& with = one.connection->options();
        with.no_delay = in.take() % 2 == 0;
        with.receive_buffer_bytes = 500u + in.take16();
        with.control = in.take() % 2 == 0 ? tcp::congestion_control::cubic : tcp::congestion_control::new_reno;
      }
      break;
    case 14:
      if (one.connection != nullptr && in.take() % 32 == 0) {
        one.connection->abort(w.now);
        w.aborted = true;
      }
      break;
    default:
      w.sides[0].below.how.mtu_bytes = w.sides[1].below.how.mtu_bytes = 600u + in.take() * 4u;
  }
  w.gather(one);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* bytes, std::size_t size) {
  fuzz::input in{{bytes, size}};
  auto made = std::make_unique<world>();
  auto& w = *made;
  auto& client = w.sides[0];
  auto& server = w.sides[1];
  auto const listening = server.engine->listen({.port = 80});
  require(listening.has_value());
  auto const opened = client.engine->connect({side::address(2), 80}, {}, w.now);
  require(opened.has_value());
  client.connection = *opened;
  w.gather(client);
  for (int steps = 0; !in.empty() && steps < 600; ++steps) {
    step(w, in);
    if (server.connection == nullptr) server.connection = (*listening)->accept();
    w.check();
  }
  // The path works from here on.
  auto const end = w.now + 4'000s;
  while (w.now < end) {
    bool moved = false;
    for (auto& one : w.sides) {
      w.gather(one);
      while (!one.outgoing.empty()) {
        auto const next = std::move(one.outgoing.front());
        one.outgoing.pop_front();
        w.deliver(w.sides[one.index == 1 ? 1 : 0], next);
        moved = true;
      }
    }
    if (server.connection == nullptr) server.connection = (*listening)->accept();
    for (auto& one : w.sides) {
      auto const before = one.read;
      w.read_some(one, 100'000);
      moved = moved || one.read != before;
      if (one.connection != nullptr && !one.shut) {
        one.connection->shutdown(w.now);
        one.shut = true;
        moved = true;
      }
      w.gather(one);
      moved = moved || !one.outgoing.empty();
    }
    if (moved) continue;
    auto const next = std::min(client.engine->next_deadline(), server.engine->next_deadline());
    if (next == never) break;
    w.pass(std::max<duration>(next - w.now, 0ns));
  }
  bool const failed = client.connection->failure() || (server.connection != nullptr && server.connection->failure());
  // The chaos may have lasted longer than a connection does; then its users were told.
  if (!w.aborted && !failed && server.connection != nullptr) {
    require(server.read == client.written && client.read == server.written);
    require(server.saw_end && client.saw_end);
  }
  for (auto& one : w.sides) {
    if (one.connection != nullptr) one.connection->release(w.now);
    one.outgoing.clear();
  }
  (*listening)->release(w.now);
  w.pass(1'000s);
  for (auto& one : w.sides) {
    w.gather(one);
    one.outgoing.clear();
  }
  w.pass(1'000s);
  require(client.engine->connections() == 0 && server.engine->connections() == 0);
  for (auto& one : w.sides) one.engine.reset();
  require(client.pool.used_buffers() == 0 && server.pool.used_buffers() == 0);
  return 0;
}
