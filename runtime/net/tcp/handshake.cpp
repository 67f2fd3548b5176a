// Passive opens: listeners, the SYN cache, and SYN cookies when it is full (RFC 4987).
#include <algorithm>
#include <bit>

#include "machine.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

// What a cookie's timestamp remembers of the SYN, in its low bits (RFC 7323 has no need of their exactness).
constexpr std::uint32_t cookie_scale_mask = 0x0f;  ///< 15: no window scale
constexpr std::uint32_t cookie_no_scale = 0x0f;
constexpr std::uint32_t cookie_sack = 0x10;
constexpr std::uint32_t cookie_ecn = 0x20;
constexpr std::uint32_t cookie_bits = 0x3f;

}  // namespace

agreed read_terms(wire::tcp_header const& h, port const& where, std::uint16_t segment_bytes,
                  std::uint8_t scale) {
  agreed t;
  t.peer_segment_bytes = segment_bytes;
  t.timestamps = where.chosen.timestamps && h.options.timestamps.has_value();
  t.sack = h.options.sack_permitted;
  t.send_scale = h.options.window_scale.value_or(std::uint8_t{0});
  t.receive_scale = h.options.window_scale ? scale : std::uint8_t{0};
  t.ecn = (h.flags & (wire::tcp_ece | wire::tcp_cwr)) == (wire::tcp_ece | wire::tcp_cwr);
  return t;
}

std::uint16_t machine::peer_segment_bytes(wire::tcp_header const& h) {
  auto const told = h.options.maximum_segment_size.value_or(std::uint16_t{536});
  if (told >= limits.mss_bytes_min) return told;
  ++counters.mss_raised;
  return limits.mss_bytes_min;
}

std::uint8_t machine::receive_scale() const {
  // The least with which 16 bits say all of it; 14 at most (RFC 7323 2.3).
  auto const bits = std::bit_width(limits.receive_buffer_bytes);
  return static_cast<std::uint8_t>(std::clamp(bits - 16, 0, 14));
}

port* machine::find_port(ip_address const& address, std::uint16_t number) const {
  port* any = nullptr;
  for (auto const& one : ports) {
    if (one->where.port != number) continue;
    if (one->where.address == address) return one.get();
    // `::` listens on both families, 0.0.0.0 on its own.
    if (one->where.address.is_unspecified() && (one->where.address.is_v6() || address.is_v4()))
      any = one.get();
  }
  return any;
}

void machine::send_syn_ack(half_open& entry, instant now) {
  wire::tcp_header h;
  h.sequence = entry.initial;
  h.acknowledgment = entry.peer_initial + 1;
  h.flags = wire::tcp_syn | wire::tcp_ack;
  if (entry.terms.ecn) h.flags |= wire::tcp_ece;
  h.window = static_cast<std::uint16_t>(first_window(*entry.where));
  // The same options each time: a retransmission that lost them would leave both ends with different scales.
  auto const* const path = path_to(entry.key.peer);
  auto const header = entry.key.local.is_v4() ? 40u : 60u;
  auto const mtu = std::max(path != nullptr ? path->mtu_bytes : 1500u, header + limits.mss_bytes_min);
  h.options.maximum_segment_size = advertised_segment_bytes(entry.where->chosen, mtu - header);
  h.options.sack_permitted = entry.terms.sack;
  if (entry.terms.timestamps) {
    h.options.timestamps =
        wire::tcp_timestamps{timestamp(entry.timestamp_offset, now), entry.recent_timestamp};
  }
  if (entry.terms.receive_scale != 0) h.options.window_scale = entry.terms.receive_scale;
  std::array<std::byte, 8> cookie;
  if (features::fast_open && entry.cookie_as != wire::fast_open_option::none) {
    h.options.fast_open = entry.cookie_as;
    cookie = fast_open_cookie(entry.where->fast.key, entry.key.peer, entry.key.local);
    h.options.fast_open_cookie = cookie;
  }
  send_reply(entry.key, h, path != nullptr && path->source == entry.key.local ? path->way : 0);
}

void machine::send_cookie(port& where, arrival const& a, instant now) {
  half_open entry(a.key, where);
  auto const& h = a.header;
  entry.terms = read_terms(h, where, peer_segment_bytes(h), receive_scale());
  entry.peer_initial = h.sequence;
  entry.initial = numbers.cookie(a.key, h.sequence, entry.terms.peer_segment_bytes, now);
  if (!entry.terms.timestamps) {
    // Nothing that comes back would remember these.
    entry.terms.sack = entry.terms.ecn = false;
    entry.terms.receive_scale = entry.terms.send_scale = 0;
  } else {
    entry.recent_timestamp = h.options.timestamps->value;
    // The offset is chosen so that the value sent has the bits below.
    auto const clock = timestamp(numbers.timestamp_offset(a.key), now);
    auto bits = h.options.window_scale ? std::uint32_t{entry.terms.send_scale} : cookie_no_scale;
    if (entry.terms.sack) bits |= cookie_sack;
    if (entry.terms.ecn) bits |= cookie_ecn;
    auto value = (clock & ~cookie_bits) | bits;
    if (value > clock) value -= cookie_bits + 1;  // never ahead of the clock
    entry.timestamp_offset = value - timestamp(0, now);
  }
  send_syn_ack(entry, now);
  cookies_until = after(now, identifiers::cookie_lifetime);
  ++counters.syn_cookies_sent;
}

