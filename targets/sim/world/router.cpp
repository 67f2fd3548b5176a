#include "morgana/sim/router.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace morgana::sim {

namespace {

constexpr std::size_t ethernet_bytes = 14;
constexpr std::uint32_t type_v4 = 0x0800, type_arp = 0x0806, type_v6 = 0x86dd;
constexpr std::uint8_t icmp_v4 = 1, icmp_v6 = 58;
constexpr std::uint8_t solicitation = 135, advertisement = 136;
constexpr std::uint32_t v6_mtu_min = 1280;
constexpr std::uint8_t asked_max = 3;
constexpr duration ask_again = 1s;

/// RFC 1812 4.3.2.7 and RFC 4443 2.4 (e): nothing is said about errors, about packets to many, about
/// fragments but the first, and to nobody.
bool may_answer(std::span<std::byte const> bytes, packet const& at) {
  if (!at.is_first || at.end - at.upper < 8) return false;
  if ((get8(bytes, 0) & 1u) != 0) return false;
  auto const from = at.source(bytes);
  if (std::ranges::all_of(from, [](std::byte b) { return b == std::byte{0}; })) return false;
  auto const type = get8(bytes, at.upper);
  if (at.is_v6) return get8(bytes, at.ip + 24) != 0xff && !(at.protocol == icmp_v6 && type < 128);
  if (get8(bytes, at.ip + 16) >= 224) return false;
  return !(at.protocol == icmp_v4 && type != 0 && type != 8);
}

}  // namespace

router::address router::of(net::ip_address const& from) {
  address made;
  made.is_v6 = from.is_v6();
  if (made.is_v6) {
    std::memcpy(made.bytes.data(), from.v6().bytes.data(), 16);
  } else {
    std::memcpy(made.bytes.data(), from.v4().bytes.data(), 4);
  }
  return made;
}

router::address router::read(std::span<std::byte const> bytes) {
  address made;
  made.is_v6 = bytes.size() == 16;
  std::ranges::copy(bytes, made.bytes.begin());
  return made;
}

bool router::covers(prefix const& which, address const& one) {
  if (which.network.is_v6 != one.is_v6) return false;
  for (std::size_t bit = 0; bit < which.bits; ++bit) {
    auto const mask = static_cast<std::byte>(0x80u >> bit % 8);
    if (((which.network.bytes[bit / 8] ^ one.bytes[bit / 8]) & mask) != std::byte{0}) return false;
  }
  return true;
}

router::router(std::vector<router_port> ports, std::vector<router_route> routes)
    : ports_(std::move(ports)), out_(ports_.size()) {
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    own_.push_back({of(ports_[i].v4.address), of(ports_[i].v6.address)});
    for (auto const& own : {ports_[i].v4, ports_[i].v6}) {
      routes_.push_back({of(own.address), own.prefix_bits, i, std::nullopt});
    }
  }
  for (auto const& one : routes) {
    auto const by = one.gateway ? std::optional(of(*one.gateway)) : std::nullopt;
    routes_.push_back({of(one.to.address), one.to.prefix_bits, one.port, by});
  }
}

void router::translate_at(std::size_t port, translator_settings const& how) {
  translated_port_ = port;
  auto settings = how;
  settings.address = get32(own(port, false).bytes, 0);
  translator_.emplace(settings);
}

router::prefix const* router::find_route(address const& to) const {
  prefix const* best = nullptr;
  for (auto const& one : routes_) {
    if (covers(one, to) && (best == nullptr || one.bits > best->bits)) best = &one;
  }
  return best;
}

bool router::is_own(address const& one) const {
  return std::ranges::any_of(own_, [&](auto const& both) { return both[0] == one || both[1] == one; });
}

// ---- what arrives --------------------------------------------------------------------------------------

