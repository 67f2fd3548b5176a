// The marked region, and a counting operator new: each block remembers its size in front of itself.
#include "measure.hpp"

#include <cstdlib>
#include <new>

namespace {

std::uint64_t allocation_count = 0;
std::uint64_t bytes_in_use = 0;
constexpr std::size_t front_bytes = alignof(std::max_align_t);

void* allocate(std::size_t bytes) {
  auto* const block = static_cast<std::byte*>(std::malloc(bytes + front_bytes));
  if (block == nullptr) std::abort();
  *reinterpret_cast<std::size_t*>(block) = bytes;
  ++allocation_count;
  bytes_in_use += bytes;
  return block + front_bytes;
}

void release(void* memory) {
  if (memory == nullptr) return;
  auto* const block = static_cast<std::byte*>(memory) - front_bytes;
  bytes_in_use -= *reinterpret_cast<std::size_t*>(block);
  std::free(block);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }

namespace morgana::bench {

std::uint64_t allocations() { return allocation_count; }
std::uint64_t live_bytes() { return bytes_in_use; }

extern "C" [[gnu::noinline]] void morgana_measured_region(void (*body)(void*), void* context) {
  body(context);
  asm volatile("" ::: "memory");  // no tail call: the region ends with this frame
}

}  // namespace morgana::bench
