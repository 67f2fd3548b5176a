// TCP Fast Open (RFC 7413). A connection that a SYN with a good cookie opens is established at once; that its SYN-ACK is
// not acknowledged yet is a state of what it sends (tcb::syn_unacknowledged), not of what its user may do.
#include "fast_open.hpp"

#include <bit>
#include <cstring>

#include "machine.hpp"

namespace morgana::net::tcp {

using wire::sequence;

std::array<std::byte, 8> fast_open_cookie(siphash_key const& key, ip_address const& client,
                                          ip_address const& server) {
  std::array<std::byte, 32> addresses;
  std::size_t size = 0;
  for (auto const* one : {&client, &server}) {
    if (one->is_v4()) {
      std::memcpy(addresses.data() + size, one->v4().bytes.data(), 4);
      size += 4;
    } else {
      std::memcpy(addresses.data() + size, one->v6().bytes.data(), 16);
      size += 16;
    }
  }
  auto hash = siphash(key, std::span(addresses).first(size));
  if constexpr (std::endian::native == std::endian::big) hash = std::byteswap(hash);
  return std::bit_cast<std::array<std::byte, 8>>(hash);
}

fast_open_peer* fast_open_cookies::use(ip_address const& peer, std::uint64_t& evicted) {
  auto at = std::ranges::find(peers_, peer, &fast_open_peer::address);
  if (at == peers_.end()) {
    if (most_ == 0) return nullptr;
    if (peers_.size() < most_) {
      at = peers_.emplace(peers_.end());
    } else {
      at = std::ranges::min_element(peers_, {}, &fast_open_peer::used);
      *at = {};
      ++evicted;
    }
    at->address = peer;
  }
  at->used = ++clock_;
  return &*at;
}

// ---- servers ------------------------------------------------------------------------------------------

bool machine::accept_fast(port& where, arrival& a, segment& packet, instant now) {
  auto const& o = a.header.options;
  if (where.fast.needs_cookie) {
    if (o.fast_open == wire::fast_open_option::none) return false;
    auto const cookie = fast_open_cookie(where.fast.key, a.key.peer, a.key.local);
    if (!std::ranges::equal(o.fast_open_cookie, cookie)) return false;
  } else if (a.size == 0) {
    return false;
  }
  // A flood of SYNs whose addresses are stolen together with their cookies stops here (RFC 7413 5.1).
  if (where.fast_pending >= where.fast.pending_max) {
    ++counters.fast_opens_full;
    return false;
  }
  auto const terms = read_terms(a.header, where, peer_segment_bytes(a.header), receive_scale());
  auto const first = identifiers::begin(flows.hash(a.key), now);
  auto* const c = promote(where, nullptr, a.key, terms, first.number, a.header.sequence, now);
  c->timestamp_offset = first.timestamp_offset;
  if (terms.timestamps) {
    c->recent_timestamp = o.timestamps->value;
    c->has_recent_timestamp = true;
  }
  c->send_window = a.header.window + 1u;  // from behind our SYN; never scaled (RFC 7323 2.2)
  c->window_sequence = a.header.sequence;
  c->window_acknowledgment = c->send_una;
  c->backoff = 0;
  became_established(*c, now);
  ++c->control.window;  // the SYN-ACK's number is in flight, too, and takes no room there
  c->syn_unacknowledged = c->want_syn = true;
  ++where.fast_pending;
  ++counters.fast_opens_accepted;
  if (a.size != 0) {
    c->fast_open_bytes = static_cast<std::uint16_t>(std::min(a.size, 65'535u));
    a.header.sequence += 1;
    input_data(*c, a, packet, now);
  }
  return true;
}

wire::fast_open_option machine::cookie_wanted(port const& where, arrival const& a) {
  auto const& o = a.header.options;
  if (where.fast.pending_max == 0 || o.fast_open == wire::fast_open_option::none) return wire::fast_open_option::none;
  // One that was right, and for which there was no room, need not be told again.
  auto const cookie = fast_open_cookie(where.fast.key, a.key.peer, a.key.local);
  return std::ranges::equal(o.fast_open_cookie, cookie) ? wire::fast_open_option::none : o.fast_open;
}

void machine::fast_open_ended(tcb& c) {
  c.syn_unacknowledged = false;
  auto* const where = find_port(c.key.local, c.key.local_port);
  if (where != nullptr && where->fast_pending != 0) --where->fast_pending;
}

void machine::syn_acknowledged(tcb& c, sequence ack, instant now) {
  if (c.backoff == 0) c.trip.sample(now - c.busy->syn_sent_at);
  c.send_una = ack;
  if (c.synchronized()) {  // a server's: data may be on the way behind it
    c.backoff = 0;
    return arm_loss_timer(c, now);
  }
  // A client's: what was not taken of the SYN's data is as if it had not been sent (RFC 7413 4.2.1).
  if (c.fast_open_bytes == 0) return;
  c.send_next = ack;
  c.busy->send.acknowledge_to(ack);
  auto const taken = static_cast<std::uint32_t>(ack - (c.send_initial + 1));
  c.bytes_sent += taken;
  if (taken == c.fast_open_bytes) return;
  ++counters.fast_opens_refused;
  c.fast_open_bytes = 0;
}

// ---- clients ------------------------------------------------------------------------------------------

std::uint32_t machine::fast_open_room(ip_address const& peer, std::uint32_t segment_bytes) const {
  // Room for all options a TCP header can have, so that middleboxes that add some do not have to drop the SYN.
  constexpr std::uint32_t options_bytes_max = wire::tcp_header::header_bytes_max - wire::tcp_header::size_bytes;
  auto room = segment_bytes;
  if (auto const* const known = cookies.find(peer)) room = std::min<std::uint32_t>(room, known->segment_bytes);
  return room - std::min(room, options_bytes_max);
}

void machine::put_fast_open(tcb& c, wire::tcp_header& h, segment& packet) {
  // Only the first SYN: something on the way may not like it (RFC 7413 4.2.1).
  if (c.backoff != 0) return;
  auto const* const known = cookies.find(c.key.peer);
  if (c.chosen->fast_open == fast_open::with_cookie) {
    h.options.fast_open = known == nullptr ? wire::fast_open_option::standard : known->option;
    if (known != nullptr) h.options.fast_open_cookie = known->cookie();
  }
  if (!may_fast_open(c.key.peer, *c.chosen)) return;
  auto const room = fast_open_room(c.key.peer, advertised_segment_bytes(c));
  auto const count = std::min(static_cast<std::uint32_t>(c.busy->send.size()), room);
  c.fast_open_bytes = static_cast<std::uint16_t>(c.busy->send.collect(c.send_initial + 1, count, packet));
  if (c.fast_open_bytes != 0) ++counters.fast_opens_sent;
}

/// What a SYN-ACK teaches for the next connection (RFC 7413 4.1.3).
void machine::learn_cookie(tcb const& c, wire::tcp_header const& h) {
  auto* const peer = cookies.use(c.key.peer, counters.fast_open_peers_evicted);
  if (peer == nullptr) return;
  peer->segment_bytes = c.terms.peer_segment_bytes;
  if (c.chosen->fast_open != fast_open::with_cookie) return;  // nothing was asked for
  if (!h.options.fast_open_cookie.empty()) return peer->keep(h.options);
  // It may know the option by its old number only; that is tried once.
  if (peer->cookie_bytes != 0 || c.backoff != 0 || peer->asked_both_ways) return;
  if (peer->option == wire::fast_open_option::experimental) {
    peer->asked_both_ways = true;
    peer->option = wire::fast_open_option::standard;
  } else {
    peer->option = wire::fast_open_option::experimental;
  }
}

}  // namespace morgana::net::tcp
