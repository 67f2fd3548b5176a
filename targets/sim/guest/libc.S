/* The permitted functions of the C library: each jumps to where the table that the simulator gave says. */
        .text
        .set    morgana_sim_index, 0

        .macro  forward name
        .p2align 3
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:  jmp     *(morgana_sim_libc + 8 * morgana_sim_index)(%rip)
        .size   \name, . - \name
        .set    morgana_sim_index, morgana_sim_index + 1
        .endm

#define FUNCTION(name) forward name;
#include "morgana/sim/libc_functions.inc"

/* The table, filled by morgana_sim_entry. */
        .bss
        .p2align 3
        .globl  morgana_sim_libc
        .hidden morgana_sim_libc
        .type   morgana_sim_libc, @object
morgana_sim_libc:
        .zero   8 * morgana_sim_index
        .size   morgana_sim_libc, . - morgana_sim_libc

        .section .rodata, "a", @progbits
        .p2align 3
        .globl  morgana_sim_libc_count
        .hidden morgana_sim_libc_count
        .type   morgana_sim_libc_count, @object
morgana_sim_libc_count:
        .quad   morgana_sim_index
        .size   morgana_sim_libc_count, 8

/* Thread-local variables of the one thread there is: the loader puts the block's address where other loaders put a
 * module's number. Callers count on nothing being changed but rax and what a function may change. */
        .text
        .p2align 3
        .globl  __tls_get_addr
        .hidden __tls_get_addr
        .type   __tls_get_addr, @function
__tls_get_addr:
        movq    8(%rdi), %rax
        addq    (%rdi), %rax
        ret
        .size   __tls_get_addr, . - __tls_get_addr

        .section .note.GNU-stack, "", @progbits
