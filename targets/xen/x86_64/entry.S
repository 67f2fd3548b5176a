/* The first instructions: from the PVH entry (32-bit protected mode, paging off, %ebx = hvm_start_info; Xen's
 * docs/misc/pvh.pandoc) to 64-bit C++ code under an identity map of the first GiB. boot.cpp goes on. */

    .section .note.xen, "a", @note
    .p2align 2
    .long 4, 8, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h) */
    .asciz "Xen"
    .quad morgana_absolute_entry

    .section .text.entry, "ax", @progbits
    .code32
    .globl morgana_pvh_entry
morgana_pvh_entry:
    cld
    mov $morgana_absolute_stack, %esp
    mov $morgana_absolute_directory, %edi
    mov $0x83, %eax                 /* present, writable, 2 MiB */
    lea 4096(%edi), %ecx
1:  .irp entry, 0, 1, 2, 3, 4, 5, 6, 7
    mov %eax, \entry * 8(%edi)
    add $0x200000, %eax
    .endr
    add $64, %edi
    cmp %ecx, %edi
    jne 1b
    movl $morgana_absolute_directory + 3, morgana_absolute_directories
    movl $morgana_absolute_directories + 3, morgana_absolute_root
    mov $morgana_absolute_root, %eax
    mov %eax, %cr3
    mov $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $0xc0000080, %ecx           /* EFER: long mode, no-execute */
    rdmsr
    or $0x900, %eax
    wrmsr
    mov $0x80010023, %eax           /* paging, write protection in ring 0 too, native FPU errors, protected mode */
    mov %eax, %cr0
    lgdt morgana_absolute_segments_place
    ljmp $8, $morgana_absolute_long_mode

    .code64
    .globl morgana_long_mode
morgana_long_mode:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    xor %ebp, %ebp
    mov %ebx, %edi
    call morgana_boot
    ud2

/* morgana_go_up(root, segments, vectors, stack, entry): everything is mapped; the tables that are in force have the
 * new addresses too. Ends at `entry`, under `root`, which has no identity map. */
    .globl morgana_go_up
    .hidden morgana_go_up
morgana_go_up:
    lgdt (%rsi)
    lidt (%rdx)
    jmp *%r9
    .globl morgana_up
    .hidden morgana_up
morgana_up:
    mov %rdi, %cr3
    mov %rcx, %rsp
    xor %ebp, %ebp
    call *%r8
    ud2

    .data
    .p2align 3
    .globl morgana_boot_segments_place
morgana_boot_segments_place:
    .word 39
    .long morgana_absolute_segments

    .section .bss.boot, "aw", @nobits
    .p2align 12
    .globl morgana_boot_root, morgana_boot_directories, morgana_boot_directory, morgana_boot_stack_end
    .hidden morgana_boot_root
morgana_boot_root: .skip 4096
morgana_boot_directories: .skip 4096
morgana_boot_directory: .skip 4096
    .skip 8192
morgana_boot_stack_end:

    .section .note.GNU-stack, "", @progbits
