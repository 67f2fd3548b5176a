/* What the test puts below the C library: this host's kernel, for x86-64. */
#include <os_syscall.h>
#include <sys/syscall.h>

long os_syscall(long number, long a, long b, long c, long d, long e, long f) {
  /* Thread-local storage: ARCH_SET_FS of arch_prctl(2). */
  if (number == SYS_set_thread_area) return os_syscall(SYS_arch_prctl, 0x1002, a, 0, 0, 0, 0);
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "+a"(number)
                   : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return number;
}