void machine::input_listening(port& where, arrival& a, segment& packet, instant now) {
  auto const& h = a.header;
  if (live >= limits.connections) {
    ++counters.syn_dropped;
    return;
  }
  if (where.is_full()) {
    ++counters.syn_dropped;
    ++counters.accept_queue_full;
    return;
  }
  if (features::fast_open && where.fast.pending_max != 0 && accept_fast(where, a, packet, now)) return;
  if (half_opens.entries.used() >= limits.syn_received) return send_cookie(where, a, now);
  auto* const entry = half_opens.entries.take(a.key, where);
  entry->terms = read_terms(h, where, peer_segment_bytes(h), receive_scale());
  auto const first = identifiers::begin(flows.hash(a.key), now);
  entry->initial = first.number;
  entry->peer_initial = h.sequence;
  entry->timestamp_offset = first.timestamp_offset;
  if (h.options.timestamps) entry->recent_timestamp = h.options.timestamps->value;
  entry->window = h.window;
  if (features::fast_open) entry->cookie_as = cookie_wanted(where, a);
  entry->at = now + half_open_table::wait(0);
  half_opens.group(0).push_back(*entry);
  flows.insert(*entry);
  send_syn_ack(*entry, now);
}

void machine::forget(half_open& entry) {
  flows.erase(entry);
  static_cast<hook<half_open_tag>&>(entry).unlink();
  half_opens.entries.give(&entry);
}

void machine::retransmit_half_opens(instant now) {
  for (auto& group : half_opens.by_retries) {
    while (auto* const entry = group.front()) {
      if (entry->at > now) break;
      if (entry->retries >= limits.syn_retries) {
        ++counters.half_opens_expired;
        forget(*entry);
        continue;
      }
      ++entry->retries;
      ++counters.segments_retransmitted;
      static_cast<hook<half_open_tag>&>(*entry).unlink();
      entry->at = now + half_open_table::wait(entry->retries);
      half_opens.group(entry->retries).push_back(*entry);
      send_syn_ack(*entry, now);
    }
  }
}

void machine::input_half_open(half_open& entry, arrival& a, segment& packet, instant now) {
  auto const& h = a.header;
  if (h.has(wire::tcp_rst)) {
    if (h.sequence == entry.peer_initial + 1) {
      ++counters.resets_received;
      forget(entry);
    } else {
      ++counters.resets_refused;
    }
    return;
  }
  if (h.has(wire::tcp_syn)) {
    // Once more the same, or a stranger's: the answer to a stranger says what we wait for (RFC 5961, 4).
    return send_syn_ack(entry, now);
  }
  if (!h.has(wire::tcp_ack)) return;
  if (h.acknowledgment != entry.initial + 1) return answer_stray(a);
  auto const edge = entry.peer_initial + 1 + first_window(*entry.where);
  if (h.sequence < entry.peer_initial + 1 || h.sequence > edge) return send_syn_ack(entry, now);
  if (entry.terms.timestamps && h.options.timestamps &&
      sequence{h.options.timestamps->value} < sequence{entry.recent_timestamp}) {
    ++counters.paws_dropped;
    return;
  }
  auto& where = *entry.where;
  // Dropped when there is no room: the peer sends again, and may find some.
  if (where.is_full()) {
    ++counters.accept_queue_full;
    return;
  }
  if (live >= limits.connections) {
    ++counters.syn_dropped;
    return;
  }
  auto const terms = entry.terms;
  auto const initial = entry.initial;
  auto const peer_initial = entry.peer_initial;
  auto const recent = entry.recent_timestamp;
  auto const offset = entry.timestamp_offset;
  auto const sent_at = entry.at - half_open_table::wait(entry.retries);
  bool const first_try = entry.retries == 0;
  auto* const c = promote(where, &entry, a.key, terms, initial, peer_initial, now);
  c->timestamp_offset = offset;
  c->recent_timestamp = recent;
  c->has_recent_timestamp = terms.timestamps;
  if (first_try) c->trip.sample(now - sent_at);
  input_connection(*c, a, packet, now);
}

