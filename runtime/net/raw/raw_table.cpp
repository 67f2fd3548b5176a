#include "raw_table.hpp"

#include <algorithm>

namespace morgana::net::host {
namespace {

/// What a waiting packet costs beside its bytes: its node, and the rest of the device's buffer it lies in.
constexpr std::size_t packet_overhead_bytes = 512;
/// Packets waiting in all sockets together.
constexpr std::uint32_t packets_waiting_max = 2048;

}  // namespace

raw_table::raw_table(network_limits const& limits) : limits_(limits), pool_(packets_waiting_max) {}

raw_table::~raw_table() {
  for (auto& one : sockets_) one->waiting_.clear(pool_);
}

result<raw_port*> raw_table::open(address_family family, std::uint8_t protocol, raw_sender& sender) {
  if (used_ >= limits_.raw_sockets) return failure(net_error::limit_reached, limits_.raw_sockets);
  auto free = std::ranges::find_if(sockets_, [](auto const& one) { return !one->is_open_; });
  if (free == sockets_.end()) {
    sockets_.push_back(std::make_unique<raw_socket>(*this));
    free = sockets_.end() - 1;
  }
  sender_ = &sender;
  auto& made = **free;
  made.is_open_ = true;
  made.family_ = family;
  made.protocol_ = protocol;
  made.user = nullptr;
  ++used_;
  return &made;
}

void raw_table::release(raw_socket& one) {
  if (!one.is_open_) return;
  one.is_open_ = one.is_ready_ = false;
  one.waiting_.clear(pool_);
  one.waiting_bytes_ = 0;
  --used_;
}

raw_table::delivery raw_table::deliver(segment const& packet, ip_address const& from, std::uint8_t protocol) {
  delivery made;
  for (auto& one : sockets_) {
    bool const is_theirs = one->is_open_ && one->protocol_ == protocol &&
                           (one->family_ == address_family::any || from.is_v4() == (one->family_ == address_family::v4));
    if (!is_theirs) continue;
    made.taken = true;
    auto const cost = packet.size() + packet_overhead_bytes;
    auto* const node = one->waiting_bytes_ + cost > limits_.raw_queue_bytes ? nullptr : pool_.take();
    if (node == nullptr) {
      ++made.dropped;
      continue;
    }
    node->packet = packet;
    node->bytes = static_cast<std::uint32_t>(packet.size());
    node->from = {from, 0};
    one->waiting_.push(node);
    one->waiting_bytes_ += cost;
    one->is_ready_ = true;
  }
  return made;
}

raw_port* raw_table::poll_ready() {
  if (used_ == 0) return nullptr;
  for (auto& one : sockets_) {
    if (std::exchange(one->is_ready_, false)) return one.get();
  }
  return nullptr;
}

result<void> raw_socket::send(std::span<std::byte const> payload, ip_address const& to, instant now) {
  return table_.sender_->send_raw(protocol_, payload, to, now);
}

result<void> raw_socket::send_packet(std::span<std::byte const> packet, instant now) {
  return table_.sender_->send_packet(packet, now);
}

std::optional<net::received_packet> raw_socket::receive(std::span<std::byte> into) {
  auto* const node = waiting_.pop();
  if (node == nullptr) return std::nullopt;
  auto const size = std::min<std::size_t>(into.size(), node->bytes);
  (void)node->packet.copy_out(0, into.first(size));
  net::received_packet const read{size, node->from.address, size < node->bytes};
  waiting_bytes_ -= node->bytes + packet_overhead_bytes;
  table_.pool_.give(node);
  return read;
}

}  // namespace morgana::net::host
