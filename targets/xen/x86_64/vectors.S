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
    xor %ebp, %ebp
    and $-16, %rsp
    call morgana_exception
    ud2

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

    .section .note.GNU-stack, "", @progbits