/// An acknowledgment that belongs to nothing: the end of a handshake begun with a cookie, or a stray.
void machine::input_cookie(port& where, arrival& a, segment& packet, instant now) {
  auto const& h = a.header;
  auto const peer_initial = h.sequence - 1;
  auto const cookie = h.acknowledgment - 1;
  // None is outstanding unless some were sent lately; then nobody can try their luck.
  if (now >= cookies_until) return answer_stray(a);
  auto const segment_bytes = numbers.check_cookie(a.key, peer_initial, cookie, now);
  if (!segment_bytes) {
    // It may be of a client whose handshake we do not remember: one that says more before the segment arrives that
    // ends it. A reset would end what its next retransmission completes.
    ++counters.syn_cookies_refused;
    return;
  }
  if (where.is_full()) {
    ++counters.accept_queue_full;
    return;
  }
  if (live >= limits.connections) {
    ++counters.syn_dropped;
    return;
  }
  agreed terms;
  terms.peer_segment_bytes = std::max(*segment_bytes, limits.mss_bytes_min);
  std::uint32_t offset = numbers.timestamp_offset(a.key);
  if (h.options.timestamps) {
    auto const bits = h.options.timestamps->echo;
    terms.timestamps = true;
    terms.sack = (bits & cookie_sack) != 0;
    terms.ecn = (bits & cookie_ecn) != 0;
    if ((bits & cookie_scale_mask) != cookie_no_scale) {
      terms.send_scale = static_cast<std::uint8_t>(bits & cookie_scale_mask);
      terms.receive_scale = receive_scale();
    }
  }
  ++counters.syn_cookies_accepted;
  auto* const c = promote(where, nullptr, a.key, terms, cookie, peer_initial, now);
  c->timestamp_offset = offset;
  if (terms.timestamps) {
    c->recent_timestamp = h.options.timestamps->value;
    c->has_recent_timestamp = true;
  }
  input_connection(*c, a, packet, now);
}

/// A connection in SYN-RECEIVED that the segment at hand will establish.
tcb* machine::promote(port& where, half_open* entry, flow_key const& key, agreed const& terms, sequence initial,
                      sequence peer_initial, instant now) {
  auto* const c = open(key, where.shared(), now);
  entry != nullptr ? flows.replace(*entry, *c) : flows.insert(*c);
  c->current = state::syn_received;
  c->parent = &where;
  c->terms = terms;
  if (entry != nullptr) forget(*entry);   // `key` and `terms` may lie there
  c->send_initial = c->send_una = initial;
  c->send_next = initial + 1;
  c->busy->send.start_at(initial + 1);
  c->receive_initial = peer_initial;
  c->busy->receive.start_at(peer_initial + 1);
  c->acknowledged_to = peer_initial + 1;
  c->receive_edge = peer_initial + 1 + first_window(where);
  c->busy->syn_sent_at = now;
  c->backoff = 1;  // who asks whether the handshake was measured learns that it was not, here
  where.queue.push_back(c);
  ++where.waiting;
  notify(where, ready_to_accept);
  return c;
}

shared_settings const& machine::share(settings const& with) {
  if (given_last == nullptr || *given_last != with) {
    if (given_last != nullptr) leave(*given_last);
    given_last = given.take(with);
    ++given_last->users;
  }
  return *given_last;
}

void machine::leave(shared_settings const& what) {
  if (--what.users == 0) given.give(const_cast<shared_settings*>(&what));
}

tcb* machine::open(flow_key const& key, shared_settings const& with, instant now) {
  ++with.users;
  auto* const c = blocks.take(*this, key, with);
  c->last_received_at = c->last_sent_at = now;
  c->addresses_sum = pseudo_header_sum(key.local, key.peer);
  ++live;
  return c;
}

settings& port::options() {
  // Who has them already keeps them as they were.
  if (shared_ != nullptr) host->leave(*std::exchange(shared_, nullptr));
  return chosen;
}

shared_settings const& port::shared() {
  if (shared_ == nullptr) {
    shared_ = &host->share(chosen);
    ++shared_->users;
  }
  return *shared_;
}

connection* port::accept() {
  if (queue.empty()) return nullptr;
  auto* const c = queue.front();
  queue.erase(queue.begin());
  --waiting;
  c->parent = nullptr;
  // Who has something to say has a look afterwards anyway (machine::leave_output).
  if (!static_cast<hook<output_tag>&>(*c).linked()) host->rest_soon(*c, c->last_received_at);
  // What happened before anybody listened to it.
  std::uint8_t ready = ready_connected | ready_to_write;
  if (!c->busy->receive.ready().empty() || c->fin_received || c->failed) ready |= ready_to_read;
  if (c->current == tcp::state::closed) ready |= ready_closed;
  host->notify(*c, ready);
  if (!queue.empty()) host->notify(*this, ready_to_accept);
  return c;
}

void port::release(instant now) {
  auto& m = *host;
  for (auto& group : m.half_opens.by_retries) {
    for (auto* entry = group.front(); entry != nullptr;) {
      auto* const next = group.next(*entry);
      if (entry->where == this) m.forget(*entry);
      entry = next;
    }
  }
  for (auto* c : queue) {
    c->parent = nullptr;
    c->abort(now);
    c->release(now);
  }
  queue.clear();
  (void)options();
  static_cast<hook<event_tag>&>(*this).unlink();
  std::erase_if(m.ports, [this](auto const& one) { return one.get() == this; });
}

}  // namespace morgana::net::tcp
