#include <algorithm>
#include <cstring>

#include "morgana/sim/middlebox.hpp"

namespace morgana::sim {

namespace {

constexpr duration retry_after = 1s;
constexpr std::uint8_t tries_max = 10;

/// A segment without payload, made from one seen: towards where that came from, or on.
frame make(frame const& like, tcp_packet const& t, bool turned, std::uint32_t sequence,
           std::uint32_t acknowledgment, std::uint8_t flags, std::uint16_t window,
           std::uint16_t segment_bytes) {
  frame made;
  auto at = t.at;
  auto const header = segment_bytes == 0 ? std::size_t{20} : std::size_t{24};
  at.end = at.upper + header;
  made.bytes.assign(like.bytes.begin(), like.bytes.begin() + static_cast<std::ptrdiff_t>(at.upper + 20));
  made.bytes.resize(at.end);
  std::span<std::byte> const bytes = made.bytes;
  if (turned) {
    std::swap_ranges(bytes.begin(), bytes.begin() + 6, bytes.begin() + 6);
    auto const address = at.is_v6 ? std::ptrdiff_t{16} : std::ptrdiff_t{4};
    auto const first = bytes.begin() + static_cast<std::ptrdiff_t>(at.ip + (at.is_v6 ? 8 : 12));
    std::swap_ranges(first, first + address, first + address);
    put16(bytes, at.upper, t.destination_port);
    put16(bytes, at.upper + 2, t.source_port);
  }
  put32(bytes, at.upper + 4, sequence);
  put32(bytes, at.upper + 8, acknowledgment);
  put8(bytes, at.upper + 12, static_cast<std::uint32_t>(header / 4) << 4);
  put8(bytes, at.upper + 13, flags);
  put16(bytes, at.upper + 14, window);
  put16(bytes, at.upper + 18, 0);
  if (segment_bytes != 0) {
    put16(bytes, at.upper + 20, 0x0204);
    put16(bytes, at.upper + 22, segment_bytes);
  }
  fix_lengths(bytes, at, at.end);
  fix_checksums(bytes, at);
  return made;
}

std::array<std::byte, 40> key_of(std::span<std::byte const> bytes, tcp_packet const& t, bool from_client) {
  std::array<std::byte, 40> key{};
  auto const client = from_client ? t.at.source(bytes) : t.at.destination(bytes);
  auto const host = from_client ? t.at.destination(bytes) : t.at.source(bytes);
  std::ranges::copy(client, key.begin());
  std::ranges::copy(host, key.begin() + 16);
  put16(key, 32, from_client ? t.source_port : t.destination_port);
  put16(key, 34, from_client ? t.destination_port : t.source_port);
  put8(key, 36, t.at.is_v6 ? 6 : 4);
  return key;
}

}  // namespace

void syn_proxy::pass(std::size_t from, frame seen, instant now) {
  auto const t = tcp_packet::parse(seen.bytes);
  // What is broken would be repaired by translating it: it passes as it is, for the host to refuse.
  if (!t && from == 1) translate_quotation(seen);
  if (!t || !wrong_checksums(seen.bytes).empty()) return send(1 - from, std::move(seen));
  if (from == 1) return from_client(std::move(seen), *t, now);
  from_host(std::move(seen), *t);
}

void syn_proxy::translate_quotation(frame& seen) {
  std::span<std::byte> const bytes = seen.bytes;
  auto const at = packet::parse(bytes);
  if (!at || !wrong_checksums(bytes).empty()) return;
  auto const quoted = quotation::find(bytes, *at);
  if (!quoted || quoted->protocol != 6) return;
  auto const upper = quoted->upper;
  key which{};
  std::ranges::copy(quoted->destination(bytes), which.begin());
  std::ranges::copy(quoted->source(bytes), which.begin() + 16);
  put16(which, 32, get16(bytes, upper + 2));
  put16(which, 34, get16(bytes, upper));
  put8(which, 36, at->is_v6 ? 6 : 4);
  auto const known = flows_.find(which);
  if (known == flows_.end() || known->second.phase != phase::open) return;
  put32(bytes, upper + 4, get32(bytes, upper + 4) - known->second.shift);
  fix_checksums(bytes, *at);
}

void syn_proxy::open_to_host(flow& f, instant now) {
  auto const t = tcp_packet::parse(f.client_frame.bytes);
  f.phase = phase::opening;
  f.again = after(now, retry_after);
  ++f.tries;
  send(0, make(f.client_frame, *t, false, f.client_initial, 0, syn, f.client_window, f.segment_bytes));
}

void syn_proxy::from_client(frame&& seen, tcp_packet const& t, instant now) {
  auto const which = key_of(seen.bytes, t, true);
  auto const known = flows_.find(which);
  if (t.has(syn) && !t.has(ack)) {
    if (known != flows_.end() && known->second.client_initial == t.sequence &&
        known->second.phase != phase::answered) {
      return;  // late; both ends are past it
    }
    if (known == flows_.end() && flows_.size() >= flows_max) return;
    auto& f = flows_[which];
    if (f.client_initial != t.sequence || f.client_frame.size() == 0) {
      f = flow();
      f.client_initial = t.sequence;
      f.proxy_initial = static_cast<std::uint32_t>(random_.next());
      f.client_window = t.window;
      f.segment_bytes = t.maximum_segment_size.value_or(std::uint16_t{536});
      f.client_frame = seen;
    }
    return send(1, make(seen, t, true, f.proxy_initial, t.sequence + 1, syn | ack, 0, f.segment_bytes));
  }
  if (known == flows_.end()) return send(0, std::move(seen));
  auto& f = known->second;
  if (f.phase == phase::answered) {
    if (!t.has(ack) || t.has(rst) || t.acknowledgment != f.proxy_initial + 1) return;
    f.client_window = t.window;
    f.client_frame = std::move(seen);
    return open_to_host(f, now);
  }
  if (f.phase == phase::opening) {
    // It will come again. What it looks like now may be better than what was kept: link addresses change.
    f.client_frame = std::move(seen);
    f.tries = 0;
    if (f.again == never) open_to_host(f, now);
    return;
  }
  std::span<std::byte> const bytes = seen.bytes;
  if (t.has(ack)) put32(bytes, t.at.upper + 8, t.acknowledgment - f.shift);
  fix_checksums(bytes, t.at);
  send(0, std::move(seen));
}

void syn_proxy::from_host(frame&& seen, tcp_packet const& t) {
  auto const known = flows_.find(key_of(seen.bytes, t, false));
  if (known == flows_.end() || known->second.phase == phase::answered) return send(1, std::move(seen));
  auto& f = known->second;
  if (f.phase == phase::opening && t.has(syn | ack) && t.acknowledgment == f.client_initial + 1) {
    f.phase = phase::open;
    f.again = never;
    f.shift = f.proxy_initial - t.sequence;
  }
  if (f.phase == phase::open && t.has(syn)) {
    // Also when it comes again, our acknowledgment having been lost.
    send(0, make(seen, t, true, f.client_initial + 1, t.sequence + 1, ack, f.client_window, 0));
    return send(1, make(seen, t, false, f.proxy_initial + 1, f.client_initial + 1, ack, t.window, 0));
  }
  std::span<std::byte> const bytes = seen.bytes;
  if (f.phase == phase::opening) {
    if (!t.has(rst)) return;
    put32(bytes, t.at.upper + 4, f.proxy_initial + 1);
  } else {
    put32(bytes, t.at.upper + 4, t.sequence + f.shift);
  }
  fix_checksums(bytes, t.at);
  send(1, std::move(seen));
}

instant syn_proxy::next_deadline() const {
  auto next = never;
  for (auto const& [which, f] : flows_) next = std::min(next, f.again);
  return next;
}

void syn_proxy::on_deadline(instant now) {
  for (auto& [which, f] : flows_) {
    if (f.again > now) continue;
    f.again = never;
    if (f.phase == phase::opening && f.tries < tries_max) open_to_host(f, now);
  }
}

}  // namespace morgana::sim
