// Two TCP engines joined in memory under virtual time, and a peer that is scripted segment by segment.
#pragma once

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace tcp_test {

using namespace morgana;
using namespace morgana::net;
namespace tcp = morgana::net::tcp;
namespace wire = morgana::net::wire;

inline ip_address v4(std::uint8_t last) {
  return ipv4_address{{10, 0, 0, last}};
}
inline ip_address v6(std::uint8_t last) {
  return ipv6_address{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}

inline keyed_secrets secrets(std::uint64_t seed) {
  std::array<std::byte, 32> bytes{};
  std::memcpy(bytes.data(), &seed, sizeof seed);
  return keyed_secrets::derive(bytes);
}

struct one_path final : tcp::routing {
  path how;
  bool reachable = true;
  explicit one_path(ip_address const& source) { how.source = source; }
  std::optional<path> find(ip_address const&) override {
    return reachable ? std::optional(how) : std::nullopt;
  }
  bool is_local(ip_address const& address) const override { return address == how.source; }
};

/// What the stream holds at an offset: bytes that are wrong anywhere else.
inline std::byte content(std::uint64_t seed, std::uint64_t offset) {
  auto x = (offset >> 3) * 0x9e37'79b9'7f4a'7c15u ^ seed;
  x ^= x >> 31;
  x *= 0xbf58'476d'1ce4'e5b9u;
  x ^= x >> 29;
  return static_cast<std::byte>(x >> (8 * (offset & 7)));
}

struct frame {
  tcp::addressing between;
  std::vector<std::byte> bytes;
  std::uint16_t gso_size = 0;
  bool checked = false;  ///< the sender left the checksum to the device
};

inline frame to_frame(tcp::addressing const& between, segment const& packet) {
  frame f{between, std::vector<std::byte>(packet.size()), packet.gso_size,
          packet.checksum == checksum_state::partial};
  (void)packet.copy_out(0, f.bytes);
  return f;
}

inline bool checksum_right(frame const& f) {
  wire::checksum sum;
  sum.add_pseudo_header(f.between.source, f.between.destination, 6,
                        static_cast<std::uint32_t>(f.bytes.size()));
  sum.add(f.bytes);
  return sum.finish() == 0;
}

struct host {
  buffer_pool pool;
  one_path route;
  tcp::engine engine;
  std::map<void*, std::uint8_t> ready;  ///< what events said since it was cleared
  host(std::uint64_t seed, ip_address const& address, network_limits const& limits = {},
       instant now = instant(), std::size_t buffer_bytes = 2048, std::size_t pool_bytes = 64u << 20)
      : pool(buffer_bytes, pool_bytes), route(address), engine(limits, secrets(seed), pool, route, now) {}
  void take_events() {
    while (auto event = engine.poll_event()) {
      if (event->connection != nullptr) ready[event->connection] |= event->ready;
      if (event->listener != nullptr) ready[event->listener] |= event->ready;
    }
  }
  void input(frame const& f, instant now) {
    segment packet;
    std::size_t done = 0;
    while (done < f.bytes.size()) {
      auto const count = std::min(f.bytes.size() - done, pool.buffer_bytes());
      auto part = pool.take_slice(count);
      if (part.size() == 0) return;  // as a device without buffers
      std::memcpy(part.writable().data(), f.bytes.data() + done, count);
      if (!packet.append(std::move(part))) return;
      done += count;
    }
    if (f.checked) packet.checksum = checksum_state::valid;
    engine.input(f.between, std::move(packet), now);
  }
  std::optional<frame> output(instant now) {
    tcp::addressing between;
    segment packet;
    if (!engine.poll_transmit(between, packet, now)) return std::nullopt;
    return to_frame(between, packet);
  }
};

/// What the path between them does to each segment; in millionths.
struct faults {
  std::uint32_t lost = 0, duplicated = 0, reordered = 0, corrupted = 0, marked = 0;
  duration delay = 10ms, extra = 30ms;
  std::uint64_t bytes_per_s = 0;  ///< 0: no limit
  std::size_t queue_bytes = 64 * 1024;
};

class network {
 public:
  network(std::uint64_t seed, host& left, host& right, faults const& how)
      : random_(secrets(seed ^ 0x6e65'7477'6f72'6b00u).jitter), left_(left), right_(right), how(how) {}

  instant now{};
  std::uint64_t carried = 0, lost = 0;
  bool cut = false;
  std::vector<std::string> trace;
  bool wants_trace = false;
  std::uint64_t segments_max = 200'000;

  /// Moves what is ready, without time passing.
  void exchange() {
    for (bool moved = true; moved;) {
      moved = false;
      while (auto f = left_.output(now)) {
        send(std::move(*f), true);
        moved = true;
      }
      while (auto f = right_.output(now)) {
        send(std::move(*f), false);
        moved = true;
      }
      while (!in_flight_.empty() && in_flight_.begin()->first.first <= now) {
        auto one = std::move(in_flight_.begin()->second);
        in_flight_.erase(in_flight_.begin());
        (one.to_right ? right_ : left_).input(one.what, now);
        moved = true;
      }
      left_.take_events();
      right_.take_events();
    }
  }
  [[nodiscard]] instant next() const {
    auto first = std::min(left_.engine.next_deadline(), right_.engine.next_deadline());
    if (!in_flight_.empty()) first = std::min(first, in_flight_.begin()->first.first);
    return first;
  }
  /// Lets time pass to the next thing that happens; false when nothing will, or not before `end`.
  bool step(instant end = never) {
    exchange();
    auto const when = next();
    if (when == never || when > end) {
      if (end != never) now = std::max(now, end);
      return false;
    }
    now = std::max(now, when);
    left_.engine.on_deadline(now);
    right_.engine.on_deadline(now);
    exchange();
    return true;
  }
  void run_for(duration length) {
    auto const end = now + length;
    while (step(end)) {
    }
    now = end;
  }

 private:
  struct travelling {
    frame what;
    bool to_right;
  };
  void send(frame f, bool to_right) {
    ++carried;
    // A storm: the last segments are kept for the message.
    if (carried > segments_max) wants_trace = true;
    if (carried > segments_max + 40) {
      for (auto const& line : trace) UNSCOPED_INFO(line);
      FAIL("more than " << segments_max << " segments");
    }
    if (wants_trace) trace.push_back(describe(f, to_right));
    if (cut || random_.chance(how.lost)) {
      ++lost;
      return;
    }
    auto when = now + how.delay;
    if (random_.chance(how.reordered))
      when += duration(
          static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(how.extra.count()) + 1)));
    if (how.bytes_per_s != 0) {
      auto& free_at = free_at_[to_right ? 1 : 0];
      auto const queued =
          free_at > now ? (free_at - now).count() * static_cast<std::int64_t>(how.bytes_per_s) / 1'000'000'000
                        : 0;
      if (static_cast<std::size_t>(queued) > how.queue_bytes) {
        ++lost;
        return;
      }
      free_at = std::max(free_at, now) +
                duration(static_cast<std::int64_t>((f.bytes.size() + 40) * 1'000'000'000 / how.bytes_per_s));
      when += free_at - now;
    }
    if (random_.chance(how.corrupted) && !f.bytes.empty() && !f.checked) {
      f.bytes[random_.below(f.bytes.size())] ^= static_cast<std::byte>(1u << random_.below(8));
    }
    if ((f.between.traffic_class & 3u) != 0 && random_.chance(how.marked)) f.between.traffic_class |= 3u;
    if (random_.chance(how.duplicated)) in_flight_.emplace(key(when + 1ms), travelling{f, to_right});
    in_flight_.emplace(key(when), travelling{std::move(f), to_right});
  }
  std::pair<instant, std::uint64_t> key(instant when) { return {when, ++count_}; }
  std::string describe(frame const& f, bool to_right) const {
    auto const h = wire::tcp_header::parse(f.bytes, f.bytes.size());
    std::string line = std::to_string(now.time_since_epoch() / 1us) + (to_right ? " > " : " < ");
    if (!h) return line + "?";
    for (auto [bit, letter] :
         {std::pair(1, 'F'), {2, 'S'}, {4, 'R'}, {8, 'P'}, {16, '.'}, {64, 'E'}, {128, 'W'}}) {
      if (h->flags & bit) line += letter;
    }
    line += " " + std::to_string(h->sequence.value) + "+" + std::to_string(f.bytes.size() - h->header_bytes) +
            " ack " + std::to_string(h->acknowledgment.value) + " win " + std::to_string(h->window);
    for (std::size_t i = 0; i < h->options.sack_count; ++i) {
      line += " sack " + std::to_string(h->options.sack[i].left.value) + "-" +
              std::to_string(h->options.sack[i].right.value);
    }
    return line;
  }
  random_stream random_;
  host& left_;
  host& right_;
  std::map<std::pair<instant, std::uint64_t>, travelling> in_flight_;
  std::uint64_t count_ = 0;
  instant free_at_[2]{};

 public:
  faults how;
};

/// Writes a stream of known content, as much as is taken.
struct writer {
  tcp::connection* to;
  std::uint64_t seed, total, done = 0;
  std::size_t piece = 16'384;
  bool closed = false;
  void go(instant now) {
    std::vector<std::byte> bytes;
    while (done < total) {
      bytes.resize(std::min<std::uint64_t>(piece, total - done));
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = content(seed, done + i);
      auto const taken = to->write(bytes, now);
      if (!taken || *taken == 0) return;
      done += *taken;
      if (*taken < bytes.size()) return;
    }
    if (!closed) {
      closed = true;
      to->shutdown(now);
    }
  }
};

/// Reads it and compares.
struct reader {
  tcp::connection* from;
  std::uint64_t seed, done = 0;
  bool ended = false, wrong = false;
  std::optional<net_error> failed{};
  void go(instant now, std::size_t most = SIZE_MAX) {
    std::array<std::byte, 4096> bytes;
    while (!ended && !failed && most != 0) {
      auto const count = from->read(std::span(bytes).first(std::min(bytes.size(), most)), now);
      if (!count) {
        failed = from->failure().value_or(net_error::not_connected);
        return;
      }
      if (!*count) return;
      if (**count == 0) ended = true;
      for (std::size_t i = 0; i < **count; ++i) {
        if (bytes[i] != content(seed, done + i)) wrong = true;
      }
      done += **count;
      most -= **count;
    }
  }
};

}  // namespace tcp_test
