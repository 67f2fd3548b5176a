// What is below the C library when the image brings its own (packages/musl.toml): this host's kernel. With
// the host's C library this file is empty.
#include <unistd.h>

#if !defined(__GLIBC__)

#include <os_syscall.h>
#include <sys/syscall.h>

#if !defined(__x86_64__)
#error "say here how this processor calls its kernel"
#endif

namespace {

constexpr long set_thread_register = 0x1002;  // ARCH_SET_FS, arch_prctl(2)

}  // namespace

// Called before there is a canary.
extern "C" [[gnu::no_stack_protector]] long os_syscall(long number, long a, long b, long c, long d, long e,
                                                       long f) {
  // Without assembler of its own the C library asks by the number that other processors have for it.
  if (number == SYS_set_thread_area) {
    number = SYS_arch_prctl;
    b = a;
    a = set_thread_register;
  }
  long result = number;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

// Where a signal's handler returns to: this kernel puts it on the stack as given, and does not bring its own.
extern "C" [[gnu::naked, gnu::used]] void __restore_rt() {
  asm("mov $15, %eax\n\tsyscall");  // rt_sigreturn
}
extern "C" [[gnu::naked, gnu::used]] void __restore() {
  asm("mov $15, %eax\n\tsyscall");
}

#endif
