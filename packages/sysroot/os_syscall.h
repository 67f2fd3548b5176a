/* The border between the C library and what runs below it. A target defines this one function; everything the
 * C library asks of a kernel comes through it, by Linux's numbers (<sys/syscall.h>) and with Linux's answers: a
 * value, or -errno. Arguments that a call does not have are 0. It is called before thread-local storage and the
 * stack's canary are set up, so it must use neither. */
#ifndef OS_SYSCALL_H
#define OS_SYSCALL_H

#ifdef __cplusplus
extern "C"
#endif
long os_syscall(long number, long a, long b, long c, long d, long e, long f);

#endif
