// The heap: malloc and its family in the memory that the loader left over.
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/segregated_heap.hpp"
#include "page_tables.hpp"

namespace morgana::xen {
namespace {

struct usage {
  std::uint64_t used_bytes = 0, peak_bytes = 0;
};
constinit usage counts;
constinit segregated_heap<usage> heap;

}  // namespace

void start_heap() {
  heap.start(&counts);
  for (std::size_t i = 0; i < machine.memory_count; ++i) {
    auto const& range = machine.memory[i];
    if (range.bytes() == 0) continue;
    heap.add(reinterpret_cast<void*>(range.begin + machine.heap_offset), range.bytes());
  }
}

std::span<std::byte> take_page_memory(std::size_t count) {
  auto const bytes = count * page_bytes;
  if (heap.limit() == 0) start_heap();
  std::size_t touched = 0;
  auto* const memory = static_cast<std::byte*>(heap.take_aligned(page_bytes, bytes, &touched));
  if (memory == nullptr) return {};
  // What the guest never wrote holds nothing of it, and nothing secret of who loaded it (boot.cpp).
  std::memset(memory, 0, touched);
  return {memory, bytes};
}

}  // namespace morgana::xen

namespace morgana::platform {

memory_usage memory() noexcept {
  return {.limit_bytes = xen::heap.limit(),
          .used_bytes = xen::counts.used_bytes,
          .peak_bytes = xen::counts.peak_bytes};
}

}  // namespace morgana::platform

// The C library's names. The compiler must not make calls of these functions out of their own bodies.
#define MORGANA_HEAP_FUNCTION extern "C" [[gnu::used, clang::no_builtin]]

namespace {

void* or_no_memory(void* memory) {
  if (memory == nullptr) errno = ENOMEM;
  return memory;
}

}  // namespace

MORGANA_HEAP_FUNCTION void* malloc(std::size_t bytes) {
  // The first may come from a constructor of the image's, before main().
  if (morgana::xen::heap.limit() == 0) morgana::xen::start_heap();
  return or_no_memory(morgana::xen::heap.take(bytes));
}

MORGANA_HEAP_FUNCTION void free(void* memory) {
  if (memory != nullptr) morgana::xen::heap.give(memory);
}

MORGANA_HEAP_FUNCTION void* calloc(std::size_t count, std::size_t bytes) {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, bytes, &all)) return or_no_memory(nullptr);
  auto* const memory = malloc(all);
  if (memory != nullptr) std::memset(memory, 0, all);
  return memory;
}

MORGANA_HEAP_FUNCTION void* realloc(void* memory, std::size_t bytes) {
  if (memory == nullptr) return malloc(bytes);
  if (morgana::xen::heap.resize(memory, bytes)) return memory;
  auto* const moved = malloc(bytes);
  if (moved == nullptr) return nullptr;
  auto const before = morgana::xen::heap.size_of(memory);
  std::memcpy(moved, memory, before < bytes ? before : bytes);
  free(memory);
  return moved;
}

MORGANA_HEAP_FUNCTION void* aligned_alloc(std::size_t align, std::size_t bytes) {
  if (!std::has_single_bit(align)) {
    errno = EINVAL;
    return nullptr;
  }
  if (morgana::xen::heap.limit() == 0) morgana::xen::start_heap();
  return or_no_memory(morgana::xen::heap.take_aligned(align, bytes));
}

MORGANA_HEAP_FUNCTION void* memalign(std::size_t align, std::size_t bytes) {
  return aligned_alloc(align, bytes);
}

MORGANA_HEAP_FUNCTION int posix_memalign(void** into, std::size_t align, std::size_t bytes) {
  if (!std::has_single_bit(align) || align % sizeof(void*) != 0) return EINVAL;
  auto* const memory = aligned_alloc(align, bytes);
  if (memory == nullptr) return ENOMEM;
  *into = memory;
  return 0;
}

MORGANA_HEAP_FUNCTION std::size_t malloc_usable_size(void* memory) {
  return memory == nullptr ? 0 : morgana::xen::heap.size_of(memory);
}
