// Fuzzes a whole host: any frames, with time between them. Each record of the input is a command byte, a length
// and that many bytes; what the host sends and says is fetched after each. Ends with all buffers back.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "morgana/net/core.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ip.hpp"

using namespace morgana;
using namespace morgana::net;

namespace {

void drain(core& host, instant now) {
  std::array<segment, 8> out;
  for (int i = 0; i < 1000; ++i) {
    auto const count = host.poll_transmit(out, now);
    if (count == 0) break;
    for (auto& frame : std::span(out).first(count)) {
      if (frame.size() < 14 || frame.size() > 14 + 65'535) std::abort();
      frame.clear();
    }
    if (i == 999) std::abort();   // it feeds itself
  }
  std::array<std::byte, 256> into;
  for (int i = 0; i < 1000; ++i) {
    auto const event = host.poll_event();
    if (!event) return;
    if (event->port != nullptr) {
      while (true) {
        auto const got = event->port->receive(into);
        if (got && !*got) break;
      }
    }
    if (event->listener != nullptr) {
      while (auto* const made = event->listener->accept()) made->release(now);
    }
  }
  std::abort();
}

/// Makes a frame's checksums right, so that the fuzzer need not guess them.
void repair(std::span<std::byte> frame) {
  if (frame.size() < 34 || wire::load16(frame, 12) != 0x0800) return;
  auto const packet = frame.subspan(14);
  auto const header = static_cast<std::size_t>(wire::load8(packet, 0) & 15) * 4;
  if (header < 20 || header > packet.size()) return;
  wire::store16(packet, 10, 0);
  wire::checksum sum;
  sum.add(packet.first(header));
  wire::store16(packet, 10, sum.finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  buffer_pool pool(2048, 4u << 20);
  {
    std::array<std::byte, 32> secret{};
    core_configuration configuration;
    configuration.device.address = {{2, 0, 0, 0, 0, 1}};
    configuration.addresses = {*cidr::parse("10.0.0.1/24"), *cidr::parse("2001:db8::1/64")};
    configuration.routes = {{*cidr::parse("0.0.0.0/0"), ip_address::parse("10.0.0.9")}};
    configuration.temporary_addresses = true;
    configuration.detect_conflicts = size != 0 && (data[0] & 1) != 0;
    instant now{};
    core host(configuration, keyed_secrets::derive(secret), pool, now);
    auto* const port = host.bind({ip_address(ipv6_address{}), 7}).value();
    (void)host.tcp().listen({.port = 80});
    (void)host.join_group(*ip_address::parse("239.1.2.3"), now);
    drain(host, now);
    auto input = std::as_bytes(std::span(data, size));
    while (input.size() >= 3) {
      auto const command = static_cast<std::uint8_t>(input[0]);
      auto const length = std::min<std::size_t>(wire::load16(input, 1) % 1600, input.size() - 3);
      auto const record = input.subspan(3, length);
      input = input.subspan(3 + length);
      if ((command & 3) == 0) {
        now += std::chrono::milliseconds(length * 20);
        for (int i = 0; i < 10'000 && host.next_deadline() <= now; ++i) {
          if (i == 9'999) std::abort();   // a deadline that never passes
          host.on_deadline(now);
        }
      } else if ((command & 3) == 1) {
        if (record.size() > 4) (void)port->send(record, {ip_address(ipv4_address{{10, 0, 0, static_cast<std::uint8_t>(record[0])}}), 53}, now);
        (void)host.ping(*ip_address::parse("2001:db8::2"), 1, 1, length, now);
      } else {
        segment frame;
        auto part = pool.take_slice(record.size());
        std::ranges::copy(record, part.writable().begin());
        if ((command & 4) != 0) repair(part.writable());
        // The same bytes however they are cut.
        auto const cut = command & 8 ? record.size() / 2 : record.size();
        (void)frame.append(part.part(0, cut));
        (void)frame.append(part.part(cut, record.size() - cut));
        frame.checksum = (command & 16) != 0 ? checksum_state::valid : checksum_state::unchecked;
        part = {};
        host.input(std::span(&frame, 1), now);
      }
      drain(host, now);
      (void)host.counters();
    }
  }
  if (pool.used_buffers() != 0) std::abort();
  return 0;
}
