#include "morgana/sim/middlebox.hpp"

#include <algorithm>

#include "direction.hpp"

namespace morgana::sim {

void option_stripper::pass(std::size_t from, frame seen, instant) {
  std::span<std::byte> const bytes = seen.bytes;
  if (auto const t = tcp_packet::parse(bytes)) {
    bool changed = false;
    for (auto i = t->options; i + 1 < t->payload;) {
      auto const kind = get8(bytes, i);
      if (kind == 0) break;
      auto const size = kind == 1 ? 1u : get8(bytes, i + 1);
      if (size == 0 || i + size > t->payload) break;
      if (kind != 1 && std::ranges::find(kinds_, kind) != kinds_.end()) {
        for (std::size_t k = 0; k < size; ++k) put8(bytes, i + k, 1);
        changed = true;
      }
      i += size;
    }
    if (changed) fix_checksums(bytes, t->at);
  }
  send(1 - from, std::move(seen));
}

void mss_clamper::pass(std::size_t from, frame seen, instant) {
  std::span<std::byte> const bytes = seen.bytes;
  auto const t = tcp_packet::parse(bytes);
  if (t && t->has(syn)) {
    for (auto i = t->options; i + 3 < t->payload;) {
      auto const kind = get8(bytes, i);
      if (kind == 0) break;
      auto const size = kind == 1 ? 1u : get8(bytes, i + 1);
      if (size == 0) break;
      if (kind == 2 && size == 4 && get16(bytes, i + 2) > bytes_) {
        put16(bytes, i + 2, bytes_);
        fix_checksums(bytes, t->at);
      }
      i += size;
    }
  }
  send(1 - from, std::move(seen));
}

void ecn_bleacher::pass(std::size_t from, frame seen, instant) {
  std::span<std::byte> const bytes = seen.bytes;
  if (auto const at = packet::parse(bytes)) {
    // The traffic class: IPv6 has it four bits further on.
    put8(bytes, at->ip + 1, get8(bytes, at->ip + 1) & (at->is_v6 ? 0xcfu : 0xfcu));
    if (!at->is_v6) {
      put16(bytes, at->ip + 10, 0);
      auto const header = bytes.subspan(at->ip, (get8(bytes, at->ip) & 15u) * 4u);
      put16(bytes, at->ip + 10, static_cast<std::uint16_t>(~plain_sum(header)));
    }
  }
  send(1 - from, std::move(seen));
}

void segment_splitter::pass(std::size_t from, frame seen, instant) {
  auto const t = tcp_packet::parse(seen.bytes);
  if (!t || t->size() <= bytes_ || (t->flags & (syn | rst | urg)) != 0 ||
      !wrong_checksums(seen.bytes).empty()) {
    return send(1 - from, std::move(seen));
  }
  std::size_t number = 0;
  for (std::size_t done = 0; done < t->size(); done += bytes_, ++number) {
    send(1 - from, cut_part(seen, *t, done, std::min<std::size_t>(bytes_, t->size() - done), number));
  }
}

// ---- coalescing --------------------------------------------------------------------------------------

void segment_coalescer::flush(std::size_t from) {
  if (!held_[from]) return;
  send(1 - from, std::move(*held_[from]));
  held_[from].reset();
  until_[from] = never;
}

instant segment_coalescer::next_deadline() const {
  return std::min(until_[0], until_[1]);
}

void segment_coalescer::on_deadline(instant now) {
  for (std::size_t from = 0; from < 2; ++from) {
    if (until_[from] <= now) flush(from);
  }
}

void segment_coalescer::pass(std::size_t from, frame seen, instant now) {
  auto const t = tcp_packet::parse(seen.bytes);
  constexpr std::uint8_t special = syn | fin | rst | urg | ece | cwr;
  bool const may_wait =
      t && t->size() != 0 && (t->flags & special) == 0 && wrong_checksums(seen.bytes).empty();
  if (!may_wait) {
    flush(from);
    return send(1 - from, std::move(seen));
  }
  if (held_[from]) {
    auto& held = held_[from]->bytes;
    auto const first = tcp_packet::parse(held);
    auto const same_head = [&] {
      // Ports, acknowledgment, window and options; addresses, and the same place for them.
      auto const equal = [&](std::size_t offset, std::size_t size) {
        return std::equal(held.begin() + static_cast<std::ptrdiff_t>(offset),
                          held.begin() + static_cast<std::ptrdiff_t>(offset + size),
                          seen.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
      };
      return first->at.upper == t->at.upper && first->payload == t->payload &&
             first->at.is_v6 == t->at.is_v6 && equal(first->at.upper, 4) && equal(first->at.upper + 8, 4) &&
             equal(first->at.upper + 14, 2) && equal(first->options, first->payload - first->options) &&
             equal(t->at.ip + (t->at.is_v6 ? 8 : 12), t->at.is_v6 ? 32 : 8);
    };
    if (first && same_head() && first->sequence + first->size() == t->sequence &&
        first->size() + t->size() <= bytes_) {
      held.resize(first->at.end);
      held.insert(held.end(), seen.bytes.begin() + static_cast<std::ptrdiff_t>(t->payload),
                  seen.bytes.begin() + static_cast<std::ptrdiff_t>(t->at.end));
      auto at = first->at;
      at.end = held.size();
      fix_lengths(held, at, at.end);
      put8(held, at.upper + 13, first->flags | t->flags);
      fix_checksums(held, at);
      return;
    }
  }
  flush(from);
  held_[from] = std::move(seen);
  until_[from] = after(now, hold_);
}

// ---- resets ------------------------------------------------------------------------------------------

void reset_injector::pass(std::size_t from, frame seen, instant) {
  auto const t = tcp_packet::parse(seen.bytes);
  bool const strikes = t && t->size() != 0 && (t->flags & (syn | rst)) == 0 && random_.chance(millionths_);
  std::optional<frame> forged;
  if (strikes) {
    forged = seen;
    auto at = t->at;
    at.end = at.upper + 20;
    forged->bytes.resize(at.end);
    std::span<std::byte> const bytes = forged->bytes;
    auto const beyond = how_ == aim::exact ? 0u : static_cast<std::uint32_t>(random_.between(1, 200));
    put32(bytes, at.upper + 4, t->sequence + t->length() + beyond);
    put16(bytes, at.upper + 12, 0x5000u | rst);
    fix_lengths(bytes, at, at.end);
    fix_checksums(bytes, at);
    ++injected_;
  }
  send(1 - from, std::move(seen));
  if (forged) send(1 - from, std::move(*forged));
}

// ---- ports -------------------------------------------------------------------------------------------

void port_translator::pass(std::size_t from, frame seen, instant) {
  std::span<std::byte> const bytes = seen.bytes;
  auto const at = packet::parse(bytes);
  if (at && from == 1 && wrong_checksums(bytes).empty()) {
    if (auto const quoted = quotation::find(bytes, *at)) {
      // An error about what the host sent, which quotes it with the port it had outside.
      auto const family = (at->is_v6 ? 0x1000'0000u : 0u) | std::uint32_t{quoted->protocol} << 16;
      auto const known = outside_to_inside_.find(family | get16(bytes, quoted->upper));
      if (known != outside_to_inside_.end()) put16(bytes, quoted->upper, known->second);
      fix_checksums(bytes, *at);
      return send(0, std::move(seen));
    }
  }
  if (!at || !(at->is_tcp() || at->is_udp()) || at->is_fragment || !wrong_checksums(bytes).empty()) {
    return send(1 - from, std::move(seen));
  }
  auto const kind = (at->is_v6 ? 0x1000'0000u : 0u) | std::uint32_t{at->protocol} << 16;
  if (from == 0) {
    auto const inside = get16(bytes, at->upper);
    auto const known = inside_to_outside_.find(kind | inside);
    auto outside = known == inside_to_outside_.end() ? std::uint16_t{0} : known->second;
    if (outside == 0) {
      // Only what it begins itself: a listener's ports are forwarded as they are.
      bool const begins = at->is_tcp() && (get8(bytes, at->upper + 13) & (syn | ack)) == syn;
      auto const is_new = begins || (at->is_tcp() && inside >= 32'768);
      if (!is_new) return send(1, std::move(seen));
      outside = static_cast<std::uint16_t>(first_port + next_++ % ports_max);
      inside_to_outside_[kind | inside] = outside;
      outside_to_inside_[kind | outside] = static_cast<std::uint16_t>(inside);
    }
    put16(bytes, at->upper, outside);
  } else {
    auto const outside = get16(bytes, at->upper + 2);
    auto const known = outside_to_inside_.find(kind | outside);
    if (known != outside_to_inside_.end()) {
      put16(bytes, at->upper + 2, known->second);
    } else if (outside >= first_port && outside < first_port + ports_max) {
      return;
    }
  }
  fix_checksums(bytes, *at);
  send(1 - from, std::move(seen));
}

}  // namespace morgana::sim
