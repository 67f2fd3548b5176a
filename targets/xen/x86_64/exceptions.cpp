// No exception passes a guest's code: who throws one ends in a crash report. The C++ library itself is built with
// exceptions; these names in place of its own leave the unwinder, and image.ld the tables that it reads, out of
// every image (30 KiB of one with a network).
//
// Weak: an application that calls std::set_terminate brings in the library's own, and links.
#include <exception>

#include "morgana/core/platform.hpp"

namespace {

[[noreturn, gnu::noinline, clang::minsize]] void thrown() {
  morgana::platform::crash(morgana::platform::crash_reason::assertion,
                           "an exception was thrown, and a guest has none");
}

}  // namespace

// Of the Itanium C++ ABI's second level, and of libc++abi for exception_ptr: there never is an exception.
#define MORGANA_ABI_FUNCTION extern "C" [[gnu::used, gnu::weak]]

MORGANA_ABI_FUNCTION void* __cxa_allocate_exception(unsigned long) {
  thrown();
}
MORGANA_ABI_FUNCTION void __cxa_free_exception(void*) {}
MORGANA_ABI_FUNCTION void* __cxa_init_primary_exception(void*, void*, void (*)(void*)) {
  thrown();
}
MORGANA_ABI_FUNCTION void __cxa_throw(void*, void*, void (*)(void*)) {
  thrown();
}
MORGANA_ABI_FUNCTION void __cxa_rethrow() {
  thrown();
}
MORGANA_ABI_FUNCTION void __cxa_rethrow_primary_exception(void*) {}
MORGANA_ABI_FUNCTION void* __cxa_begin_catch(void*) {
  thrown();
}
MORGANA_ABI_FUNCTION void __cxa_end_catch() {}
MORGANA_ABI_FUNCTION void* __cxa_current_primary_exception() {
  return nullptr;
}
MORGANA_ABI_FUNCTION void __cxa_increment_exception_refcount(void*) {}
MORGANA_ABI_FUNCTION void __cxa_decrement_exception_refcount(void*) {}
MORGANA_ABI_FUNCTION unsigned int __cxa_uncaught_exceptions() {
  return 0;
}
MORGANA_ABI_FUNCTION bool __cxa_uncaught_exception() {
  return false;
}
MORGANA_ABI_FUNCTION int __gxx_personality_v0(int, int, unsigned long, void*, void*) {
  thrown();
}
MORGANA_ABI_FUNCTION void _Unwind_Resume(void*) {
  thrown();
}

namespace std {

[[gnu::used, gnu::weak]] void terminate() noexcept {
  thrown();
}

}  // namespace std
