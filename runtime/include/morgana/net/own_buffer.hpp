// A buffer with memory of its own, for what an application sends many times, or keeps beyond a stack's pool.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "morgana/net/segment.hpp"

namespace morgana::net {

/// A slice of `bytes` of fresh memory, zeros; it is given back with the last slice of it. The heap's limit is the only
/// one: an application decides how many it makes. A copy of the slice can be written to a stream as often as wanted
/// without the bytes being copied (direct_stream::write); they must not be changed until the peer has them all.
[[nodiscard]] inline slice allocate_slice(std::size_t bytes) {
  class own_buffer final : public buffer {
   public:
    own_buffer(std::unique_ptr<std::byte[]> memory, std::size_t size)
        : buffer({memory.get(), size}), memory_(std::move(memory)) {}

   private:
    void unused() override { delete this; }
    std::unique_ptr<std::byte[]> memory_;
  };
  if (bytes == 0) return {};
  return {*new own_buffer(std::make_unique<std::byte[]>(bytes), bytes), 0, bytes};
}

}  // namespace morgana::net
