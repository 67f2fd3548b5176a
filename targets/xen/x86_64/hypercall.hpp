// Hypercalls of a PVH guest: by the instruction that the processor's maker has for it, so that no page of
// stubs is needed (arch-x86/xen-x86_64.h has the registers).
#pragma once

#include <cstdint>

#include "../common/interface.hpp"

namespace morgana::xen {

/// 0 and more, or -errno. `is_intel` picks the instruction.
inline std::int64_t hypercall(bool is_intel, hypercall_number number, std::uint64_t a, std::uint64_t b = 0,
                              std::uint64_t c = 0) {
  auto result = static_cast<std::int64_t>(number);
  if (is_intel) {
    asm volatile("vmcall" : "+a"(result), "+D"(a), "+S"(b), "+d"(c) : : "memory");
  } else {
    asm volatile("vmmcall" : "+a"(result), "+D"(a), "+S"(b), "+d"(c) : : "memory");
  }
  return result;
}

/// A command whose argument is a struct.
template <class Argument>
std::int64_t hypercall_with(bool is_intel, hypercall_number number, Argument& argument,
                            std::uint32_t command = Argument::command) {
  return hypercall(is_intel, number, command, reinterpret_cast<std::uint64_t>(&argument));
}

}  // namespace morgana::xen
