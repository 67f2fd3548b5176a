#include "morgana/net/frame_text.hpp"

#include <algorithm>

#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/udp.hpp"

namespace morgana::net {

namespace {

/// Ethernet with a tag, IPv6 with as many extension headers as are allowed, TCP with all its options.
constexpr std::size_t looked_at_max = 18 + 40 + wire::extension_bytes_max + 60;

/// Bytes in the order of a hash that need not be hard to guess: a collision costs a number's base.
std::size_t mix(endpoint const& one, std::size_t hash) {
  auto const add = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x0100'0193u; };
  if (one.address.is_v6()) {
    for (auto const byte : one.address.v6().bytes) add(byte);
  } else {
    for (auto const byte : one.address.v4().bytes) add(byte);
  }
  add(static_cast<std::uint8_t>(one.port >> 8));
  add(static_cast<std::uint8_t>(one.port));
  return hash;
}

void write_wrong(text_writer& out, std::string_view what, wire::parse_error why) {
  out.append("{}: malformed ({})", what, wire::to_string(why));
}

void write_arp(text_writer& out, std::span<std::byte const> bytes) {
  auto const arp = wire::arp_packet::parse(bytes);
  if (!arp) return write_wrong(out, "ARP", arp.error());
  if (arp->operation == wire::arp_operation::reply) {
    out.append("ARP, {} is at {}", arp->sender, arp->sender_mac);
  } else if (arp->is_announcement()) {
    out.append("ARP, announcement of {} at {}", arp->sender, arp->sender_mac);
  } else if (arp->is_probe()) {
    out.append("ARP, who has {} (probe)", arp->target);
  } else {
    out.append("ARP, who has {} tell {}", arp->target, arp->sender);
  }
}

void write_icmp(text_writer& out, std::span<std::byte const> bytes, std::size_t available, bool is_v6) {
  auto const icmp = wire::icmp_header::parse(bytes);
  if (!icmp) return write_wrong(out, "ICMP", icmp.error());
  auto const is = [&](wire::icmp_v4_type v4, wire::icmp_v6_type v6) {
    return icmp->type == (is_v6 ? static_cast<std::uint8_t>(v6) : static_cast<std::uint8_t>(v4));
  };
  out.put(is_v6 ? "ICMP6" : "ICMP");
  if (is(wire::icmp_v4_type::echo_request, wire::icmp_v6_type::echo_request)) {
    out.append(" echo request, id {}, seq {}", icmp->identifier(), icmp->sequence());
  } else if (is(wire::icmp_v4_type::echo_reply, wire::icmp_v6_type::echo_reply)) {
    out.append(" echo reply, id {}, seq {}", icmp->identifier(), icmp->sequence());
  } else if (is(wire::icmp_v4_type::destination_unreachable, wire::icmp_v6_type::destination_unreachable)) {
    out.append(" unreachable, code {}", icmp->code);
  } else if (is(wire::icmp_v4_type::time_exceeded, wire::icmp_v6_type::time_exceeded)) {
    out.append(" time exceeded, code {}", icmp->code);
  } else if (is_v6 && icmp->type == static_cast<std::uint8_t>(wire::icmp_v6_type::packet_too_big)) {
    out.append(" packet too big, mtu {}", icmp->rest);
  } else if (is_v6 && icmp->type == static_cast<std::uint8_t>(wire::icmp_v6_type::neighbor_solicitation)) {
    out.put(" neighbor solicitation");
  } else if (is_v6 && icmp->type == static_cast<std::uint8_t>(wire::icmp_v6_type::neighbor_advertisement)) {
    out.put(" neighbor advertisement");
  } else if (is_v6 && icmp->type == static_cast<std::uint8_t>(wire::icmp_v6_type::router_solicitation)) {
    out.put(" router solicitation");
  } else if (is_v6 && icmp->type == static_cast<std::uint8_t>(wire::icmp_v6_type::router_advertisement)) {
    out.put(" router advertisement");
  } else {
    out.append(" type {}, code {}", icmp->type, icmp->code);
  }
  out.append(", length {}", available);
}

void write_options(text_writer& out, wire::tcp_options const& all) {
  std::string_view before = ", options [";
  auto const next = [&] {
    out.put(before);
    before = ",";
  };
  if (all.maximum_segment_size) {
    next();
    out.append("mss {}", *all.maximum_segment_size);
  }
  if (all.sack_permitted) {
    next();
    out.put("sackOK");
  }
  if (all.timestamps) {
    next();
    out.append("TS val {} ecr {}", all.timestamps->value, all.timestamps->echo);
  }
  if (all.window_scale) {
    next();
    out.append("wscale {}", *all.window_scale);
  }
  if (before == ",") out.put(']');
}

}  // namespace

frame_text::flow& frame_text::place_of(endpoint const& from, endpoint const& to) {
  constexpr std::size_t basis = 0x811c'9dc5u;
  return flows_[(mix(from, basis) + mix(to, basis)) % flows_max];
}

void frame_text::remember(endpoint const& from, endpoint const& to, wire::sequence initial) {
  auto& known = place_of(from, to);
  auto const is_first = known.ends[0] == from && known.ends[1] == to;
  if (!is_first && !(known.ends[0] == to && known.ends[1] == from)) {
    known = {{from, to}, {initial, std::nullopt}};
    return;
  }
  known.initial[is_first ? 0 : 1] = initial;
}

std::optional<wire::sequence> frame_text::initial_of(side which, endpoint const& from, endpoint const& to) {
  auto const& known = place_of(from, to);
  auto const is_first = known.ends[0] == from && known.ends[1] == to;
  if (!is_first && !(known.ends[0] == to && known.ends[1] == from)) return std::nullopt;
  return known.initial[is_first == (which == side::sender) ? 0 : 1];
}

void frame_text::write_tcp(text_writer& out, ip_address const& from, ip_address const& to,
                           std::span<std::byte const> bytes, std::size_t available) {
  auto const tcp = wire::tcp_header::parse(bytes, available);
  if (!tcp) {
    out.append("{} > {}: ", from, to);
    return write_wrong(out, "TCP", tcp.error());
  }
  endpoint const source{from, tcp->source_port}, destination{to, tcp->destination_port};
  out.append("{}.{} > {}.{}: Flags [", from, source.port, to, destination.port);
  constexpr std::pair<std::uint8_t, char> letters[] = {
      {wire::tcp_fin, 'F'}, {wire::tcp_syn, 'S'}, {wire::tcp_rst, 'R'}, {wire::tcp_psh, 'P'},
      {wire::tcp_ack, '.'}, {wire::tcp_urg, 'U'}, {wire::tcp_ece, 'E'}, {wire::tcp_cwr, 'W'}};
  for (auto const& [flag, letter] : letters) {
    if (tcp->has(flag)) out.put(letter);
  }
  out.put(']');
  auto const length = static_cast<std::uint32_t>(available - tcp->header_bytes);
  if (tcp->has(wire::tcp_syn)) remember(source, destination, tcp->sequence);
  auto const ours = initial_of(side::sender, source, destination);
  auto const theirs = initial_of(side::receiver, source, destination);
  // A SYN's own number as it is, what follows from it.
  auto const relative = ours && !tcp->has(wire::tcp_syn);
  auto const first = relative ? static_cast<std::uint32_t>(tcp->sequence - *ours) : tcp->sequence.value;
  if (length != 0 || (tcp->flags & (wire::tcp_syn | wire::tcp_fin | wire::tcp_rst)) != 0) {
    out.append(", seq {}", first);
    if (length != 0) out.append(":{}", first + length);
  }
  if (tcp->has(wire::tcp_ack)) {
    out.append(", ack {}", theirs ? static_cast<std::uint32_t>(tcp->acknowledgment - *theirs)
                                  : tcp->acknowledgment.value);
  }
  out.append(", win {}", tcp->window);
  write_options(out, tcp->options);
  for (std::size_t i = 0; i < tcp->options.sack_count; ++i) {
    auto const& block = tcp->options.sack[i];
    auto const base = theirs ? *theirs : wire::sequence{};
    out.append(", sack {}:{}", static_cast<std::uint32_t>(block.left - base),
               static_cast<std::uint32_t>(block.right - base));
  }
  out.append(", length {}", length);
}

void frame_text::write_upper(text_writer& out, ip_address const& from, ip_address const& to,
                             wire::protocol protocol, std::span<std::byte const> bytes,
                             std::size_t available) {
  switch (protocol) {
    case wire::protocol::tcp:
      return write_tcp(out, from, to, bytes, available);
    case wire::protocol::udp: {
      auto const udp = wire::udp_header::parse(bytes, available);
      if (udp) {
        out.append("{}.{} > {}.{}: UDP, length {}", from, udp->source_port, to, udp->destination_port,
                   udp->total_bytes - wire::udp_header::size_bytes);
      } else {
        out.append("{} > {}: ", from, to);
        write_wrong(out, "UDP", udp.error());
      }
      return;
    }
    case wire::protocol::icmp_v4:
    case wire::protocol::icmp_v6:
      out.append("{} > {}: ", from, to);
      return write_icmp(out, bytes, available, from.is_v6());
    default:
      out.append("{} > {}: protocol {}, length {}", from, to, static_cast<std::uint8_t>(protocol), available);
  }
}

void frame_text::write_ipv4(text_writer& out, std::span<std::byte const> packet, std::size_t available) {
  auto const ip = wire::ipv4_header::parse(packet, available);
  if (!ip) return write_wrong(out, "IP", ip.error());
  auto const body = packet.subspan(ip->header_bytes);
  if (ip->fragment_offset_bytes != 0) {
    out.append("{} > {}: fragment of {} at {}, length {}", ip->source, ip->destination, ip->identification,
               ip->fragment_offset_bytes, ip->payload_bytes());
    return;
  }
  write_upper(out, ip->source, ip->destination, ip->protocol, body, ip->payload_bytes());
  if (ip->more_fragments) out.append(" (first fragment of {})", ip->identification);
}

void frame_text::write_ipv6(text_writer& out, std::span<std::byte const> packet, std::size_t available) {
  auto const ip = wire::ipv6_header::parse(packet, available);
  if (!ip) return write_wrong(out, "IP6", ip.error());
  auto const body = packet.subspan(wire::ipv6_header::size_bytes);
  auto const walked = wire::parse_extensions(ip->next_header, body, false);
  if (!walked) return write_wrong(out, "IP6", walked.error());
  if (walked->bytes > body.size() || walked->bytes > ip->payload_bytes) {
    return write_wrong(out, "IP6", wire::parse_error::too_short);
  }
  auto const left = ip->payload_bytes - walked->bytes;
  if (walked->fragment && walked->fragment->offset_bytes != 0) {
    out.append("{} > {}: fragment of {} at {}, length {}", ip->source, ip->destination,
               walked->fragment->identification, walked->fragment->offset_bytes, left);
    return;
  }
  write_upper(out, ip->source, ip->destination, walked->upper, body.subspan(walked->bytes), left);
  if (walked->fragment && walked->fragment->more_fragments) {
    out.append(" (first fragment of {})", walked->fragment->identification);
  }
}

void frame_text::write(text_writer& out, segment const& frame) {
  std::array<std::byte, looked_at_max> copy;
  auto const bytes = std::span(copy).first(std::min(copy.size(), frame.size()));
  if (!frame.copy_out(0, bytes)) return out.put("no frame");
  auto const ethernet = wire::ethernet_header::parse(bytes);
  if (!ethernet) return write_wrong(out, "Ethernet", ethernet.error());
  auto const head = std::size_t{ethernet->encoded_bytes()};
  if (head > bytes.size()) return write_wrong(out, "Ethernet", wire::parse_error::too_short);
  if (ethernet->vlan) out.append("vlan {}, ", *ethernet->vlan);
  auto const packet = bytes.subspan(head);
  auto const available = frame.size() - head;
  switch (ethernet->type) {
    case wire::ether_type::ipv4:
      write_ipv4(out, packet, available);
      break;
    case wire::ether_type::ipv6:
      write_ipv6(out, packet, available);
      break;
    case wire::ether_type::arp:
      write_arp(out, packet);
      break;
    default:
      out.append("{} > {}: type 0x{x}, length {}", ethernet->source, ethernet->destination,
                 static_cast<std::uint16_t>(ethernet->type), available);
  }
  if (frame.gso_kind != segmentation::none) out.append(" (super-packet of {})", frame.gso_size);
}

}  // namespace morgana::net
