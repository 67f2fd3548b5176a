// The short way of how nearly all connections begin: a SYN with the usual options and nothing else, its
// SYN-ACK, and the segment that acknowledges that, alone or with what the client has to say (prediction.cpp).
// Each does what handshake.cpp, input.cpp and output.cpp would do.
#include "output.hpp"
#include "port.hpp"
#include "predicted.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

constexpr std::size_t syn_bytes = wire::tcp_header::usual_syn_bytes;
constexpr std::uint8_t window_scale_max = 14;

/// MSS, SACK permitted, timestamps and window scale, as Linux writes them, and we: behind a header of ten
/// words.
[[gnu::always_inline]] inline bool is_usual_syn(segment const& packet) {
  auto const* const bytes = packet.header().data();
  return packet.header_size() == syn_bytes && packet.gso_size == 0 &&
         wire::load16({bytes, syn_bytes}, 20) == 0x0204 && raw32(bytes + 24) == raw32(0x0402'080au) &&
         (raw32(bytes + 36) & raw32(0xffff'ff00u)) == raw32(0x0103'0300u);
}

}  // namespace

/// What build(), finish() and arm() come to for the first SYN of a connection with which nothing else is
/// going on.
[[gnu::noinline]] bool machine::transmit_syn(tcb& c, addressing& between, segment& packet, instant now) {
  auto& b = *c.busy;
  auto const& chosen = *c.chosen;
  auto const scale = receive_scale();
  if (c.current != state::syn_sent || c.backoff != 0 || !chosen.timestamps ||
      chosen.fast_open != fast_open::no || chosen.keepalive || b.send.size() != 0 || c.fin_queued ||
      c.acknowledge_now) [[unlikely]]
    return transmit(between, packet, now);
  refresh_path(c);
  if (c.partial_checksum) [[unlikely]]
    return transmit(between, packet, now);
  c.want_syn = false;
  b.syn_sent_at = now;
  auto const window = std::min(c.receive_space(), 65'535u);
  c.receive_edge = c.receive_next() + window;
  between.source = c.key.local;
  between.destination = c.key.peer;
  between.traffic_class = static_cast<std::uint8_t>(chosen.differentiated_services << 2);
  between.way = &c.way;
  packet.clear();
  auto const bytes = packet.push_header(syn_bytes);
  std::uint32_t const flags = c.ecn_offered ? wire::tcp_syn | wire::tcp_ece | wire::tcp_cwr : wire::tcp_syn;
  wire::store32(bytes, 0, std::uint32_t{c.key.local_port} << 16 | c.key.peer_port);
  wire::store32(bytes, 4, c.send_initial.value);
  wire::store32(bytes, 8, 0);
  wire::store32(bytes, 12, 0xa000'0000u | flags << 16 | window);
  wire::store32(bytes, 16, 0);
  wire::store32(bytes, 20, 0x0204'0000u | advertised_segment_bytes(c));
  wire::store32(bytes, 24, 0x0402'080au);
  wire::store32(bytes, 28, timestamp(c.timestamp_offset, now));
  wire::store32(bytes, 32, 0);
  wire::store32(bytes, 36, 0x0103'0300u | scale);
  auto const sum = c.addresses_sum + wire::network_order(std::uint16_t{syn_bytes}) +
                   wire::sum_words<syn_bytes>(bytes.data());
  auto const finished = static_cast<std::uint16_t>(~wire::fold_checksum(sum));
  std::memcpy(bytes.data() + 16, &finished, sizeof finished);
  packet.checksum = checksum_state::valid;
  ++counters.segments_out;
  ++counters.predicted_out;
  ++c.segments_sent;

  turn = 0;
  static_cast<hook<output_tag>&>(c).unlink();
  // validate_window(): there is no congestion window yet, so it is what limits.
  c.window_blocked = c.sent_data = false;
  c.window_limited = true;
  c.flight_largest = 1;
  c.flight_round_end = c.send_next;
  // arm():
  c.timer = timer_kind::retransmission;
  b.timer_at = now + timeout_initial;
  wakes.at_latest(c, b.timer_at);
  return true;
}

/// What input_listening() comes to where there is room, for a flow that is not known. Such a SYN wants no
/// Fast Open.
[[gnu::noinline]] void machine::input_syn(addressing const& between, segment& packet, instant now) {
  std::span<std::byte const> const bytes = packet.header();
  if (!is_usual_syn(packet)) [[unlikely]]
    return input_single(between, packet, now);
  flow_key const key{between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0)};
  auto* const where = find_port(key.local, key.local_port);
  auto const segment_bytes = wire::load16(bytes, 22);
  auto const scale = receive_scale();
  auto const addresses_sum = pseudo_header_sum(key.local, key.peer);
  bool const is_possible = key.peer_port != 0 && !key.peer.is_multicast() && !key.local.is_multicast();
  if (!is_possible || where == nullptr || live >= limits.connections || where->is_full() ||
      half_opens.entries.used() >= limits.syn_received || !where->chosen.timestamps || scale == 0 ||
      segment_bytes < limits.mss_bytes_min ||
      (packet.checksum == checksum_state::unchecked && !is_intact<syn_bytes>(addresses_sum, bytes.data())))
      [[unlikely]]
    return input_single(between, packet, now);
  auto const hash = flows.hash_new(key);
  if (flows.find(key, hash) != nullptr) [[unlikely]]
    return input_single(between, packet, now);
  ++counters.segments_in;
  ++counters.predicted_in;
  auto* const entry = half_opens.entries.take(key, *where);
  auto const first = identifiers::begin(hash, now);
  sequence const peer_initial{wire::load32(bytes, 4)};
  entry->initial = first.number;
  entry->peer_initial = peer_initial;
  entry->recent_timestamp = wire::load32(bytes, 28);
  entry->timestamp_offset = first.timestamp_offset;
  entry->window = wire::load16(bytes, 14);
  entry->terms = {segment_bytes, std::min(wire::load8(bytes, 39), window_scale_max), scale, true, true,
                  false};
  entry->at = now + half_open_table::wait(0);
  half_opens.group(0).push_back(*entry);
  flows.insert(*entry, hash);
  // send_syn_ack():
  auto const* const path = path_to(key.peer);
  auto* const out = add_reply(key, syn_bytes, path != nullptr && path->source == key.local ? path->way : 0);
  if (out == nullptr) [[unlikely]]
    return;
  auto const ip_bytes = key.local.is_v4() ? 40u : 60u;
  auto const mtu = std::max(path != nullptr ? path->mtu_bytes : 1500u, ip_bytes + limits.mss_bytes_min);
  auto const answer = out->header();
  constexpr std::uint32_t flags = wire::tcp_syn | wire::tcp_ack;
  wire::store32(answer, 0, std::uint32_t{key.local_port} << 16 | key.peer_port);
  wire::store32(answer, 4, first.number.value);
  wire::store32(answer, 8, peer_initial.value + 1);
  wire::store32(answer, 12, 0xa000'0000u | flags << 16 | first_window(*where));
  wire::store32(answer, 16, 0);
  wire::store32(answer, 20, 0x0204'0000u | advertised_segment_bytes(where->chosen, mtu - ip_bytes));
  wire::store32(answer, 24, 0x0402'080au);
  wire::store32(answer, 28, timestamp(first.timestamp_offset, now));
  wire::store32(answer, 32, entry->recent_timestamp);
  wire::store32(answer, 36, 0x0103'0300u | scale);
  finish(*out, addresses_sum + wire::sum_words<syn_bytes>(answer.data()));
}

/// What input_syn_sent() comes to for the first answer to a SYN without data.
[[gnu::noinline]] void machine::input_syn_ack(addressing const& between, segment& packet, instant now) {
  std::span<std::byte const> const bytes = packet.header();
  if (!is_usual_syn(packet)) [[unlikely]]
    return input_single(between, packet, now);
  auto* const found =
      flows.find_recent(between.destination, between.source, wire::load16(bytes, 2), wire::load16(bytes, 0));
  if (found == nullptr || found->kind != flow_kind::connection) [[unlikely]]
    return input_single(between, packet, now);
  auto& c = static_cast<tcb&>(*found);
  auto const segment_bytes = wire::load16(bytes, 22);
  sequence const at{wire::load32(bytes, 4)};
  sequence const ack{wire::load32(bytes, 8)};
  if (c.current != state::syn_sent || ack != c.send_initial + 1 || c.backoff != 0 || c.fast_open_bytes != 0 ||
      c.chosen->fast_open != fast_open::no || !c.chosen->timestamps || segment_bytes < limits.mss_bytes_min ||
      (packet.checksum == checksum_state::unchecked && !is_intact<syn_bytes>(c.addresses_sum, bytes.data())))
      [[unlikely]]
    return input_single(between, packet, now);
  ++counters.segments_in;
  ++counters.predicted_in;
  ++c.segments_received;
  // apply_syn():
  c.terms = {segment_bytes, std::min(wire::load8(bytes, 39), window_scale_max), receive_scale(), true, true,
             false};
  c.recent_timestamp = wire::load32(bytes, 28);
  c.has_recent_timestamp = true;
  c.receive_initial = at;
  c.busy->receive.start_at(at + 1);
  c.receive_edge = c.acknowledged_to = at + 1;
  // syn_acknowledged():
  c.trip.sample(now - c.busy->syn_sent_at);
  c.send_una = ack;
  c.send_window = wire::load16(bytes, 14);  // that of a SYN is never scaled (RFC 7323 2.2)
  c.window_sequence = at;
  c.window_acknowledgment = ack;
  became_established(c, now);
  c.acknowledge_now = true;
}

/// What input_half_open() and input_connection() come to for the segment that ends a handshake: the next one,
/// which brings what the client has to say, if it is not much, or nothing.
[[gnu::noinline]] void machine::input_completing(half_open& entry, addressing const& between, segment& packet,
                                                 instant now) {
  std::span<std::byte const> const bytes = packet.header();
  auto const size = static_cast<std::uint32_t>(bytes.size() - predicted_bytes);
  sequence const at{wire::load32(bytes, 4)};
  sequence const ack{wire::load32(bytes, 8)};
  sequence const stamp{wire::load32(bytes, 24)};
  auto& where = *entry.where;
  if (at != entry.peer_initial + 1 || ack != entry.initial + 1 || !entry.terms.timestamps ||
      entry.terms.ecn || stamp < sequence{entry.recent_timestamp} || size > first_window(where) ||
      where.is_full() || live >= limits.connections ||
      (packet.checksum == checksum_state::unchecked &&
       !is_intact(pseudo_header_sum(entry.key.local, entry.key.peer), bytes))) [[unlikely]]
    return input_single(between, packet, now);
  ++counters.segments_in;
  ++counters.predicted_in;
  auto const sent_at = entry.at - half_open_table::wait(entry.retries);
  bool const first_try = entry.retries == 0;
  auto const offset = entry.timestamp_offset;
  auto& c = *promote(where, &entry, entry.key, entry.terms, entry.initial, entry.peer_initial, now);
  ++c.segments_received;
  c.timestamp_offset = offset;
  c.recent_timestamp = stamp.value;
  c.has_recent_timestamp = true;
  if (first_try) c.trip.sample(now - sent_at);
  c.send_una = ack;
  c.send_window = std::uint32_t{wire::load16(bytes, 14)} << c.terms.send_scale;
  c.window_sequence = at;
  c.window_acknowledgment = ack;
  became_established(c, now);
  if (size == 0) return;
  // Nobody is told of it who has not accepted it yet.
  c.received_segment_bytes = static_cast<std::uint16_t>(size);
  c.busy->receive.keep(bytes.subspan(predicted_bytes));
  c.bytes_received += size;
  received_in_order(c, size, now);
  made_progress(c, now);
}

}  // namespace morgana::net::tcp
