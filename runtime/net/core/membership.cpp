// IGMP and MLD on the wire: queries in, reports out (RFC 2236, RFC 3376 4, RFC 3810 5).
#include <algorithm>
#include <array>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

constexpr std::uint8_t igmp_query = 0x11, igmp_report_v2 = 0x16, igmp_leave_v2 = 0x17, igmp_report_v3 = 0x22;
ip_address const igmp_routers = ipv4_address{{224, 0, 0, 22}};
ip_address const all_routers_v4 = ipv4_address{{224, 0, 0, 2}};
ip_address const mld_routers = ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 22}};

/// RFC 3376 4.2.12; RFC 3810 5.2.12: "exclude nobody" is membership.
std::uint8_t record_type(host::membership_events::change what) {
  switch (what) {
    case host::membership_events::change::is_member:
      return 2;
    case host::membership_events::change::joined:
      return 4;
    case host::membership_events::change::left:
      return 3;
  }
  return 2;
}

/// RFC 3376 4.1.1 and RFC 3810 5.1.3: a small floating-point number, with `bits` of mantissa.
std::uint32_t response_code(std::uint32_t code, unsigned bits, std::uint32_t direct_below) {
  if (code < direct_below) return code;
  auto const mantissa = (code & ((1u << bits) - 1)) | 1u << bits;
  return mantissa << ((code >> bits & 7u) + 3);
}

}  // namespace

void core::implementation::igmp_input(host::received_packet const& in) {
  std::array<std::byte, 8> bytes;
  if (!in.packet.copy_out(in.header_bytes, bytes)) return void(++counters.malformed);
  if (!in.looped) {
    wire::checksum sum;
    host::add_to_checksum(sum, in.packet, in.header_bytes);
    if (sum.finish() != 0) return void(++counters.wrong_checksums);
  }
  // RFC 3376 9.1 and 4: only queries concern a host; they come from this link.
  if (wire::load8(bytes, 0) != igmp_query || in.hop_limit != 1) return;
  ip_address const group = ipv4_address{wire::load_array<4>(bytes, 4)};
  bool const is_v3 = in.packet.size() - in.header_bytes >= 12;
  auto const code = std::uint32_t{wire::load8(bytes, 1)};
  // Version 1 has no code and means ten seconds (RFC 2236 4).
  auto const tenths = is_v3 ? response_code(code, 4, 128) : code == 0 ? 100u : code;
  groups.queried(group, std::chrono::milliseconds(tenths * 100), is_v3 ? 3 : 2, now);
}

void core::implementation::listener_query_input(host::received_packet const& in) {
  std::array<std::byte, 24> bytes;
  // RFC 3810 6.2: link-local source, hop limit 1.
  bool const well_formed =
      in.packet.copy_out(in.header_bytes, bytes) && in.hop_limit == 1 && host::is_link_local(in.source);
  if (!well_formed) return void(++counters.malformed);
  ip_address const group = ipv6_address{wire::load_array<16>(bytes, 8)};
  auto const milliseconds = response_code(wire::load16(bytes, 4), 12, 0x8000);
  groups.queried(group, std::chrono::milliseconds(milliseconds), 2, now);
}

struct core::implementation::group_reports final : host::membership_events {
  explicit group_reports(implementation& of) : host(of) {}
  void report(ip_address const& group, change what, std::uint8_t version, instant) override {
    host.report(group, what, version);
  }
  implementation& host;
};

result<void> core::implementation::join_group(ip_address const& group) {
  if (!group_reporter) group_reporter = std::make_unique<group_reports>(*this);
  return groups.join(group, *group_reporter, now);
}

void core::implementation::report(ip_address const& group, host::membership_events::change what, std::uint8_t version) {
  using change = host::membership_events::change;
  bool const is_v6 = group.is_v6();
  // RFC 3376 6, RFC 3810 6: nobody reports the group of all hosts.
  if (is_v6 ? group.v6().bytes[15] == 1 && group == ip_address(ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})
            : group == ip_address(ipv4_address{{224, 0, 0, 1}})) {
    return;
  }
  auto* const node = take_packet();
  if (node == nullptr) return;
  if (is_v6) {
    auto const source = addresses.source_for(mld_routers, std::nullopt);
    // RFC 3590: before there is a link-local address the source is unspecified.
    auto const from = source && host::is_link_local(*source) ? *source : ip_address(ipv6_address{});
    auto const message = node->packet.push_header(28);
    std::ranges::fill(message, std::byte{0});
    wire::store8(message, 0, static_cast<std::uint8_t>(wire::icmp_v6_type::listener_report_v2));
    wire::store16(message, 6, 1);
    wire::store8(message, 8, record_type(what));
    wire::store_array(message, 12, group.v6().bytes);
    wire::checksum sum;
    sum.add_pseudo_header(from, mld_routers, static_cast<std::uint8_t>(wire::protocol::icmp_v6), 28);
    sum.add(message);
    wire::store16(message, 2, sum.finish());
    push_ip(node->packet, {from, mld_routers, wire::protocol::icmp_v6, 1, 0, true}, {}, 0, false);
    push_ethernet(node->packet, wire::multicast_mac(mld_routers));
    return output.push(node);
  }
  bool const old = version < 3;
  auto const message = node->packet.push_header(old ? 8 : 16);
  std::ranges::fill(message, std::byte{0});
  auto to = igmp_routers;
  if (old) {
    bool const leaves = what == change::left;
    wire::store8(message, 0, leaves ? igmp_leave_v2 : igmp_report_v2);
    wire::store_array(message, 4, group.v4().bytes);
    to = leaves ? all_routers_v4 : group;
  } else {
    wire::store8(message, 0, igmp_report_v3);
    wire::store16(message, 6, 1);
    wire::store8(message, 8, record_type(what));
    wire::store_array(message, 12, group.v4().bytes);
  }
  wire::checksum sum;
  sum.add(message);
  wire::store16(message, 2, sum.finish());
  auto const source = addresses.source_for(to, std::nullopt).value_or(ip_address(ipv4_address{}));
  push_ip(node->packet, {source, to, wire::protocol::igmp, 1, 0xc0, true}, {}, 0, false);
  push_ethernet(node->packet, wire::multicast_mac(to));
  output.push(node);
}

/// Every IPv6 address has a group that its neighbours ask (RFC 4291 2.7.1); switches want it reported.
void core::implementation::sync_solicited_groups() {
  std::vector<ip_address> wanted;
  for (auto const& one : addresses.all()) {
    if (one.address.address.is_v4() || one.state == address_state::duplicated) continue;
    auto const group = host::solicited_node(one.address.address);
    if (std::ranges::find(wanted, group) == wanted.end()) wanted.push_back(group);
  }
  for (auto const& group : solicited_groups) {
    if (std::ranges::find(wanted, group) == wanted.end()) groups.leave(group, now);
  }
  for (auto const& group : wanted) {
    if (std::ranges::find(solicited_groups, group) != solicited_groups.end()) continue;
    (void)join_group(group);
  }
  solicited_groups = std::move(wanted);
}

}  // namespace morgana::net
