// Fuzzes reassembly against a model that has all the memory and none of the cleverness: a map of bytes per
// datagram. They agree on what is whole, on what an overlap spoils, and nothing is kept beyond the limits.
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "input.hpp"
#include "runtime/net/ip/reassembly.hpp"

using namespace morgana;
using namespace morgana::net;
using fuzz::require;
using host::reassembly;

namespace {

constexpr std::size_t header_bytes = 20;
constexpr std::uint32_t unit = 8;
/// Enough of everything that only the rules decide.
network_limits const ample = [] {
  network_limits made;
  made.reassembly_bytes = 4u << 20;
  made.reassembly_fragments = 10'000;
  return made;
}();
network_limits const scarce = [] {
  network_limits made;
  made.reassembly_bytes = 4'096;
  made.reassembly_datagrams = 3;
  made.reassembly_fragments = 5;
  return made;
}();

struct datagram {
  struct piece {
    std::uint32_t size;
    bool more;
  };
  std::map<std::uint32_t, piece> pieces;
  bool spoiled = false;
  instant until{};

  /// Whether it is whole now.
  bool add(std::uint32_t offset, std::uint32_t size, bool more) {
    if (spoiled) return false;
    auto const same = pieces.find(offset);
    if (same != pieces.end() && same->second.size == size && same->second.more == more) return false;
    if (size == 0 && (more || offset == 0)) spoiled = true;
    auto const end = offset + size;
    if (end + header_bytes > 65'535) spoiled = true;
    for (auto const& [begin, one] : pieces) {
      spoiled = spoiled || (begin < end && offset < begin + one.size);
      // Nothing lies behind the last, and there is one last.
      spoiled = spoiled || (!one.more && (end > begin + one.size || (!more && end != begin + one.size)));
      spoiled = spoiled || (!more && begin + one.size > end);
    }
    if (spoiled) return false;
    pieces[offset] = {size, more};
    std::uint32_t at = 0;
    for (auto const& [begin, one] : pieces) {
      if (begin != at) return false;
      at = begin + one.size;
      if (!one.more) return true;
    }
    return false;
  }
};

std::byte content(std::uint32_t offset, std::uint32_t identification) {
  return static_cast<std::byte>(offset * 7 + identification * 31 + (offset >> 8));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* bytes, std::size_t size) {
  fuzz::input in{{bytes, size}};
  bool const compare = in.take() % 4 != 0;
  auto const& limits = compare ? ample : scarce;
  buffer_pool pool(2'048, 4u << 20);
  {
    reassembly under(limits, pool);
    std::map<std::uint32_t, datagram> model;
    instant now{};
    for (int steps = 0; !in.empty() && steps < 400; ++steps) {
      auto const what = in.take();
      if (what % 16 == 0) {
        now += std::chrono::milliseconds(in.take16());
        while (under.poll_expired(now)) {
        }
        std::erase_if(model, [&](auto const& one) { return one.second.until <= now; });
        continue;
      }
      std::uint32_t const identification = what >> 4 & 3;
      auto const offset = std::uint32_t{in.take()} * unit * (what % 16 == 1 ? 40 : 1);
      bool const more = what % 2 == 0;
      auto const payload = more ? std::uint32_t{in.take()} % 64 * unit : std::uint32_t{in.take()} * 4;
      auto memory = pool.take_slice(header_bytes + payload);
      if (memory.size() == 0) continue;
      auto const into = memory.writable();
      std::ranges::fill(into.first(header_bytes), std::byte{0x45});
      for (std::uint32_t i = 0; i < payload; ++i) into[header_bytes + i] = content(offset + i, identification);
      segment packet;
      require(packet.append(std::move(memory)));
      host::fragment_key const key{ipv4_address{{10, 0, 0, 1}}, ipv4_address{{10, 0, 0, 2}}, identification, 17};
      auto const outcome = under.add(key, offset, more, header_bytes, packet, now);
      require(under.bytes() <= limits.reassembly_bytes && under.datagrams() <= limits.reassembly_datagrams);
      bool const is_whole = outcome == reassembly::outcome::complete;
      if (is_whole) {
        require(packet.size() > header_bytes);
        for (std::size_t i = header_bytes; i < packet.size(); ++i) {
          std::array<std::byte, 1> one;
          require(packet.copy_out(i, one) && one[0] == content(static_cast<std::uint32_t>(i - header_bytes), identification));
        }
      }
      if (!compare) continue;
      auto& expected = model[identification];
      if (expected.until == instant{}) expected.until = now + limits.reassembly_timeout;
      require(expected.add(offset, payload, more) == is_whole);
      require(expected.spoiled == (outcome == reassembly::outcome::dropped));
      if (is_whole) model.erase(identification);
    }
  }
  require(pool.used_buffers() == 0);
  return 0;
}
