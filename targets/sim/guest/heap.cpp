// The heap: malloc and its family in the arena that the simulator gave, so that killing a host frees all it
// had and the same seed gives the same addresses.
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "host.hpp"
#include "morgana/core/segregated_heap.hpp"

namespace morgana::sim {
namespace {

constinit segregated_heap<morgana_sim_usage> arena;

}  // namespace

void start_heap(void* memory, std::size_t bytes, morgana_sim_usage* usage) {
  arena.start(usage);
  arena.add(memory, bytes);
}
std::size_t heap_limit_bytes() {
  return arena.limit();
}

}  // namespace morgana::sim

// The C library's names. The compiler must not make calls of these functions out of their own bodies.
#define MORGANA_HEAP_FUNCTION extern "C" [[gnu::used, clang::no_builtin]]

MORGANA_HEAP_FUNCTION void* malloc(std::size_t bytes) {
  auto* const memory = morgana::sim::arena.take(bytes);
  if (memory == nullptr) errno = ENOMEM;
  return memory;
}

MORGANA_HEAP_FUNCTION void free(void* memory) {
  if (memory != nullptr) morgana::sim::arena.give(memory);
}

MORGANA_HEAP_FUNCTION void* calloc(std::size_t count, std::size_t bytes) {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, bytes, &all)) {
    errno = ENOMEM;
    return nullptr;
  }
  auto* const memory = malloc(all);
  if (memory != nullptr) std::memset(memory, 0, all);
  return memory;
}

MORGANA_HEAP_FUNCTION void* realloc(void* memory, std::size_t bytes) {
  if (memory == nullptr) return malloc(bytes);
  if (morgana::sim::arena.resize(memory, bytes)) return memory;
  auto* const moved = malloc(bytes);
  if (moved == nullptr) return nullptr;
  auto const before = morgana::sim::arena.size_of(memory);
  std::memcpy(moved, memory, before < bytes ? before : bytes);
  free(memory);
  return moved;
}

MORGANA_HEAP_FUNCTION void* aligned_alloc(std::size_t align, std::size_t bytes) {
  if (!std::has_single_bit(align)) {
    errno = EINVAL;
    return nullptr;
  }
  auto* const memory = morgana::sim::arena.take_aligned(align, bytes);
  if (memory == nullptr) errno = ENOMEM;
  return memory;
}

MORGANA_HEAP_FUNCTION void* memalign(std::size_t align, std::size_t bytes) {
  return aligned_alloc(align, bytes);
}

MORGANA_HEAP_FUNCTION int posix_memalign(void** into, std::size_t align, std::size_t bytes) {
  if (!std::has_single_bit(align) || align % sizeof(void*) != 0) return EINVAL;
  auto* const memory = morgana::sim::arena.take_aligned(align, bytes);
  if (memory == nullptr) return ENOMEM;
  *into = memory;
  return 0;
}

MORGANA_HEAP_FUNCTION std::size_t malloc_usable_size(void* memory) {
  return memory == nullptr ? 0 : morgana::sim::arena.size_of(memory);
}

MORGANA_HEAP_FUNCTION char* strdup(char const* text) {
  auto const size = std::strlen(text) + 1;
  auto* const copy = static_cast<char*>(malloc(size));
  if (copy != nullptr) std::memcpy(copy, text, size);
  return copy;
}
