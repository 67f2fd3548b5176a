// Fuzzes each parser of a wire format with any bytes. What is accepted lies within them, and written again reads
// the same; the fast checksum is the plain one, whatever the pieces.
#include <array>
#include <vector>

#include "input.hpp"
#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "morgana/net/wire/udp.hpp"
#include "runtime/net/icmp/router_advertisement.hpp"

using namespace morgana::net;
using fuzz::require;

namespace {

using view = std::span<std::byte const>;

void ethernet(view data) {
  auto const read = wire::ethernet_header::parse(data);
  if (!read) return;
  require(read->encoded_bytes() <= data.size());
  std::array<std::byte, 18> again{};
  read->emit(again);
  auto const twice = wire::ethernet_header::parse(view(again).first(read->encoded_bytes()));
  require(twice && twice->destination == read->destination && twice->source == read->source &&
          twice->type == read->type && twice->vlan == read->vlan);
}

void arp(view data) {
  auto const read = wire::arp_packet::parse(data);
  if (!read) return;
  std::array<std::byte, wire::arp_packet::size_bytes> again{};
  read->emit(again);
  require(std::ranges::equal(again, data.first(again.size())));
}

void ipv4(view data) {
  auto const read = wire::ipv4_header::parse(data, data.size());
  if (!read) return;
  require(read->header_bytes <= read->total_bytes && read->total_bytes <= data.size());
  std::array<std::byte, wire::ipv4_header::size_bytes> again{};
  read->emit(again);
  auto plain = *read;
  plain.header_bytes = wire::ipv4_header::size_bytes;
  auto const twice = wire::ipv4_header::parse(again, data.size());
  require(twice && twice->source == plain.source && twice->destination == plain.destination &&
          twice->protocol == plain.protocol && twice->fragment_offset_bytes == plain.fragment_offset_bytes &&
          twice->more_fragments == plain.more_fragments && twice->do_not_fragment == plain.do_not_fragment &&
          twice->identification == plain.identification && twice->total_bytes == plain.total_bytes);
}

void ipv6(view data) {
  auto const read = wire::ipv6_header::parse(data, data.size());
  if (!read) return;
  require(wire::ipv6_header::size_bytes + read->payload_bytes <= data.size());
  std::array<std::byte, wire::ipv6_header::size_bytes> again{};
  read->emit(again);
  require(std::ranges::equal(again, data.first(again.size())));
}

void extensions(view data) {
  if (data.empty()) return;
  auto const rest = data.subspan(1);
  auto const first = static_cast<wire::protocol>(data[0]);
  auto const walked = wire::parse_extensions(first, rest, rest.size() % 2 == 0);
  if (!walked) return;
  require(walked->bytes <= rest.size() && walked->bytes <= wire::extension_bytes_max);
  if (walked->must_report) require(walked->must_report->pointer < wire::ipv6_header::size_bytes + rest.size());
}

void tcp(view data) {
  auto const read = wire::tcp_header::parse(data, data.size());
  if (!read) return;
  require(read->header_bytes <= data.size() && read->options.sack_count <= wire::tcp_options::sack_blocks_max);
  auto keep = *read;
  // What is never written together: the options of a SYN and SACK blocks; four blocks and timestamps.
  if (keep.options.sack_count > 3 && keep.options.timestamps) keep.options.sack_count = 3;
  if (keep.encoded_bytes() > wire::tcp_header::header_bytes_max) keep.options.sack_count = 0;
  std::array<std::byte, wire::tcp_header::header_bytes_max> again{};
  require(keep.encoded_bytes() % 4 == 0 && keep.encoded_bytes() <= again.size());
  keep.emit(again);
  auto const twice = wire::tcp_header::parse(view(again).first(keep.encoded_bytes()), keep.encoded_bytes());
  require(twice && twice->sequence == keep.sequence && twice->acknowledgment == keep.acknowledgment &&
          twice->flags == keep.flags && twice->window == keep.window && twice->urgent == keep.urgent);
  auto const &a = twice->options, &b = keep.options;
  require(a.maximum_segment_size == b.maximum_segment_size && a.window_scale == b.window_scale &&
          a.sack_permitted == b.sack_permitted && a.timestamps == b.timestamps && a.sack_count == b.sack_count);
  for (std::size_t i = 0; i < a.sack_count; ++i) require(a.sack[i] == b.sack[i]);
}

void others(view data) {
  if (auto const read = wire::udp_header::parse(data, data.size())) require(read->total_bytes <= data.size());
  (void)wire::icmp_header::parse(data);
  (void)wire::parse_quote(data, false);
  (void)wire::parse_quote(data, true);
}

void advertisement(view data) {
  auto const read = wire::router_advertisement::parse(data);
  if (!read) return;
  require(read->prefix_count <= wire::router_advertisement::prefixes_max);
  require(read->name_server_count <= wire::router_advertisement::name_servers_max);
  for (std::size_t i = 0; i < read->prefix_count; ++i) require(read->prefixes[i].prefix.prefix_bits <= 128);
}

void checksums(view data) {
  std::uint32_t plain = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    plain += static_cast<std::uint32_t>(data[i]) << (i % 2 == 0 ? 8 : 0);
    plain = (plain & 0xffff) + (plain >> 16);
  }
  wire::checksum cut;
  for (std::size_t at = 0; at < data.size();) {
    // The bytes also say where to cut them.
    auto const size = std::min<std::size_t>(static_cast<std::size_t>(data[at]) + 1, data.size() - at);
    cut.add(data.subspan(at, size));
    at += size;
  }
  wire::checksum whole;
  whole.add(data);
  require(whole.partial() == plain && cut.partial() == plain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* bytes, std::size_t size) {
  if (size == 0) return 0;
  // In memory of its own length, so that a byte too far is found.
  std::vector<std::byte> const data(reinterpret_cast<std::byte const*>(bytes + 1),
                                    reinterpret_cast<std::byte const*>(bytes + size));
  switch (bytes[0] % 9) {
    case 0:
      ethernet(data);
      break;
    case 1:
      arp(data);
      break;
    case 2:
      ipv4(data);
      break;
    case 3:
      ipv6(data);
      break;
    case 4:
      extensions(data);
      break;
    case 5:
      tcp(data);
      break;
    case 6:
      others(data);
      break;
    case 7:
      advertisement(data);
      break;
    default:
      checksums(data);
  }
  return 0;
}
