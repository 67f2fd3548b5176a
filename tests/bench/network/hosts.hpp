// Two hosts in one process, joined by memory: what one transmits the other is given, by reference or copied into
// buffers of the receiver as a device would. Time is virtual.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "morgana/net/core.hpp"

namespace morgana::bench {

/// A benchmark that did not do its work has measured nothing.
inline void must(bool condition, char const* what) {
  if (condition) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

inline constexpr std::size_t burst_frames = 64;

struct link_settings {
  bool is_copied = false;       ///< frames are copied into the receiver's buffers, each in one piece
  bool offloads = false;        ///< super-segments and unfinished checksums pass, as between two guests
};

class hosts {
 public:
  explicit hosts(link_settings const& settings)
      : link(settings), pool(4096, 256u << 20), a(configuration(1), secrets(1), pool, now),
        b(configuration(2), secrets(2), pool, now) {
    // ARP, and whatever else is said at the beginning.
    run(10'000'000ns);
  }

  static net::ip_address address(std::uint8_t number) { return net::ipv4_address{{10, 0, 0, number}}; }

  /// Moves frames both ways until nobody has any; `heard` is called after each burst that a host was given. A
  /// host that had less than a burst is asked again only when it was given something.
  template <class Heard>
  void pump(Heard&& heard) {
    auto from = pass(a, b);
    for (bool is_a = false;; is_a = !is_a) {
      heard();
      auto const answered = is_a ? pass(a, b) : pass(b, a);
      if (answered == 0 && from < burst_frames) break;
      from = answered;
    }
  }
  void run(duration length) {
    now += length;
    if (a.next_deadline() <= now) a.on_deadline(now);
    if (b.next_deadline() <= now) b.on_deadline(now);
    pump([] {});
  }

  /// One burst; says how many frames there were.
  std::size_t pass(net::core& from, net::core& to) {
    auto const count = from.poll_transmit(frames, now);
    if (count == 0) return 0;
    auto const sent = std::span(frames).first(count);
    if (link.is_copied) std::for_each(sent.begin(), sent.end(), [this](auto& frame) { copy(frame); });
    // Whoever receives does not know that the sum is right: it verifies each.
    if (!link.offloads) {
#pragma clang loop unroll(disable)
      for (std::size_t i = 0; i < count; ++i) frames.data()[i].checksum = net::checksum_state::unchecked;
    }
    to.input(sent, now);
    return count;
  }

  instant now{};
  link_settings link;
  net::buffer_pool pool;
  net::core a, b;
  std::array<net::segment, burst_frames> frames;

 private:
  net::core_configuration configuration(std::uint8_t number) const {
    net::core_configuration made;
    made.device.address = {{2, 0, 0, 0, 0, number}};
    made.device.transmit_checksum = made.device.segmentation_tcp_v4 = link.offloads;
    made.addresses = {net::cidr{address(number), 24}};
    made.router_advertisements = false;
    made.detect_conflicts = false;
    return made;
  }
  static net::keyed_secrets secrets(std::uint8_t number) {
    std::array<std::byte, 32> secret{};
    secret[0] = std::byte{number};
    return net::keyed_secrets::derive(secret);
  }
  void copy(net::segment& frame) {
    net::segment copied;
    for (std::size_t at = 0; at < frame.size();) {
      auto part = pool.take_slice(std::min(frame.size() - at, pool.buffer_bytes()));
      must(part.size() != 0 && frame.copy_out(at, part.writable()), "no buffer for a frame");
      at += part.size();
      must(copied.append(std::move(part)), "a frame has too many parts");
    }
    copied.checksum = frame.checksum;
    copied.checksum_start = frame.checksum_start;
    copied.checksum_offset = frame.checksum_offset;
    copied.gso_size = frame.gso_size;
    copied.gso_kind = frame.gso_kind;
    frame = std::move(copied);
  }
};

/// A connection from a to b, both ends.
struct connected {
  net::tcp::connection* client = nullptr;
  net::tcp::connection* server = nullptr;
};

/// A user who knows what to do next anyway.
inline void drop_events(net::core& host) {
  while (host.poll_event()) {}
}

inline connected connect(hosts& two, net::tcp::listener& where) {
  auto opened = two.a.tcp().connect({hosts::address(2), where.local().port}, {}, two.now);
  must(opened.has_value(), "connect() failed");
  two.pump([] {});
  connected made{*opened, where.accept()};
  must(made.server != nullptr && made.client->state() == net::tcp::state::established, "no connection");
  drop_events(two.a);
  drop_events(two.b);
  return made;
}

}  // namespace morgana::bench
