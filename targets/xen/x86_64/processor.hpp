// The processor's instructions that C++ has no words for (Intel SDM, volumes 2 and 3).
#pragma once

#include <cstdint>

namespace morgana::xen::processor {

inline void out8(std::uint16_t port, std::uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline void out16(std::uint16_t port, std::uint16_t value) {
  asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
[[nodiscard]] inline std::uint8_t in8(std::uint16_t port) {
  std::uint8_t value = 0;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline void write_model_register(std::uint32_t number, std::uint64_t value) {
  asm volatile("wrmsr"
               :
               : "c"(number), "a"(static_cast<std::uint32_t>(value)),
                 "d"(static_cast<std::uint32_t>(value >> 32)));
}
inline constexpr std::uint32_t thread_base = 0xc0000100;  // IA32_FS_BASE

struct identification {
  std::uint32_t a, b, c, d;
};
[[nodiscard]] inline identification identify(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  identification out{};
  asm volatile("cpuid" : "=a"(out.a), "=b"(out.b), "=c"(out.c), "=d"(out.d) : "a"(leaf), "c"(subleaf));
  return out;
}

[[nodiscard]] inline std::uint64_t cycles() {
  std::uint32_t low = 0, high = 0;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return std::uint64_t{high} << 32 | low;
}

/// RDRAND; false when the processor has none now. Only where identify(1).c has bit 30.
[[nodiscard]] inline bool random(std::uint64_t& into) {
  bool done = false;
  // Ten tries, as Intel's guide says: none is expected to fail.
  for (int i = 0; i < 10 && !done; ++i) asm volatile("rdrand %0" : "=r"(into), "=@ccc"(done));
  return done;
}

/// RDSEED; false when the processor has none now. Only where identify(7).b has bit 18.
[[nodiscard]] inline bool seed(std::uint64_t& into) {
  bool done = false;
  // It gives less than a busy machine may want: more tries, with a pause.
  for (int i = 0; i < 100 && !done; ++i) asm volatile("pause\n\trdseed %0" : "=r"(into), "=@ccc"(done));
  return done;
}

[[nodiscard]] inline std::uint64_t fault_address() {
  std::uint64_t value = 0;
  asm volatile("mov %%cr2, %0" : "=r"(value));
  return value;
}

}  // namespace morgana::xen::processor
