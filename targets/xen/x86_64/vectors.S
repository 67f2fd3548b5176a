/* What the processor's exceptions and interrupts come to. An exception never returns. An interrupt is taken
 * while halted only (wait.cpp), which expects no register to be kept: it needs no more than to be over. */

    .text
    .p2align 4
    .globl morgana_exception_stubs
    .hidden morgana_exception_stubs
morgana_exception_stubs:
    .set vector, 0
    .rept 32
    .p2align 4
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    push $0                         /* in place of an error code */
    .endif
    push $vector
    jmp exception
    .set vector, vector + 1
    .endr

exception:
    cld
    mov %rsp, %rdi
    mov %rbp, %rsi
    push %rbp
    mov %rdi, %rbp
    and $-16, %rsp
    call morgana_exception
    ud2
.Lexception_end:

    .p2align 4
    .globl morgana_interrupt_stub
    .hidden morgana_interrupt_stub
morgana_interrupt_stub:
    iretq

    .p2align 4
    .globl morgana_timer_stub
    .hidden morgana_timer_stub
morgana_timer_stub:
    movb $1, morgana_timer_fired(%rip)
    iretq

/* Xen interrupts for as long as the first byte of its shared page is not 0. Which events came stands elsewhere. */
    .p2align 4
    .globl morgana_event_stub
    .hidden morgana_event_stub
morgana_event_stub:
    movb $0, morgana_shared_page(%rip)
    iretq

/* For debuggers (DWARF 5, 6.4): from `exception` back to what was interrupted, by what the processor put on the stack, which %rbp
 * finds. By hand, because .cfi_signal_frame says nothing in this section, and the other one is not kept. */
    .section .debug_frame, "", @progbits
.Lcommon:
    .long .Lcommon_end - .Lcommon - 4
    .long 0xffffffff
    .byte 1                             /* version */
    .asciz "S"                          /* an interruption: the stacks are not one's continuation */
    .uleb128 1
    .sleb128 -8
    .byte 16                            /* the return address is that of %rip */
    .byte 0x0c, 6, 56                   /* addresses count from %rbp + 56 */
    .byte 0x80 + 16, 5                  /* %rip is 5 words below, */
    .byte 0x80 + 7, 2                   /* %rsp 2, */
    .byte 0x80 + 6, 8                   /* %rbp 8 */
    .p2align 3
.Lcommon_end:
    .long .Lframe_end - .Lframe
.Lframe:
    .long .Lcommon
    .quad exception
    .quad .Lexception_end - exception
    .p2align 3
.Lframe_end:

    .section .note.GNU-stack, "", @progbits
