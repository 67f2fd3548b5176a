#include "raw_node.hpp"

#include <algorithm>
#include <iterator>

#include "morgana/sim/packet.hpp"

namespace morgana::python {

using namespace sim;

namespace {

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t arp_bytes = 28;
constexpr std::size_t ipv6_bytes = 40;
constexpr std::size_t solicitation_bytes = 24;

void copy(std::span<std::byte const> from, std::span<std::byte> into, std::size_t at) {
  std::ranges::copy(from, into.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

void raw_node::fetch(std::uint64_t operation) {
  if (arrived_.empty()) {
    waiting_.push_back(operation);
    return;
  }
  finished_->push_back({operation, {}, std::move(arrived_.front())});
  arrived_.pop_front();
}

std::vector<arrival> raw_node::take() {
  std::vector<arrival> all(std::make_move_iterator(arrived_.begin()),
                           std::make_move_iterator(arrived_.end()));
  arrived_.clear();
  return all;
}

sim::frame frame_of(std::string_view bytes) {
  frame made;
  auto const all = std::as_bytes(std::span(bytes));
  made.bytes.assign(all.begin(), all.end());
  return made;
}

void filter_node::receive(std::size_t port, frame& seen, instant) {
  std::string_view const bytes(reinterpret_cast<char const*>(seen.bytes.data()), seen.bytes.size());
  std::vector<std::string> onward;
  if (!pass_(bytes, static_cast<std::uint32_t>(port), onward)) {
    *failed_ = true;
    return;
  }
  for (auto const& one : onward) out_.put(1 - port, frame_of(one));
}

void raw_node::receive(std::size_t port, frame& seen, instant) {
  if (!addresses_.empty() && answers_neighbor(port, seen)) return;
  *told = true;
  arrival one{std::string(reinterpret_cast<char const*>(seen.bytes.data()), seen.bytes.size()), *world_now,
              static_cast<std::uint32_t>(port)};
  if (!waiting_.empty()) {
    finished_->push_back({waiting_.front(), {}, std::move(one)});
    waiting_.pop_front();
    return;
  }
  if (arrived_.size() == frames_max) {
    arrived_.pop_front();
    ++dropped_;
  }
  arrived_.push_back(std::move(one));
}

bool raw_node::is_own(std::span<std::byte const> address, bool is_v6) const {
  return std::ranges::any_of(addresses_, [&](net::ip_address const& one) {
    if (one.is_v6() != is_v6) return false;
    auto const same = [](std::byte left, std::uint8_t right) { return left == std::byte{right}; };
    return is_v6 ? std::ranges::equal(address, one.v6().bytes, same)
                 : std::ranges::equal(address, one.v4().bytes, same);
  });
}

bool raw_node::answers_neighbor(std::size_t port, frame const& seen) {
  std::span<std::byte const> const bytes = seen.bytes;
  auto const mac = std::as_bytes(std::span(mac_.bytes));
  if (bytes.size() < ethernet_bytes) return false;
  auto const type = get16(bytes, 12);
  frame reply;
  if (type == 0x0806) {
    if (bytes.size() < ethernet_bytes + arp_bytes || get16(bytes, 20) != 1) return false;
    if (!is_own(bytes.subspan(38, 4), false)) return false;
    // Who is asked answers, with both ends changed about (RFC 826).
    reply.bytes.assign(bytes.begin(), bytes.begin() + ethernet_bytes + arp_bytes);
    std::span<std::byte> const made = reply.bytes;
    copy(bytes.subspan(6, 6), made, 0);
    copy(mac, made, 6);
    put16(made, 20, 2);
    copy(mac, made, 22);
    copy(bytes.subspan(38, 4), made, 28);
    copy(bytes.subspan(22, 10), made, 32);
  } else if (type == 0x86dd) {
    auto const at = packet::parse(bytes);
    if (!at || at->protocol != 58 || at->end - at->upper < solicitation_bytes) return false;
    if (get8(bytes, at->upper) != 135) return false;
    auto const target = bytes.subspan(at->upper + 8, 16);
    if (!is_own(target, true)) return false;
    reply.bytes.resize(ethernet_bytes + ipv6_bytes + 32);
    std::span<std::byte> const made = reply.bytes;
    copy(bytes.subspan(6, 6), made, 0);
    copy(mac, made, 6);
    put16(made, 12, 0x86dd);
    put32(made, 14, 0x6000'0000);
    put16(made, 18, 32);
    put16(made, 20, 58 << 8 | 255);
    copy(target, made, 22);
    copy(at->source(bytes), made, 38);
    put8(made, 54, 136);
    put32(made, 58, 0x6000'0000);  // solicited, override
    copy(target, made, 62);
    put16(made, 78, 2 << 8 | 1);
    copy(mac, made, 80);
    fix_checksums(made, *packet::parse(made));
  } else {
    return false;
  }
  out_.put(port, std::move(reply));
  return true;
}

}  // namespace morgana::python
