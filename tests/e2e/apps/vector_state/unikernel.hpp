// Fills all vector registers, lets an interrupt of the first serial port come in the midst of it, and looks whether they
// still hold what they did: on a machine without Xen.
#pragma once

#include <cpuid.h>

#include <array>
#include <cstring>

#include "morgana/app.hpp"

namespace vector_state {

inline constexpr std::size_t registers = 16;
template <std::size_t Bytes>
using state = std::array<std::array<unsigned char, Bytes>, registers>;

/// True where the processor has AVX and start-up has switched it on (Intel SDM volume 1, 14.3).
inline bool has_avx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __cpuid(1, a, b, c, d);
  if ((c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;
}

// An interrupt pushes what it comes back to below the stack pointer: it came when that place has changed. Waits for a byte
// of input, and a little longer, with interrupts on.
#define SPIN(move, register, bytes)                                                        \
  asm volatile(                                                                            \
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t" move " \\n*" bytes "(%[from]), %%" register "\\n\n\t.endr\n\t" \
      "mov %%rsp, %%rbx\n\tand $-16, %%rbx\n\tmovq $0x5a5a, -8(%%rbx)\n\tmov $0x3fd, %%edx\n\tsti\n"                    \
      "1:\tin %%dx, %%al\n\tpause\n\ttest $1, %%al\n\tjnz 2f\n\tdec %%rcx\n\tjnz 1b\n"                                  \
      "2:\tmov $10000, %%ecx\n3:\tpause\n\tdec %%ecx\n\tjnz 3b\n\tcli\n\tmov -8(%%rbx), %%rax\n\t"                      \
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t" move " %%" register "\\n, \\n*" bytes "(%[to])\n\t.endr"       \
      : "=&a"(sentinel), "+c"(turns)                                                                                    \
      : [from] "r"(before.data()), [to] "r"(after.data())                                                               \
      : "rbx", "rdx", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",   \
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

template <std::size_t Bytes>
std::string_view spin() {
  state<Bytes> before, after{};
  for (std::size_t i = 0; i < registers; ++i)
    for (std::size_t j = 0; j < Bytes; ++j) before[i][j] = static_cast<unsigned char>(i * 37 + j * 5 + 1);
  std::uint64_t turns = 100'000'000, sentinel = 0;
  if constexpr (Bytes == 32)
    SPIN("vmovdqu", "ymm", "32");
  else
    SPIN("movdqu", "xmm", "16");
  if (sentinel == 0x5a5a) return "no interrupt came";
  return before == after ? "all registers are as they were" : "a register was changed";
}

}  // namespace vector_state

inline morgana::task<> start() {
  using namespace vector_state;
  morgana::log_source const log((co_await morgana::this_context()).log(), "vectors");
  auto const wide = has_avx();
  log.info("{} bits each, waiting for input", wide ? 256 : 128);
  log.info("{}", wide ? spin<32>() : spin<16>());
}
