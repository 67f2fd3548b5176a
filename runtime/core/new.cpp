// operator new for every image: no exception can carry its failure, so it ends the guest with the reason.
// (libc++'s own would throw, which costs an image the unwinder's tables too.)
#include <cstddef>
#include <cstdlib>
#include <new>

#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"

namespace {

[[noreturn]] void no_memory(std::size_t bytes) {
  morgana::fixed_text<128> text;
  text.append("{} bytes were asked for, the limit is {} bytes", bytes,
              morgana::platform::memory().limit_bytes);
  morgana::platform::crash(morgana::platform::crash_reason::out_of_memory, text.view());
}

void* allocate(std::size_t bytes) {
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) no_memory(bytes);
  return memory;
}

void* allocate(std::size_t bytes, std::align_val_t alignment) {
  auto const align = static_cast<std::size_t>(alignment);
  // aligned_alloc wants a multiple of the alignment.
  auto const rounded = (bytes + align - 1) / align * align;
  void* const memory = rounded < bytes ? nullptr : std::aligned_alloc(align, rounded == 0 ? align : rounded);
  if (memory == nullptr) no_memory(bytes);
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, alignment);
}
void* operator new(std::size_t bytes, std::nothrow_t const&) noexcept {
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new[](std::size_t bytes, std::nothrow_t const&) noexcept {
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::nothrow_t const&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::nothrow_t const&) noexcept {
  std::free(memory);
}
