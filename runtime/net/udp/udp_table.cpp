#include "udp_table.hpp"

#include <algorithm>

namespace morgana::net::host {
namespace {

/// What a waiting datagram costs beside its bytes: its node, and the rest of the device's buffer it lies in.
constexpr std::size_t datagram_overhead_bytes = 512;
/// Datagrams waiting in all sockets together.
constexpr std::uint32_t datagrams_waiting_max = 8192;
/// RFC 6335 6: the dynamic ports.
constexpr std::uint16_t ephemeral_first = 49'152;
constexpr std::uint32_t ephemeral_count = 65'536 - ephemeral_first;

bool covers_all(ip_address const& address) {
  return address.is_unspecified();
}
/// `::` is bound for both families, as listen() has it; 0.0.0.0 for IPv4.
bool covers(ip_address const& bound, ip_address const& address) {
  if (!covers_all(bound)) return bound == address;
  return bound.is_v6() || address.is_v4();
}

}  // namespace

udp_table::udp_table(network_limits const& limits, keyed_secrets const& secrets)
    : limits_(limits),
      key_(secrets.ports),
      random_({secrets.ports.high, secrets.ports.low}),
      pool_(datagrams_waiting_max) {}

udp_table::~udp_table() {
  for (auto& one : sockets_) one->waiting_.clear(pool_);
}

bool udp_table::is_taken(endpoint const& local) const {
  for (auto const* one = buckets_[local.port % bucket_count]; one != nullptr; one = one->next_) {
    if (one->local_.port == local.port && one->local_.address == local.address) return true;
  }
  return false;
}

result<udp_port*> udp_table::bind(endpoint const& local, udp_sender& sender) {
  if (used_ >= limits_.datagram_sockets) return failure(net_error::limit_reached, limits_.datagram_sockets);
  auto wanted = local;
  if (local.port != 0) {
    if (is_taken(local)) return failure(net_error::address_in_use, local.port);
  } else {
    // RFC 6056 3.3.2: a random place, then upwards. Ports in use under any address are left alone.
    auto const start = random_.below(ephemeral_count);
    std::uint32_t tried = 0;
    for (; tried < ephemeral_count; ++tried) {
      wanted.port = static_cast<std::uint16_t>(ephemeral_first + (start + tried) % ephemeral_count);
      bool used = false;
      for (auto const* one = buckets_[wanted.port % bucket_count]; one != nullptr; one = one->next_) {
        used = used || one->local_.port == wanted.port;
      }
      if (!used) break;
    }
    if (tried == ephemeral_count) return failure(net_error::address_not_available);
  }
  sender_ = &sender;
  udp_socket* made = nullptr;
  if (free_.empty()) {
    sockets_.push_back(std::make_unique<udp_socket>(*this));
    free_.reserve(sockets_.size());
    made = sockets_.back().get();
  } else {
    made = free_.back();
    free_.pop_back();
  }
  made->local_ = wanted;
  made->user = nullptr;
  made->failure_.reset();
  auto& bucket = buckets_[wanted.port % bucket_count];
  made->next_ = bucket;
  bucket = made;
  ++used_;
  return made;
}

void udp_table::release(udp_socket& one) {
  auto** link = &buckets_[one.local_.port % bucket_count];
  while (*link != nullptr && *link != &one) link = &(*link)->next_;
  if (*link == nullptr) return;  // released before
  *link = one.next_;
  one.next_ = nullptr;
  one.waiting_.clear(pool_);
  one.waiting_bytes_ = 0;
  if (one.is_ready_) {
    udp_socket* before = nullptr;
    for (auto* at = ready_first_; at != nullptr && at != &one; at = at->next_ready_) before = at;
    (before == nullptr ? ready_first_ : before->next_ready_) = one.next_ready_;
    if (ready_last_ == &one) ready_last_ = before;
    one.is_ready_ = false;
    one.next_ready_ = nullptr;
  }
  --used_;
  free_.push_back(&one);
}

udp_socket* udp_table::find(endpoint const& to) {
  udp_socket* best = nullptr;
  for (auto* one = buckets_[to.port % bucket_count]; one != nullptr; one = one->next_) {
    if (one->local_.port != to.port) continue;
    if (one->local_.address == to.address) return one;
    if (!covers(one->local_.address, to.address)) continue;
    // 0.0.0.0 says more than `::` does.
    if (best == nullptr || best->local_.address.is_v6()) best = one;
  }
  return best;
}

bool udp_table::deliver(udp_socket& to, segment& packet, endpoint const& from) {
  auto const cost = packet.size() + datagram_overhead_bytes;
  if (to.waiting_bytes_ + cost > limits_.datagram_queue_bytes) return false;
  auto* const node = pool_.take();
  if (node == nullptr) return false;
  node->bytes = static_cast<std::uint32_t>(packet.size());
  node->packet = std::move(packet);
  packet.clear();
  node->from = from;
  to.waiting_.push(node);
  to.waiting_bytes_ += cost;
  wake(to);
  return true;
}

void udp_table::report(udp_socket& to, net_error what, std::int64_t detail) {
  to.failure_ = error(what, detail);
  wake(to);
}

void udp_table::wake(udp_socket& one) {
  if (one.is_ready_) return;
  one.is_ready_ = true;
  one.next_ready_ = nullptr;
  (ready_last_ == nullptr ? ready_first_ : ready_last_->next_ready_) = &one;
  ready_last_ = &one;
}

udp_port* udp_table::poll_ready() {
  auto* const one = ready_first_;
  if (one == nullptr) return nullptr;
  ready_first_ = one->next_ready_;
  if (ready_first_ == nullptr) ready_last_ = nullptr;
  one->is_ready_ = false;
  one->next_ready_ = nullptr;
  return one;
}

result<void> udp_socket::send(std::span<std::byte const> bytes, endpoint const& to, instant now) {
  return table_.sender_->send_datagram(local_, bytes, to, now);
}

result<std::optional<received_datagram>> udp_socket::receive(std::span<std::byte> into) {
  if (failure_) {
    auto what = std::move(*failure_);
    failure_.reset();
    return failure(std::move(what));
  }
  auto* const node = waiting_.pop();
  if (node == nullptr) return std::nullopt;
  auto const size = std::min<std::size_t>(into.size(), node->bytes);
  (void)node->packet.copy_out(0, into.first(size));
  received_datagram const read{size, node->from, size < node->bytes};
  waiting_bytes_ -= node->bytes + datagram_overhead_bytes;
  table_.pool_.give(node);
  return read;
}

}  // namespace morgana::net::host