void router::receive(std::size_t port, frame& arrived, instant now) {
  if (arrived.size() < ethernet_bytes) return;
  std::span<std::byte const> const bytes = arrived.bytes;
  bool const is_group = (get8(bytes, 0) & 1u) != 0;
  if (!is_group && std::memcmp(bytes.data(), ports_[port].mac.data(), 6) != 0) return;
  if (get16(bytes, 12) == type_arp) return on_arp(port, arrived, now);
  auto const at = packet::parse(bytes);
  if (!at) return;
  if (!at->is_v6 && plain_sum(bytes.subspan(at->ip, (get8(bytes, at->ip) & 15u) * 4u)) != 0xffff) {
    ++counters_.malformed;
    return;
  }
  // The translator's own address stands for hosts behind it.
  bool const translates = translator_ && port == translated_port_ && !at->is_v6 &&
                          get32(bytes, at->ip + 16) == translator_->address();
  if (is_group || (!translates && is_own(read(at->destination(bytes)))))
    return on_own(port, arrived, *at, now);
  forward(port, std::move(arrived), *at, now);
}

void router::on_arp(std::size_t port, frame const& seen, instant now) {
  std::span<std::byte const> const bytes = seen.bytes;
  if (bytes.size() < ethernet_bytes + 28 || get32(bytes, 14) != 0x0001'0800) return;
  auto const sender = read(bytes.subspan(28, 4));
  auto const target = read(bytes.subspan(38, 4));
  if (get32(bytes, 28) != 0) learn(port, sender, bytes.subspan(22, 6), now);
  if (get16(bytes, 20) != 1 || target != own(port, false)) return;
  frame reply;
  reply.bytes.resize(ethernet_bytes + 28);
  std::span<std::byte> const out = reply.bytes;
  std::memcpy(out.data(), bytes.data() + 6, 6);
  std::memcpy(out.data() + 6, ports_[port].mac.data(), 6);
  put16(out, 12, type_arp);
  std::memcpy(out.data() + 14, bytes.data() + 14, 6);
  put16(out, 20, 2);
  std::memcpy(out.data() + 22, ports_[port].mac.data(), 6);
  std::memcpy(out.data() + 28, bytes.data() + 38, 4);
  std::memcpy(out.data() + 32, bytes.data() + 22, 10);
  out_.put(port, std::move(reply));
}

frame router::start_frame(std::size_t port, bool is_v6) const {
  frame made;
  made.bytes.resize(ethernet_bytes);
  std::memcpy(made.bytes.data() + 6, ports_[port].mac.data(), 6);
  put16(made.bytes, 12, is_v6 ? type_v6 : type_v4);
  return made;
}

void router::on_own(std::size_t port, frame const& seen, packet const& at, instant now) {
  std::span<std::byte const> const bytes = seen.bytes;
  if (!wrong_checksums(bytes).empty() || at.is_fragment || at.end - at.upper < 8) return;
  auto const type = get8(bytes, at.upper);
  if (at.is_v6 && at.protocol == icmp_v6 && (type == solicitation || type == advertisement)) {
    // RFC 4861 7.1: never from beyond the link.
    if (get8(bytes, at.ip + 7) != 255 || at.end - at.upper < 24) return;
    auto const target = read(bytes.subspan(at.upper + 8, 16));
    auto const option = at.upper + 24;
    bool const has_address = at.end - option >= 8 && get8(bytes, option) == (type == solicitation ? 1 : 2);
    if (type == advertisement) {
      if (has_address) learn(port, target, bytes.subspan(option + 2, 6), now);
      return;
    }
    auto const from = read(at.source(bytes));
    if (from == address{{}, true}) return;  // it asks for itself
    if (has_address) learn(port, from, bytes.subspan(option + 2, 6), now);
    if (target != own(port, true)) return;
    auto made = start_frame(port, true);
    made.bytes.resize(ethernet_bytes + 40 + 32);
    std::span<std::byte> const out = made.bytes;
    std::memcpy(out.data(), bytes.data() + 6, 6);
    put32(out, 14, 0x6000'0000);
    put16(out, 18, 32);
    put16(out, 20, icmp_v6 << 8 | 255);
    std::ranges::copy(target.bytes, out.begin() + 22);
    std::ranges::copy(from.bytes, out.begin() + 38);
    put8(out, 54, advertisement);
    put32(out, 58, 0xe000'0000);  // a router, asked for, replacing what was known
    std::ranges::copy(target.bytes, out.begin() + 62);
    put16(out, 78, 0x0201);
    std::memcpy(out.data() + 80, ports_[port].mac.data(), 6);
    fix_checksums(out, *packet::parse(out));
    out_.put(port, std::move(made));
    return;
  }
  bool const is_echo = at.is_v6 ? at.protocol == icmp_v6 && type == 128 : at.protocol == icmp_v4 && type == 8;
  if (!is_echo || (get8(bytes, 0) & 1u) != 0) return;
  auto answer = seen;
  std::span<std::byte> const out = answer.bytes;
  auto const size = at.is_v6 ? std::size_t{16} : std::size_t{4};
  auto const first = at.ip + (at.is_v6 ? 8 : 12);
  std::swap_ranges(out.begin() + static_cast<std::ptrdiff_t>(first),
                   out.begin() + static_cast<std::ptrdiff_t>(first + size),
                   out.begin() + static_cast<std::ptrdiff_t>(first + size));
  put8(out, at.upper, at.is_v6 ? 129 : 0);
  fix_checksums(out, at);
  auto const to = read(at.source(bytes));
  if (auto const* const by = find_route(to)) send_to(*by, by->gateway.value_or(to), std::move(answer), now);
}

// ---- forwarding ----------------------------------------------------------------------------------------

void router::forward(std::size_t port, frame&& seen, packet const& at, instant now) {
  std::span<std::byte> const bytes = seen.bytes;
  auto const hops = at.ip + (at.is_v6 ? 7 : 8);
  if (get8(bytes, hops) <= 1) {
    ++counters_.expired;
    return send_error(port, seen, at, at.is_v6 ? 3 : 11, 0, 0, now);
  }
  // RFC 4291 2.5.6: a link-local address means nothing on another link.
  if (at.is_v6 && (get16(bytes, at.ip + 8) & 0xffc0) == 0xfe80) return;
  auto const original = seen;  // what an error is about
  bool const comes_in = translator_ && port == translated_port_ && !at.is_v6;
  if (comes_in && get32(bytes, at.ip + 16) == translator_->address() &&
      !translator_->incoming(bytes, at, now)) {
    ++counters_.not_translated;
    return;
  }
  auto const to = read(at.destination(bytes));
  auto const* const by = find_route(to);
  if (by == nullptr) {
    ++counters_.no_route;
    return send_error(port, original, at, at.is_v6 ? 1 : 3, 0, 0, now);
  }
  auto const size = at.end - at.ip;
  auto const mtu = at.is_v6 ? std::max(ports_[by->port].mtu_bytes, v6_mtu_min) : ports_[by->port].mtu_bytes;
  bool const may_cut = !at.is_v6 && (get16(bytes, at.ip + 6) & 0x4000) == 0;
  if (size > mtu && !may_cut) {
    ++counters_.too_big;
    return at.is_v6 ? send_error(port, original, at, 2, 0, mtu, now)
                    : send_error(port, original, at, 3, 4, mtu, now);
  }
  if (translator_ && by->port == translated_port_ && port != translated_port_ && !at.is_v6 &&
      !translator_->outgoing(bytes, at, now)) {
    ++counters_.not_translated;
    return;
  }
  put8(bytes, hops, get8(bytes, hops) - 1);
  if (!at.is_v6) {
    put16(bytes, at.ip + 10, 0);
    put16(bytes, at.ip + 10,
          static_cast<std::uint16_t>(~plain_sum(bytes.subspan(at.ip, (get8(bytes, at.ip) & 15u) * 4u))));
  }
  seen.bytes.resize(at.end);
  ++counters_.forwarded;
  auto const next = by->gateway.value_or(to);
  if (size > mtu) return send_cut(*by, std::move(seen), at, next, now);
  send_to(*by, next, std::move(seen), now);
}

void router::send_cut(prefix const& by, frame&& whole, packet const& at, address const& to, instant now) {
  // RFC 791 3.2; options are not ours to sort out, so all go with all.
  ++counters_.fragmented;
  std::span<std::byte const> const bytes = whole.bytes;
  auto const header = (get8(bytes, at.ip) & 15u) * std::size_t{4};
  auto const body = at.ip + header;
  auto const size = at.end - body;
  auto const most = (ports_[by.port].mtu_bytes - header) / 8 * 8;
  auto const field = get16(bytes, at.ip + 6);
  for (std::size_t done = 0; done < size; done += most) {
    auto const some = std::min(most, size - done);
    frame part;
    part.bytes.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(body));
    auto const from = bytes.begin() + static_cast<std::ptrdiff_t>(body + done);
    part.bytes.insert(part.bytes.end(), from, from + static_cast<std::ptrdiff_t>(some));
    std::span<std::byte> const out = part.bytes;
    put16(out, at.ip + 2, static_cast<std::uint32_t>(header + some));
    bool const is_last = done + some == size && (field & 0x2000) == 0;
    put16(out, at.ip + 6,
          static_cast<std::uint32_t>(((field & 0x1fff) + done / 8) | (is_last ? 0u : 0x2000u)));
    put16(out, at.ip + 10, 0);
    put16(out, at.ip + 10, static_cast<std::uint16_t>(~plain_sum(out.subspan(at.ip, header))));
    ++counters_.fragments;
    send_to(by, to, std::move(part), now);
  }
}

void router::send_to(prefix const& by, address const& to, frame&& made, instant now) {
  std::memcpy(made.bytes.data() + 6, ports_[by.port].mac.data(), 6);
  auto& about = neighbors_[to];
  about.port = by.port;
  if (about.until <= now) about.is_known = false;
  if (about.is_known) {
    std::ranges::copy(about.mac, made.bytes.begin());
    return out_.put(by.port, std::move(made));
  }
  if (about.waiting.size() == waiting_max) {
    about.waiting.erase(about.waiting.begin());
    ++counters_.unresolved;
  }
  about.waiting.push_back(std::move(made));
  if (about.again != never) return;
  about.asked = 1;
  about.again = now + ask_again;
  ask(to, about);
}

void router::ask(address const& whom, neighbor& about) {
  auto made = start_frame(about.port, whom.is_v6);
  auto const& mac = ports_[about.port].mac;
  auto const self = own(about.port, whom.is_v6);
  if (!whom.is_v6) {
    made.bytes.resize(ethernet_bytes + 28);
    std::span<std::byte> const out = made.bytes;
    std::ranges::fill(out.first(6), std::byte{0xff});
    put16(out, 12, type_arp);
    put32(out, 14, 0x0001'0800);
    put32(out, 18, 0x0604'0001);
    std::memcpy(out.data() + 22, mac.data(), 6);
    std::copy_n(self.bytes.begin(), 4, out.begin() + 28);
    std::copy_n(whom.bytes.begin(), 4, out.begin() + 38);
    return out_.put(about.port, std::move(made));
  }
  made.bytes.resize(ethernet_bytes + 40 + 32);
  std::span<std::byte> const out = made.bytes;
  put16(out, 0, 0x3333);
  put32(out, 2, 0xff00'0000);
  std::copy_n(whom.bytes.begin() + 13, 3, out.begin() + 3);
  put32(out, 14, 0x6000'0000);
  put16(out, 18, 32);
  put16(out, 20, icmp_v6 << 8 | 255);
  std::ranges::copy(self.bytes, out.begin() + 22);
  // The solicited-node group (RFC 4291 2.7.1).
  put16(out, 38, 0xff02);
  put8(out, 49, 1);
  put8(out, 50, 0xff);
  std::copy_n(whom.bytes.begin() + 13, 3, out.begin() + 51);
  put8(out, 54, solicitation);
  std::ranges::copy(whom.bytes, out.begin() + 62);
  put16(out, 78, 0x0101);
  std::memcpy(out.data() + 80, mac.data(), 6);
  fix_checksums(out, *packet::parse(out));
  out_.put(about.port, std::move(made));
}

void router::learn(std::size_t port, address const& who, std::span<std::byte const> mac, instant now) {
  auto& about = neighbors_[who];
  about.port = port;
  about.is_known = true;
  about.until = now + neighbor_lifetime;
  about.again = never;
  std::ranges::copy(mac, about.mac.begin());
  for (auto& one : std::exchange(about.waiting, {})) {
    std::ranges::copy(about.mac, one.bytes.begin());
    out_.put(port, std::move(one));
  }
}

instant router::next_deadline() const {
  auto first = never;
  for (auto const& [who, about] : neighbors_) first = std::min(first, about.again);
  return first;
}

void router::on_deadline(instant now) {
  for (auto& [who, about] : neighbors_) {
    if (about.again > now) continue;
    if (about.asked == asked_max) {
      // RFC 4861 7.2.2: what waited is not delivered; it is said to nobody, as by a router that is busy.
      counters_.unresolved += about.waiting.size();
      about.waiting.clear();
      about.again = never;
      continue;
    }
    ++about.asked;
    about.again = now + ask_again;
    ask(who, about);
  }
}

// ---- errors --------------------------------------------------------------------------------------------

void router::send_error(std::size_t port, frame const& about, packet const& at, std::uint8_t type,
                        std::uint8_t code, std::uint32_t rest, instant now) {
  std::span<std::byte const> const bytes = about.bytes;
  if (!may_answer(bytes, at)) return;
  if (now - errors_since_ >= 1s) {
    errors_since_ = now;
    errors_left_ = errors_per_s;
  }
  if (errors_left_ == 0) {
    ++counters_.errors_suppressed;
    return;
  }
  --errors_left_;
  ++counters_.errors_sent;
  // As much of it as fits: RFC 1812 4.3.2.3 has 576 bytes, RFC 4443 2.4 (c) 1280.
  auto const header = at.is_v6 ? std::size_t{40} : std::size_t{20};
  auto const quoted = std::min<std::size_t>(at.end - at.ip, (at.is_v6 ? 1280u : 576u) - header - 8);
  auto made = start_frame(port, at.is_v6);
  made.bytes.resize(ethernet_bytes + header + 8);
  made.bytes.insert(made.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at.ip),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at.ip + quoted));
  std::span<std::byte> const out = made.bytes;
  auto const self = own(port, at.is_v6);
  auto const to = at.source(bytes);
  if (at.is_v6) {
    put32(out, 14, 0x6000'0000);
    put16(out, 18, static_cast<std::uint32_t>(8 + quoted));
    put16(out, 20, icmp_v6 << 8 | 64);
    std::ranges::copy(self.bytes, out.begin() + 22);
    std::ranges::copy(to, out.begin() + 38);
  } else {
    put16(out, 14, 0x4500);
    put16(out, 16, static_cast<std::uint32_t>(28 + quoted));
    put16(out, 18, next_identification_++);
    put16(out, 22, 64 << 8 | icmp_v4);
    std::copy_n(self.bytes.begin(), 4, out.begin() + 26);
    std::ranges::copy(to, out.begin() + 30);
  }
  auto const upper = ethernet_bytes + header;
  put8(out, upper, type);
  put8(out, upper + 1, code);
  put32(out, upper + 4, rest);
  fix_checksums(out, *packet::parse(out));
  auto const whom = read(to);
  if (auto const* const by = find_route(whom)) send_to(*by, by->gateway.value_or(whom), std::move(made), now);
}

}  // namespace morgana::sim
