// Packets that wait: for a link address, for the device, for the rest of their fragments, for a reader. They lie
// in nodes of a pool that grows to a limit and is reused, so that waiting costs no allocation and no copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "morgana/net/address.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::net::host {

struct queued_packet {
  segment packet;
  endpoint from;                ///< of a datagram that waits for its reader
  std::uint32_t offset = 0;     ///< of a fragment: its place in the datagram
  std::uint32_t bytes = 0;      ///< of a fragment or datagram: payload
  queued_packet* next = nullptr;
};

/// Nodes, at most `limit` of them.
class packet_pool {
 public:
  explicit packet_pool(std::uint32_t limit) : limit_(limit) {}
  packet_pool(packet_pool const&) = delete;
  packet_pool& operator=(packet_pool const&) = delete;

  /// An empty node, or null at the limit.
  [[nodiscard]] queued_packet* take() {
    if (used_ >= limit_ || (free_ == nullptr && !grow())) return nullptr;
    auto* const taken = std::exchange(free_, free_->next);
    taken->next = nullptr;
    ++used_;
    return taken;
  }
  void give(queued_packet* node) {
    node->packet.clear();
    node->next = free_;
    free_ = node;
    --used_;
  }
  [[nodiscard]] std::uint32_t used() const { return used_; }

 private:
  bool grow() {
    constexpr std::uint32_t slab_nodes = 4;
    auto const made = static_cast<std::uint32_t>(slabs_.size()) * slab_nodes;
    if (made >= limit_) return false;
    slabs_.push_back(std::make_unique<queued_packet[]>(slab_nodes));
    for (std::uint32_t i = slab_nodes; i-- > 0;) {
      slabs_.back()[i].next = free_;
      free_ = &slabs_.back()[i];
    }
    return true;
  }
  std::uint32_t limit_;
  std::uint32_t used_ = 0;
  queued_packet* free_ = nullptr;
  std::vector<std::unique_ptr<queued_packet[]>> slabs_;
};

/// First in, first out. It does not own its pool: whoever has a queue empties it into the pool.
class packet_queue {
 public:
  packet_queue() = default;
  packet_queue(packet_queue&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)),
        last_(std::exchange(other.last_, nullptr)),
        size_(std::exchange(other.size_, 0u)) {}
  packet_queue& operator=(packet_queue&& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    std::swap(size_, other.size_);
    return *this;
  }

  void push(queued_packet* node) {
    node->next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = node;
    last_ = node;
    ++size_;
  }
  /// Null when empty.
  [[nodiscard]] queued_packet* pop() {
    auto* const node = first_;
    if (node == nullptr) return nullptr;
    first_ = node->next;
    if (first_ == nullptr) last_ = nullptr;
    node->next = nullptr;
    --size_;
    return node;
  }
  [[nodiscard]] queued_packet* front() const { return first_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  void clear(packet_pool& pool) {
    while (auto* const node = pop()) pool.give(node);
  }

 private:
  queued_packet* first_ = nullptr;
  queued_packet* last_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace morgana::net::host
