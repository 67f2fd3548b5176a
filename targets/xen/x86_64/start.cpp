// From the guest's own addresses to main(): the start that Linux gives a program, because the C library
// expects it.
#include <elf.h>

#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/boot.hpp"
#include "processor.hpp"

// Hidden: else these go through a table of pointers, which relocation changes.
#pragma GCC visibility push(hidden)
extern "C" {
extern char const morgana_image_begin[];
int __libc_start_main(int (*)(int, char**, char**), int, char**, void (*)(), void (*)(), void (*)());
int main(int, char**);
[[noreturn]] void morgana_start();
}
#pragma GCC visibility pop

namespace {

int run_main(int count, char** arguments, char**) {
  return main(count, arguments);
}

/// Thread-local storage before the C library has set up any: room for the canary of the code that does.
constinit std::uint64_t early_thread[16] = {};

}  // namespace

extern "C" [[noreturn, gnu::used, gnu::no_stack_protector]] void morgana_start() {
  using namespace morgana::xen;
  processor::write_model_register(processor::thread_base, reinterpret_cast<std::uint64_t>(early_thread));
  auto const& header = *reinterpret_cast<Elf64_Ehdr const*>(morgana_image_begin);
  auto const address = [](void const* what) { return reinterpret_cast<std::uint64_t>(what); };
  // argv, envp and the auxiliary vector, each ended by 0, as they stand on a new program's stack.
  std::uint64_t const start[] = {address("unikernel"),
                                 0,
                                 0,
                                 AT_PHDR,
                                 address(morgana_image_begin) + header.e_phoff,
                                 AT_PHNUM,
                                 header.e_phnum,
                                 AT_PHENT,
                                 sizeof(Elf64_Phdr),
                                 AT_PAGESZ,
                                 4096,
                                 AT_RANDOM,
                                 address(machine.secret),
                                 AT_NULL,
                                 0};
  if (machine.is_xen) {
    hypervisor::start();
    xen_control::start();
    if (machine.is_initial_domain) control::start();
  } else {
    start_interrupts();
    control::start();
  }
  start_console();
  start_clock();
  __libc_start_main(run_main, 1, reinterpret_cast<char**>(const_cast<std::uint64_t*>(start)), nullptr,
                    nullptr, nullptr);
  __builtin_trap();
}
