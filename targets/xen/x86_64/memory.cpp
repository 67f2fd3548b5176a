// The C library's names for memory_functions.hpp. Its own would come back, and twice, were one of these missing: its
// memmove is made of a part of its memcpy.
#include "memory_functions.hpp"

namespace functions = morgana::xen::memory_functions;

#define MORGANA_C_FUNCTION extern "C" [[gnu::used, clang::no_builtin, gnu::no_stack_protector]]

MORGANA_C_FUNCTION void* memcpy(void* __restrict to, void const* __restrict from, std::size_t bytes) {
  return functions::copy(to, from, bytes);
}
MORGANA_C_FUNCTION void* memmove(void* to, void const* from, std::size_t bytes) {
  return functions::move(to, from, bytes);
}
MORGANA_C_FUNCTION void* memset(void* to, int value, std::size_t bytes) {
  return functions::fill(to, value, bytes);
}
MORGANA_C_FUNCTION int memcmp(void const* left, void const* right, std::size_t bytes) {
  return functions::compare(left, right, bytes);
}
MORGANA_C_FUNCTION int bcmp(void const* left, void const* right, std::size_t bytes) {
  return functions::compare(left, right, bytes);
}
MORGANA_C_FUNCTION void* memchr(void const* in, int value, std::size_t bytes) {
  return const_cast<void*>(functions::find(in, value, bytes));
}
