#include "router_advertisement.hpp"

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::wire {
namespace {
constexpr std::size_t fixed_bytes = 16;
duration seconds(std::uint32_t value) {
  return value == 0xffff'ffffu ? duration::max() : duration(std::chrono::seconds(value));
}
}  // namespace

std::optional<discovery_options::option> discovery_options::next() {
  if (rest_.empty()) return std::nullopt;
  if (rest_.size() < 8) {
    malformed_ = true;
    return std::nullopt;
  }
  auto const length = std::size_t{load8(rest_, 1)} * 8;
  if (length == 0 || length > rest_.size()) {
    malformed_ = true;
    return std::nullopt;
  }
  option const found{load8(rest_, 0), rest_.first(length)};
  rest_ = rest_.subspan(length);
  return found;
}

parsed<router_advertisement> router_advertisement::parse(std::span<std::byte const> message) {
  if (message.size() < fixed_bytes) return std::unexpected(parse_error::too_short);
  router_advertisement read;
  read.hop_limit = load8(message, 4);
  read.managed = (load8(message, 5) & 0x80) != 0;
  read.other = (load8(message, 5) & 0x40) != 0;
  read.router_lifetime = std::chrono::seconds(load16(message, 6));
  read.reachable = std::chrono::milliseconds(load32(message, 8));
  read.retransmit = std::chrono::milliseconds(load32(message, 12));
  discovery_options options(message.subspan(fixed_bytes));
  while (auto const one = options.next()) {
    auto const bytes = one->bytes;
    if (one->type == option_source_link_address) {
      read.link_address = mac_address{load_array<6>(bytes, 2)};
    } else if (one->type == option_mtu) {
      read.mtu_bytes = load32(bytes, 4);
    } else if (one->type == option_prefix_information && bytes.size() >= 32 && read.prefix_count < prefixes_max) {
      auto const bits = load8(bytes, 2);
      if (bits > 128) continue;
      read.prefixes[read.prefix_count++] = {{ipv6_address{load_array<16>(bytes, 16)}, bits},
                                            (load8(bytes, 3) & 0x80) != 0,
                                            (load8(bytes, 3) & 0x40) != 0,
                                            seconds(load32(bytes, 4)),
                                            seconds(load32(bytes, 8))};
    } else if (one->type == option_recursive_dns && bytes.size() >= 24) {
      read.name_servers_lifetime = seconds(load32(bytes, 4));
      for (std::size_t at = 8; at + 16 <= bytes.size() && read.name_server_count < name_servers_max; at += 16) {
        read.name_servers[read.name_server_count++] = ipv6_address{load_array<16>(bytes, at)};
      }
    }
  }
  if (options.is_malformed()) return std::unexpected(parse_error::wrong_option);
  return read;
}

}  // namespace morgana::net::wire
