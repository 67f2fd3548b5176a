#include "morgana/net/buffer_pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace morgana::net {

/// A buffer that goes back to its pool's free list.
class buffer_pool::pooled final : public buffer {
 public:
  pooled(buffer_pool& owner, std::span<std::byte> memory) : buffer(memory), owner_(&owner) {}
  pooled* next = nullptr;

 private:
  void unused() override {
    next = owner_->free_;
    owner_->free_ = this;
    --owner_->used_;
  }
  buffer_pool* owner_;
};

namespace {
/// Buffers per slab: few enough that a small guest does not pay for what it never uses.
constexpr std::size_t slab_buffers = 16;
constexpr std::size_t alignment = alignof(std::max_align_t);
constexpr std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }
}  // namespace

buffer_pool::buffer_pool(std::size_t buffer_bytes, std::size_t limit_bytes)
    : buffer_bytes_(buffer_bytes), limit_buffers_(limit_bytes / buffer_bytes) {}

buffer_pool::~buffer_pool() {
  while (free_ != nullptr) std::exchange(free_, free_->next)->~pooled();
}

buffer* buffer_pool::take() {
  if (free_ == nullptr) {
    auto const made = slabs_.size() * slab_buffers;
    auto const count = std::min(slab_buffers, limit_buffers_ > made ? limit_buffers_ - made : 0);
    if (count == 0) {
      ++refused_;
      return nullptr;
    }
    auto const stride = rounded(sizeof(pooled)) + rounded(buffer_bytes_);
    slabs_.push_back(std::make_unique_for_overwrite<std::byte[]>(count * stride));
    auto* const slab = slabs_.back().get();
    for (std::size_t i = count; i-- > 0;) {
      auto* const place = slab + i * stride;
      auto* const one = new (place) pooled(*this, {place + rounded(sizeof(pooled)), buffer_bytes_});
      one->next = free_;
      free_ = one;
    }
  }
  auto* const taken = std::exchange(free_, free_->next);
  ++used_;
  return taken;
}

slice buffer_pool::take_slice(std::size_t bytes) {
  if (bytes > buffer_bytes_) return {};
  auto* const taken = take();
  return taken == nullptr ? slice() : slice(*taken, 0, bytes);
}

}  // namespace morgana::net
