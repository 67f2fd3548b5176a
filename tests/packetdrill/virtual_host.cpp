#include "virtual_host.hpp"

#include <algorithm>
#include <array>

#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"

namespace morgana::packetdrill {

using namespace net;

namespace {

constexpr mac_address our_mac{{2, 0, 0, 0, 0, 1}};
constexpr mac_address their_mac{{2, 0, 0, 0, 0, 2}};

core_configuration configure(system_settings const& settings) {
  core_configuration made;
  made.device.address = our_mac;
  made.device.mtu_bytes = settings.mtu_bytes;
  made.device.transmit_checksum = made.device.receive_checksum = true;
  made.device.segmentation_tcp_v4 = made.device.segmentation_tcp_v6 = true;
  // Everybody is on one link, so that no router has to be invented.
  made.addresses = {cidr{*ip_address::parse(settings.local_v4), 24},
                    cidr{*ip_address::parse(settings.local_v6), 64}};
  made.routes = {route{*cidr::parse("0.0.0.0/0"), {}}, route{*cidr::parse("::/0"), {}}};
  made.router_advertisements = false;
  made.detect_conflicts = false;
  // As tcp_rmem and tcp_wmem have it: what they say is the window scale.
  made.limits.receive_buffer_bytes =
      static_cast<std::uint32_t>(settings.sysctl("tcp_rmem", 15 * 1024 * 1024, 2));
  made.limits.send_buffer_bytes = static_cast<std::uint32_t>(settings.sysctl("tcp_wmem", 4'194'304, 2));
  made.limits.syn_retries = static_cast<std::uint32_t>(settings.sysctl("tcp_syn_retries", 5));
  return made;
}

keyed_secrets secrets() {
  std::array<std::byte, 32> secret{};
  secret[0] = std::byte{1};
  return keyed_secrets::derive(secret);
}

}  // namespace

virtual_host::virtual_host(system_settings& settings)
    : settings_(settings), core_(std::make_unique<net::core>(configure(settings), secrets(), pool_, now_)) {
  pump();
}

virtual_host::~virtual_host() = default;

bool virtual_host::has_address(ip_address const& address) const {
  return std::ranges::any_of(core_->addresses(),
                             [&](auto const& one) { return one.address.address == address; });
}

void virtual_host::add_address(ip_address const& address) {
  (void)core_->add_address(cidr{address, static_cast<std::uint8_t>(address.is_v6() ? 64 : 24)}, now_);
  pump();
}

bool virtual_host::advance(instant when) {
  auto const next = core_->next_deadline();
  now_ = std::max(now_, std::min(when, next));
  if (next > when) return false;
  core_->on_deadline(now_);
  pump();
  return true;
}

void virtual_host::deliver(std::span<std::byte const> head, std::span<std::byte const> body) {
  segment frame;
  frame.checksum = checksum_state::unchecked;
  for (auto part : {head, body}) {
    while (!part.empty()) {
      auto const size = std::min(part.size(), pool_.buffer_bytes());
      auto piece = pool_.take_slice(size);
      std::ranges::copy(part.first(size), piece.writable().begin());
      if (!frame.append(std::move(piece))) return;
      part = part.subspan(size);
    }
  }
  // What a device that merges would say of a datagram larger than its packets.
  constexpr std::size_t headers_max = 120;
  if (settings_.received_segment_bytes != 0 && body.size() > settings_.received_segment_bytes + headers_max) {
    frame.gso_size = static_cast<std::uint16_t>(settings_.received_segment_bytes);
    frame.gso_kind =
        static_cast<std::uint8_t>(body[0]) >> 4 == 6 ? segmentation::tcp_v6 : segmentation::tcp_v4;
  }
  core_->input(std::span(&frame, 1), now_);
}

void virtual_host::receive(std::span<std::byte const> datagram) {
  if (datagram.empty()) return;
  wire::ethernet_header header;
  header.destination = our_mac;
  header.source = their_mac;
  header.type =
      static_cast<std::uint8_t>(datagram[0]) >> 4 == 6 ? wire::ether_type::ipv6 : wire::ether_type::ipv4;
  std::array<std::byte, wire::ethernet_header::size_bytes> head;
  header.emit(head);
  deliver(head, datagram);
  pump();
}

/// Everybody asked for on the link is at one address; a question is not a datagram that scripts know.
bool virtual_host::answer_neighbor(std::span<std::byte const> frame) {
  auto const header = wire::ethernet_header::parse(frame);
  if (!header) return true;
  auto const payload = frame.subspan(wire::ethernet_header::size_bytes);
  std::array<std::byte, wire::ethernet_header::size_bytes> head;
  wire::ethernet_header back{our_mac, their_mac, header->type, {}};
  back.emit(head);
  if (header->type == wire::ether_type::arp) {
    auto const asked = wire::arp_packet::parse(payload);
    if (!asked || asked->operation != wire::arp_operation::request || asked->is_announcement()) return true;
    wire::arp_packet const reply{wire::arp_operation::reply, their_mac, asked->target, our_mac,
                                 asked->sender};
    std::array<std::byte, wire::arp_packet::size_bytes> bytes;
    reply.emit(bytes);
    deliver(head, bytes);
    return true;
  }
  if (header->type != wire::ether_type::ipv6) return false;
  auto const ip = wire::ipv6_header::parse(payload, payload.size());
  constexpr std::size_t target_at = wire::ipv6_header::size_bytes + wire::icmp_header::size_bytes;
  if (!ip) return true;
  if (ip->next_header == wire::protocol::hop_by_hop) return true;  // a listener report
  if (ip->next_header != wire::protocol::icmp_v6 || payload.size() < target_at + 16) return false;
  auto const type = wire::load8(payload, wire::ipv6_header::size_bytes);
  if (type != static_cast<std::uint8_t>(wire::icmp_v6_type::neighbor_solicitation)) {
    return type >= static_cast<std::uint8_t>(wire::icmp_v6_type::listener_query);
  }
  // RFC 4861 4.4: flags solicited and override, the target, and its link address.
  ipv6_address const target{wire::load_array<16>(payload, target_at)};
  std::array<std::byte, wire::ipv6_header::size_bytes + 32> bytes{};
  wire::ipv6_header reply;
  reply.source = target;
  reply.destination = ip->source;
  reply.next_header = wire::protocol::icmp_v6;
  reply.hop_limit = 255;
  reply.payload_bytes = 32;
  reply.emit(bytes);
  auto const message = std::span(bytes).subspan(wire::ipv6_header::size_bytes);
  wire::store8(message, 0, static_cast<std::uint8_t>(wire::icmp_v6_type::neighbor_advertisement));
  wire::store32(message, 4, 0x6000'0000u);
  wire::store_array(message, 8, target.bytes);
  wire::store8(message, 24, 2);
  wire::store8(message, 25, 1);
  wire::store_array(message, 26, their_mac.bytes);
  wire::checksum sum;
  sum.add_pseudo_header(target, ip->source, static_cast<std::uint8_t>(wire::protocol::icmp_v6), 32);
  sum.add(message);
  wire::store16(message, 2, sum.finish());
  deliver(head, bytes);
  return true;
}

void virtual_host::leaves(segment const& frame) {
  std::vector<std::byte> bytes(frame.size());
  if (!frame.copy_out(0, bytes) || answer_neighbor(bytes)) return;
  if (frame.checksum == checksum_state::partial) {
    auto const from = std::span(bytes).subspan(frame.checksum_start);
    wire::checksum sum;
    sum.add(from);
    wire::store16(from, frame.checksum_offset, sum.finish());
  }
  bytes.erase(bytes.begin(), bytes.begin() + wire::ethernet_header::size_bytes);
  if (frame.gso_size != 0 && !settings_.cuts_super_segments) return cut(bytes, frame.gso_size);
  sent.push_back({std::move(bytes), now_});
}

/// A device that does not cut super-segments has them cut before it: PSH and FIN stay with the last.
void virtual_host::cut(std::span<std::byte const> datagram, std::uint16_t part_bytes) {
  bool const is_v6 = static_cast<std::uint8_t>(datagram[0]) >> 4 == 6;
  auto const ip_bytes = is_v6 ? wire::ipv6_header::size_bytes : wire::ipv4_header::size_bytes;
  auto const header_bytes = ip_bytes + (wire::load8(datagram, ip_bytes + 12) >> 4) * 4u;
  auto const sequence = wire::load32(datagram, ip_bytes + 4);
  for (auto at = header_bytes; at < datagram.size(); at += part_bytes) {
    auto const size = std::min<std::size_t>(part_bytes, datagram.size() - at);
    std::vector<std::byte> one(datagram.begin(),
                               datagram.begin() + static_cast<std::ptrdiff_t>(header_bytes));
    one.insert(one.end(), datagram.begin() + static_cast<std::ptrdiff_t>(at),
               datagram.begin() + static_cast<std::ptrdiff_t>(at + size));
    auto const upper = std::span(one).subspan(ip_bytes);
    ip_address source, destination;
    if (is_v6) {
      auto header = *wire::ipv6_header::parse(datagram, datagram.size());
      header.payload_bytes = static_cast<std::uint16_t>(upper.size());
      header.emit(one);
      source = header.source;
      destination = header.destination;
    } else {
      auto header = *wire::ipv4_header::parse(datagram, datagram.size());
      header.total_bytes = static_cast<std::uint16_t>(one.size());
      header.emit(one);
      source = header.source;
      destination = header.destination;
    }
    wire::store32(upper, 4, sequence + static_cast<std::uint32_t>(at - header_bytes));
    constexpr std::uint8_t only_last = 0x09;
    if (at + size < datagram.size()) {
      wire::store8(upper, 13, static_cast<std::uint8_t>(wire::load8(upper, 13) & ~only_last));
    }
    wire::store16(upper, 16, 0);
    wire::checksum sum;
    sum.add_pseudo_header(source, destination, static_cast<std::uint8_t>(wire::protocol::tcp),
                          static_cast<std::uint32_t>(upper.size()));
    sum.add(upper);
    wire::store16(upper, 16, sum.finish());
    sent.push_back({std::move(one), now_});
  }
}

void virtual_host::pump() {
  if (settings_.mtu_bytes != mtu_bytes_) {
    mtu_bytes_ = settings_.mtu_bytes;
    core_->set_device_mtu(mtu_bytes_);
  }
  std::array<segment, 4> out;
  while (!settings_.link_takes_nothing) {
    auto const count = core_->poll_transmit(out, now_);
    if (count == 0) break;
    for (auto& one : std::span(out).first(count)) {
      leaves(one);
      one.clear();
    }
  }
  if (settings_.link_takes_nothing) core_->tcp().device_is_full(now_);
  while (core_->poll_event()) {
  }
}

}  // namespace morgana::packetdrill
