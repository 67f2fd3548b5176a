// Two stacks of one thread: void morgana_sim_switch(void** leave, void* enter) stores where this one is left
// and goes on where the other was. System V ABI for x86-64: what a callee keeps is kept on the stack, with
// both words of floating-point control. A fault handler enters morgana_sim_resume with rsp as `enter` had
// been.
#if !defined(__x86_64__)
#error "the simulator switches stacks by itself: say here how this processor does"
#endif

asm(R"(
        .text
        .p2align 4
        .globl  morgana_sim_switch
        .type   morgana_sim_switch, @function
morgana_sim_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $8, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        .globl  morgana_sim_resume
        .type   morgana_sim_resume, @function
morgana_sim_resume:
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        .cfi_endproc
        .size   morgana_sim_switch, . - morgana_sim_switch

# Where a new stack begins: calls r12 with r13. The chain of frames ends here.
        .p2align 4
        .globl  morgana_sim_begin
        .type   morgana_sim_begin, @function
morgana_sim_begin:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   morgana_sim_begin, . - morgana_sim_begin
)");
