// Two whole hosts on one cable in virtual time, for streams too long to look at each frame of: segments pass from
// pool to pool as they are, and what is written is compared in place.
#pragma once

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#include "test_link.hpp"

namespace morgana::net::testing {

/// Bytes of which any 64 KiB differ from any others nearby: the period is a prime.
class stream_content {
 public:
  static constexpr std::size_t period = 65'521;
  stream_content() : bytes_(period + 65'536) {
    random_stream random(secrets_of(3).jitter);
    for (std::size_t i = 0; i < period; i += 8) {
      auto const word = random.next();
      std::memcpy(bytes_.data() + i, &word, std::min<std::size_t>(8, period - i));
    }
    for (std::size_t i = period; i < bytes_.size(); ++i) bytes_[i] = bytes_[i - period];
  }
  [[nodiscard]] std::span<std::byte const> at(std::uint64_t offset, std::size_t size) const {
    return std::span(bytes_).subspan(offset % period, std::min<std::size_t>(size, 65'536));
  }

 private:
  bytes bytes_;
};

/// What the cable does to a frame; in millionths.
struct cable_faults {
  std::uint32_t lost = 0;
  std::uint32_t lost_empty = 0;              ///< of those under 100 bytes: TCP segments without payload
  bool trailing_bytes = false;               ///< up to ten behind each frame
  std::uint64_t cut_after_bytes = 0;         ///< once so many have passed, nothing does for a second; 0: never
};

class cable {
 public:
  explicit cable(std::uint64_t seed, cable_faults const& faults = {}, std::uint32_t mtu = 1500)
      : how(faults), mtu_(mtu), random_({seed, 0x6361'626c'65}) {
    for (std::uint8_t i = 0; i < 2; ++i) {
      core_configuration with;
      with.device.address = mac(static_cast<std::uint8_t>(i + 1));
      with.device.mtu_bytes = mtu;
      with.addresses = {{address(false, i), 24}};
      if (mtu >= 1280) with.addresses.push_back({address(true, i), 64});
      with.router_advertisements = false;
      with.detect_conflicts = false;
      hosts[i] = std::make_unique<core>(with, secrets_of(static_cast<std::uint8_t>(seed * 2 + i)), pools[i], now);
    }
  }
  ~cable() {
    for (auto& one : hosts) one.reset();
  }
  cable(cable const&) = delete;
  cable& operator=(cable const&) = delete;

  static ip_address address(bool is_v6, std::uint8_t which) {
    auto const last = static_cast<std::uint8_t>(which + 1);
    if (is_v6) return ipv6_address{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
    return ipv4_address{{10, 0, 0, last}};
  }

  /// Moves what is ready; whether there was something.
  bool exchange() {
    bool moved = false;
    std::array<segment, 8> out;
    for (std::size_t from = 0; from < 2; ++from) {
      while (auto const count = hosts[from]->poll_transmit(out, now)) {
        moved = true;
        for (auto& one : std::span(out).first(count)) {
          if (passes(one, from)) hosts[1 - from]->input(std::span(&one, 1), now);
          one.clear();
        }
        if (from == 0) break;  // the other answers soon
      }
      while (hosts[from]->poll_event()) {
      }
    }
    return moved;
  }
  /// To the next deadline, at most `end`; false when there is none before it.
  bool wait(instant end) {
    auto const next = std::min(hosts[0]->next_deadline(), hosts[1]->next_deadline());
    if (next > end) return false;
    now = std::max(now, next);
    for (auto& one : hosts) one->on_deadline(now);
    return true;
  }
  void run(duration length) {
    auto const end = now + length;
    do {
      while (exchange()) {
      }
    } while (wait(end));
    now = end;
  }

  cable_faults how;
  bool is_cut = false;
  instant now{};
  std::array<buffer_pool, 2> pools{buffer_pool(2048, 64u << 20), buffer_pool(2048, 64u << 20)};
  buffer_pool trailers{16, 1u << 20};
  std::array<std::unique_ptr<core>, 2> hosts;
  std::uint64_t frames = 0, passed_bytes = 0, lost = 0;

 private:
  bool passes(segment& frame, std::size_t from) {
    ++frames;
    auto const size = frame.size();
    if (size > mtu_ + 14) FAIL("a frame of " << size << " bytes at an MTU of " << mtu_);
    passed_bytes += size;
    if (how.cut_after_bytes != 0 && passed_bytes >= how.cut_after_bytes) {
      how.cut_after_bytes = 0;
      open_at_ = now + 1s;
    }
    std::array<std::byte, 24> start{};
    (void)frame.copy_out(0, std::span(start).first(std::min(size, start.size())));
    bool const is_tcp = start[12] == std::byte{8} ? start[23] == std::byte{6} : start[20] == std::byte{6};
    bool const is_lost = is_cut || now < open_at_ || random_.chance(how.lost) ||
                         (is_tcp && size < 100 && random_.chance(how.lost_empty));
    if (is_lost) {
      ++lost;
      return false;
    }
    if (how.trailing_bytes && from < 2) {
      auto extra = trailers.take_slice(1 + random_.below(10));
      std::ranges::fill(extra.writable(), std::byte{0xee});
      (void)frame.append(std::move(extra));
      frame.checksum = checksum_state::unchecked;
    }
    return true;
  }
  std::uint32_t mtu_;
  random_stream random_;
  instant open_at_ = instant::min();
};

/// A listener on the second host, and a connection from the first.
struct cable_session {
  cable_session(cable& on, bool is_v6, std::uint16_t port = 5001) : link(on) {
    auto const made = link.hosts[1]->tcp().listen({.port = port});
    REQUIRE(made);
    listening = *made;
    auto const opened = link.hosts[0]->tcp().connect({cable::address(is_v6, 1), port}, {}, link.now);
    REQUIRE(opened);
    client = *opened;
    auto const end = link.now + 100s;
    while (server == nullptr && !client->failure()) {
      while (link.exchange()) {
      }
      server = listening->accept();
      if (server == nullptr && !link.wait(end)) break;
    }
  }
  /// Whether all of it arrived as it was written, within `most` of virtual time.
  bool send(tcp::connection& from, tcp::connection& to, std::uint64_t total, duration most) {
    auto const end = link.now + most;
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    while (read < total) {
      while (written < total) {
        auto const took = from.write(content.at(written, std::min<std::uint64_t>(total - written, 65'536)), link.now);
        if (!took) return false;
        written += *took;
        if (*took == 0) break;
      }
      bool moved = link.exchange();
      for (auto got = to.peek(); !got.empty(); got = to.peek()) {
        auto const size = std::min<std::size_t>(got.size(), 65'536);
        if (std::memcmp(got.data(), content.at(read, size).data(), size) != 0) return false;
        read += size;
        to.consume(size, link.now);
        moved = true;
      }
      if (!moved && !link.wait(end)) return false;
    }
    return written == total;
  }
  /// Both ends close; whether nothing is left.
  bool finish() {
    client->release(link.now);
    if (server != nullptr) server->release(link.now);
    listening->release(link.now);
    link.run(400s);
    return link.hosts[0]->tcp().connections() == 0 && link.hosts[1]->tcp().connections() == 0 &&
           link.pools[0].used_buffers() == 0 && link.pools[1].used_buffers() == 0;
  }
  cable& link;
  tcp::listener* listening = nullptr;
  tcp::connection* client = nullptr;
  tcp::connection* server = nullptr;
  stream_content content;
};

}  // namespace morgana::net::testing
