#include "morgana/sim/address_translator.hpp"

namespace morgana::sim {

namespace {

constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17;

/// RFC 1624, 3: a checksum after 16 bits of what it covers changed; fragments hold no more than that.
void adjust(std::span<std::byte> bytes, std::size_t field, std::uint32_t before, std::uint32_t after) {
  auto sum = (~get16(bytes, field) & 0xffffu) + (~before & 0xffffu) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  put16(bytes, field, ~sum & 0xffffu);
}

/// Where the checksum of the upper layer is, when its header is in this packet; 0: it has none.
std::size_t upper_checksum(std::span<std::byte const> bytes, packet const& at) {
  if (at.protocol == tcp && at.is_first && at.end - at.upper >= 18) return at.upper + 16;
  if (at.protocol == udp && at.is_first && at.end - at.upper >= 8 && get16(bytes, at.upper + 6) != 0) {
    return at.upper + 6;
  }
  return 0;
}

/// Puts another address and port into a packet: `address_at` from the IP header, `port_at` from the upper
/// one.
void replace(std::span<std::byte> bytes, packet const& at, std::size_t address_at, std::size_t port_at,
             std::uint32_t address, std::optional<std::uint16_t> port) {
  auto const upper = upper_checksum(bytes, at);
  auto const put = [&](std::size_t where, std::uint32_t value, bool in_header) {
    auto const before = get16(bytes, where);
    if (in_header) adjust(bytes, at.ip + 10, before, value);
    if (upper != 0) adjust(bytes, upper, before, value);
    put16(bytes, where, value);
  };
  put(at.ip + address_at, address >> 16, true);
  put(at.ip + address_at + 2, address & 0xffff, true);
  if (port) put(at.upper + port_at, *port, false);
}

}  // namespace

bool address_translator::is_over(conversation const& which, mapping const& known, instant now) const {
  return now - known.used > (which.protocol == tcp ? how_.tcp_timeout : how_.udp_timeout);
}

std::optional<std::uint16_t> address_translator::outside_port(conversation const& inside, instant now) {
  auto const known = by_inside_.find(inside);
  if (known != by_inside_.end()) {
    conversation const outside{inside.protocol, how_.address, inside.peer, known->second.port,
                               inside.peer_port};
    if (!is_over(inside, known->second, now)) {
      known->second.used = by_outside_[outside].used = now;
      return known->second.port;
    }
    by_outside_.erase(outside);
    by_inside_.erase(known);
  }
  for (std::uint32_t tries = 0; tries < how_.ports; ++tries) {
    auto const port = static_cast<std::uint16_t>(how_.first_port + next_++ % how_.ports);
    conversation const outside{inside.protocol, how_.address, inside.peer, port, inside.peer_port};
    if (by_outside_.contains(outside)) continue;
    by_inside_[inside] = {how_.address, port, now};
    by_outside_[outside] = {inside.address, inside.port, now};
    return port;
  }
  return std::nullopt;
}

bool address_translator::outgoing(std::span<std::byte> bytes, packet const& at, instant now) {
  auto const source = get32(bytes, at.ip + 12), peer = get32(bytes, at.ip + 16);
  fragment_key const fragment{source, get16(bytes, at.ip + 4), at.protocol};
  if (!at.is_first) {
    if (!fragments_.contains(fragment)) return false;
    replace(bytes, at, 12, 0, how_.address, std::nullopt);
    return true;
  }
  if (at.end - at.upper < 8 || (at.protocol != tcp && at.protocol != udp)) return false;
  auto const port =
      outside_port({at.protocol, source, peer, static_cast<std::uint16_t>(get16(bytes, at.upper)),
                    static_cast<std::uint16_t>(get16(bytes, at.upper + 2))},
                   now);
  if (!port) return false;
  if (at.is_fragment) {
    if (fragments_.size() >= fragments_max) fragments_.clear();
    fragments_[fragment] = how_.address;
  }
  replace(bytes, at, 12, 0, how_.address, port);
  return true;
}

bool address_translator::incoming(std::span<std::byte> bytes, packet const& at, instant now) {
  auto const peer = get32(bytes, at.ip + 12);
  fragment_key const fragment{peer, get16(bytes, at.ip + 4), at.protocol};
  if (!at.is_first) {
    auto const known = fragments_.find(fragment);
    if (known == fragments_.end()) return false;
    replace(bytes, at, 16, 2, known->second, std::nullopt);
    return true;
  }
  if (at.protocol == icmp) return incoming_error(bytes, at, now);
  if (at.end - at.upper < 8 || (at.protocol != tcp && at.protocol != udp)) return false;
  conversation const outside{at.protocol, how_.address, peer,
                             static_cast<std::uint16_t>(get16(bytes, at.upper + 2)),
                             static_cast<std::uint16_t>(get16(bytes, at.upper))};
  auto const known = by_outside_.find(outside);
  if (known == by_outside_.end() || is_over(outside, known->second, now)) return false;
  known->second.used = now;
  by_inside_[{at.protocol, known->second.address, peer, known->second.port, outside.peer_port}].used = now;
  if (at.is_fragment) {
    if (fragments_.size() >= fragments_max) fragments_.clear();
    fragments_[fragment] = known->second.address;
  }
  replace(bytes, at, 16, 2, known->second.address, known->second.port);
  return true;
}

bool address_translator::incoming_error(std::span<std::byte> bytes, packet const& at, instant now) {
  // RFC 5508: an error is about a packet that left here, whose address and port stand in the quotation.
  auto const about = quotation::find(bytes, at);
  if (!about || (about->protocol != tcp && about->protocol != udp)) return false;
  auto const quoted = about->ip, upper = about->upper;
  if (get32(bytes, quoted + 12) != how_.address) return false;
  auto const known = by_outside_.find({about->protocol, how_.address, get32(bytes, quoted + 16),
                                       static_cast<std::uint16_t>(get16(bytes, upper)),
                                       static_cast<std::uint16_t>(get16(bytes, upper + 2))});
  if (known == by_outside_.end() || is_over(known->first, known->second, now)) return false;
  put32(bytes, quoted + 12, known->second.address);
  put16(bytes, quoted + 10, 0);
  put16(bytes, quoted + 10, static_cast<std::uint16_t>(~plain_sum(bytes.subspan(quoted, upper - quoted))));
  put16(bytes, upper, known->second.port);
  put32(bytes, at.ip + 16, known->second.address);
  fix_checksums(bytes, at);
  return true;
}

}  // namespace morgana::sim
