// Buffers for segments: a fixed number of equal ones, allocated in slabs up to a limit and reused. At the limit
// take() gives null and counts; who asked sheds load (limits.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "morgana/net/segment.hpp"

namespace morgana::net {

class buffer_pool {
 public:
  /// `buffer_bytes` each, at most `limit_bytes` of them together.
  buffer_pool(std::size_t buffer_bytes, std::size_t limit_bytes);
  ~buffer_pool();                      ///< every buffer is back by then
  buffer_pool(buffer_pool const&) = delete;
  buffer_pool& operator=(buffer_pool const&) = delete;

  /// A buffer nobody uses yet, or null at the limit. Take a slice of it at once.
  [[nodiscard]] buffer* take();
  /// A slice of `bytes` of a fresh buffer; empty at the limit, or when `bytes` is more than a buffer.
  [[nodiscard]] slice take_slice(std::size_t bytes);

  [[nodiscard]] std::size_t buffer_bytes() const { return buffer_bytes_; }
  /// Whether take() would give one.
  [[nodiscard]] bool has_room() const { return used_ < limit_buffers_; }
  /// Whether more than half of them are in use: who has some should not take more than it needs.
  [[nodiscard]] bool is_scarce() const { return used_ > limit_buffers_ / 2; }
  [[nodiscard]] std::size_t used_buffers() const { return used_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  class pooled;
  std::size_t buffer_bytes_;
  std::size_t limit_buffers_;
  std::size_t used_ = 0;
  std::uint64_t refused_ = 0;
  pooled* free_ = nullptr;
  std::vector<std::unique_ptr<std::byte[]>> slabs_;
};

}  // namespace morgana::net
