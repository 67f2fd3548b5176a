// Telling AddressSanitizer that the stack is another one now; nothing without it. Private to
// targets/sim/host.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define MORGANA_SIM_FIBERS 1
#endif
#endif

namespace morgana::sim::fibers {

#ifdef MORGANA_SIM_FIBERS
/// Before going to a stack; `keep` holds what this one needs when it is gone back to.
inline void leave(void** keep, void const* begin, std::size_t bytes) {
  __sanitizer_start_switch_fiber(keep, begin, bytes);
}
/// After arriving; `begin` and `bytes` become those of the stack that was left.
inline void arrive(void* kept, void const** begin, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(kept, begin, bytes);
}
/// Before going to a stack from one that nobody comes back to.
inline void abandon(void const* begin, std::size_t bytes) {
  __sanitizer_start_switch_fiber(nullptr, begin, bytes);
}
/// A stack that nobody runs on any more: what stood on it says nothing about what will be at its addresses.
inline void forget(void const* begin, std::size_t bytes) {
  __asan_unpoison_memory_region(begin, bytes);
}
#else
inline void forget(void const*, std::size_t) {}
inline void leave(void**, void const*, std::size_t) {}
inline void arrive(void*, void const**, std::size_t*) {}
inline void abandon(void const*, std::size_t) {}
#endif

}  // namespace morgana::sim::fibers
