// Two direct stacks on a cable, in virtual time, and bytes that show where they belong.
#pragma once

#include <catch2/catch.hpp>

#include "device_cable.hpp"
#include "morgana/net/direct_stack.hpp"

namespace morgana::net::testing {

using namespace morgana::test;

using network = direct_stack<cable_end>;
static_assert(stack<network> && device_with_room<cable_end>);

inline device_capabilities capabilities(std::uint8_t number, bool offloads) {
  device_capabilities made;
  made.address = {{2, 0, 0, 0, 0, number}};
  made.transmit_checksum = made.receive_checksum = offloads;
  made.segmentation_tcp_v4 = made.segmentation_tcp_v6 = offloads;
  return made;
}

inline direct_stack_options host(std::uint8_t number) {
  direct_stack_options made;
  made.ipv4.address = {ipv4_address{{10, 0, 0, number}}, 24};
  made.ipv6 = ipv6_setting::parse(number == 1 ? "2001:db8::1/64" : "2001:db8::2/64").value();
  made.accept_ra = false;
  return made;
}

inline ip_address const first_v4 = *ip_address::parse("10.0.0.1");
inline ip_address const second_v4 = *ip_address::parse("10.0.0.2");
inline ip_address const second_v6 = *ip_address::parse("2001:db8::2");

/// A world with two hosts.
struct pair_of_hosts {
  explicit pair_of_hosts(bool offloads = false)
      : one(capabilities(1, offloads)), two(capabilities(2, offloads)) {
    one.join(two);
    auto made_first = w.run(network::connect(w.context(), one, host(1)));
    auto made_second = w.run(network::connect(w.context(), two, host(2)));
    REQUIRE((made_first && made_first->has_value() && made_second && made_second->has_value()));
    first = std::move(**made_first);
    second = std::move(**made_second);
  }
  world w;
  cable_end one, two;
  std::unique_ptr<network> first, second;
};

inline std::byte byte_at(std::size_t at) {
  return static_cast<std::byte>(at * 2'654'435'761u >> 13);
}

inline task<result<void>> send_pattern(direct_stream& to, std::size_t total, std::size_t piece) {
  std::vector<std::byte> chunk(piece);
  for (std::size_t at = 0; at < total; at += chunk.size()) {
    chunk.resize(std::min(piece, total - at));
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = byte_at(at + i);
    if (auto sent = co_await to.write(chunk, never); !sent) co_return sent;
  }
  co_return to.shutdown();
}

/// How many bytes came until the end, all of them right.
inline task<result<std::size_t>> take_pattern(direct_stream& from, std::size_t piece) {
  std::vector<std::byte> chunk(piece);
  std::size_t at = 0;
  for (;;) {
    auto const count = co_await from.read(chunk, never);
    if (!count) co_return failure(count.error());
    if (*count == 0) co_return at;
    for (std::size_t i = 0; i < *count; ++i, ++at) {
      if (chunk[i] != byte_at(at))
        co_return failure(core_error::invalid_argument, static_cast<std::int64_t>(at));
    }
  }
}

}  // namespace morgana::net::testing
