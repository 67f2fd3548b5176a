// Fuzzes neighbour discovery and SLAAC: well-formed messages of any content, one after another, with time between
// them, at a host that makes addresses of what it hears. It stays within its limits and never uses an address twice.
#include <array>
#include <set>
#include <vector>

#include "input.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"

using namespace morgana;
using namespace morgana::net;
using fuzz::require;

namespace {

constexpr std::array<std::uint8_t, 8> kinds{133, 134, 134, 135, 135, 136, 136, 137};

/// One of a few, so that messages concern each other; sometimes any.
ipv6_address address(fuzz::input& in, core const& host) {
  auto const which = in.take();
  ipv6_address made;
  switch (which % 6) {
    case 0: {
      auto const all = host.addresses();
      if (!all.empty() && all[which / 6 % all.size()].address.address.is_v6()) {
        return all[which / 6 % all.size()].address.address.v6();
      }
      return made;
    }
    case 1:
      return made;
    case 2:
      made.bytes = {0xff, 2};
      made.bytes[15] = static_cast<std::uint8_t>(1 + which / 6 % 2);
      return made;
    case 3:
      made.bytes = {0x20, 1, 0xd, 0xb8, 0, 0, 0, static_cast<std::uint8_t>(which / 64)};
      made.bytes[15] = which;
      return made;
    case 4:
      for (auto& one : made.bytes) one = in.take();
      return made;
    default:
      made.bytes = {0xfe, 0x80};
      made.bytes[15] = static_cast<std::uint8_t>(which / 6);
      return made;
  }
}

void put_options(fuzz::input& in, std::vector<std::byte>& message, core const& host) {
  for (int count = in.take() % 5; count > 0; --count) {
    auto const type = std::array<std::uint8_t, 6>{1, 2, 3, 5, 14, 25}[in.take() % 6];
    std::size_t const size = type == 3 ? 32 : type == 25 ? 24 + 16 * (in.take() % 3u) : 8;
    auto const at = message.size();
    message.resize(at + size);
    auto const option = std::span(message).subspan(at);
    wire::store8(option, 0, type);
    // A length that is wrong now and then.
    wire::store8(option, 1, in.take() % 32 == 0 ? in.take() : static_cast<std::uint8_t>(size / 8));
    if (type == 3) {
      wire::store8(option, 2, in.take() % 4 == 0 ? in.take() : std::uint8_t{64});
      wire::store8(option, 3, in.take());
      wire::store32(option, 4, in.take() % 4 == 0 ? 0xffff'ffff : in.take16());
      wire::store32(option, 8, in.take() % 4 == 0 ? 0xffff'ffff : in.take16());
      wire::store_array(option, 16, address(in, host).bytes);
    } else {
      for (std::size_t i = 2; i < std::min<std::size_t>(size, 8); ++i) wire::store8(option, i, in.take());
      if (type == 25) wire::store_array(option, 8, address(in, host).bytes);
    }
  }
}

void drain(core& host, instant now) {
  std::array<segment, 8> out;
  for (int i = 0; i < 200; ++i) {
    auto const count = host.poll_transmit(out, now);
    for (auto& one : std::span(out).first(count)) one.clear();
    if (count == 0) break;
    require(i < 199);
  }
  for (int i = 0; host.poll_event(); ++i) require(i < 200);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* bytes, std::size_t size) {
  fuzz::input in{{bytes, size}};
  buffer_pool pool(2'048, 1u << 20);
  {
    core_configuration with;
    auto const choice = in.take();
    with.device.address = {{2, 0, 0, 0, 0, 1}};
    with.optimistic = (choice & 1) != 0;
    with.temporary_addresses = (choice & 2) != 0;
    with.limits.addresses = 6;
    with.limits.neighbors = 8;
    with.limits.neighbors_incomplete = 4;
    std::array<std::byte, 32> secret{};
    instant now{};
    core host(with, keyed_secrets::derive(secret), pool, now);
    drain(host, now);
    for (int steps = 0; !in.empty() && steps < 200; ++steps) {
      auto const what = in.take();
      if (what % 8 == 0) {
        now += what % 16 == 0 ? duration(std::chrono::seconds(in.take16())) : duration(std::chrono::milliseconds(in.take16()));
        for (int i = 0; host.next_deadline() <= now; ++i) {
          require(i < 5'000);
          host.on_deadline(now);
          drain(host, now);
        }
      } else {
        auto const type = kinds[what % kinds.size()];
        auto const source = address(in, host);
        auto const destination = address(in, host);
        std::vector<std::byte> message(type == 133 ? 8 : type == 134 ? 16 : type == 137 ? 40 : 24);
        wire::store8(message, 0, type);
        for (std::size_t i = 4; i < std::min<std::size_t>(message.size(), 8); ++i) wire::store8(message, i, in.take());
        if (type >= 135) wire::store_array(message, 8, address(in, host).bytes);
        put_options(in, message, host);
        wire::checksum sum;
        sum.add_pseudo_header(source, destination, 58, static_cast<std::uint32_t>(message.size()));
        sum.add(message);
        wire::store16(message, 2, sum.finish());
        wire::ipv6_header ip;
        ip.source = source;
        ip.destination = destination;
        ip.next_header = wire::protocol::icmp_v6;
        ip.hop_limit = in.take() % 16 == 0 ? 64 : 255;
        ip.payload_bytes = static_cast<std::uint16_t>(message.size());
        wire::ethernet_header link;
        bool const to_group = ip_address(destination).is_multicast();
        link.destination = to_group ? wire::multicast_mac(destination) : with.device.address;
        link.source = {{2, 0, 0, 0, 0, in.take()}};
        link.type = wire::ether_type::ipv6;
        auto part = pool.take_slice(14 + 40 + message.size());
        if (part.size() == 0) continue;
        auto const into = part.writable();
        link.emit(into);
        ip.emit(into.subspan(14));
        std::ranges::copy(message, into.begin() + 54);
        segment frame;
        require(frame.append(std::move(part)));
        host.input(std::span(&frame, 1), now);
        (void)host.path_to(address(in, host), now);
      }
      drain(host, now);
      auto const all = host.addresses();
      require(all.size() <= with.limits.addresses);
      std::set<ip_address> seen;
      for (auto const& one : all) require(seen.insert(one.address.address).second);
    }
  }
  require(pool.used_buffers() == 0);
  return 0;
}
