/* In place of musl's arch/NAME/syscall_arch.h: what it would write as an instruction becomes a call. There is no
 * vDSO: nobody maps one. */
#include "../../sysroot/include/os_syscall.h"

#ifdef __LP64__
#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)
#else
union __syscall_halves { long long whole; long half[2]; };
#define __SYSCALL_LL_E(x) \
  ((union __syscall_halves){.whole = (x)}).half[0], ((union __syscall_halves){.whole = (x)}).half[1]
/* 64 bits begin in an even register. */
#define __SYSCALL_LL_O(x) 0, __SYSCALL_LL_E(x)
#define SYSCALL_FADVISE_6_ARG
#endif
#define IPC_64 0

static inline long __syscall0(long n) { return os_syscall(n, 0, 0, 0, 0, 0, 0); }
static inline long __syscall1(long n, long a) { return os_syscall(n, a, 0, 0, 0, 0, 0); }
static inline long __syscall2(long n, long a, long b) { return os_syscall(n, a, b, 0, 0, 0, 0); }
static inline long __syscall3(long n, long a, long b, long c) { return os_syscall(n, a, b, c, 0, 0, 0); }
static inline long __syscall4(long n, long a, long b, long c, long d) { return os_syscall(n, a, b, c, d, 0, 0); }
static inline long __syscall5(long n, long a, long b, long c, long d, long e) {
  return os_syscall(n, a, b, c, d, e, 0);
}
static inline long __syscall6(long n, long a, long b, long c, long d, long e, long f) {
  return os_syscall(n, a, b, c, d, e, f);
}
