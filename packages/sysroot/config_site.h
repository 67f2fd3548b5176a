// What libc++ is configured as. One choice for libraries and users: it is part of the ABI.
#ifndef _LIBCPP___CONFIG_SITE
#define _LIBCPP___CONFIG_SITE

#define _LIBCPP_ABI_VERSION 1
#define _LIBCPP_ABI_NAMESPACE __1
#define _LIBCPP_ABI_FORCE_ITANIUM 0
#define _LIBCPP_ABI_FORCE_MICROSOFT 0

// The C library has the threads' interface, so that mutex, call_once and future are there; starting a second
// thread fails with EAGAIN.
#define _LIBCPP_HAS_THREADS 1
#define _LIBCPP_HAS_THREAD_API_PTHREAD 1
#define _LIBCPP_HAS_THREAD_API_EXTERNAL 0
#define _LIBCPP_HAS_THREAD_API_WIN32 0
#define _LIBCPP_HAS_THREAD_API_C11 0

#define _LIBCPP_HAS_MUSL_LIBC 1
#define _LIBCPP_LIBC_PICOLIBC 0
#define _LIBCPP_LIBC_NEWLIB 0
#define _LIBCPP_HAS_MONOTONIC_CLOCK 1
#define _LIBCPP_HAS_RANDOM_DEVICE 1
#define _LIBCPP_HAS_UNICODE 1
#define _LIBCPP_HAS_WIDE_CHARACTERS 1

// iostream, regex and locale cost 170 KB of every image that touches them: left out. format and print are there.
#define _LIBCPP_HAS_LOCALIZATION 0
#define _LIBCPP_HAS_FILESYSTEM 0
#define _LIBCPP_HAS_TERMINAL 0
#define _LIBCPP_HAS_TIME_ZONE_DATABASE 0

#define _LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS 0
#define _LIBCPP_INSTRUMENTED_WITH_ASAN 0
#define _LIBCPP_PSTL_BACKEND_SERIAL

// 4: fast. 2: a failed check is handled as the mode says, which is a trap.
#define _LIBCPP_HARDENING_MODE_DEFAULT 4
#define _LIBCPP_ASSERTION_SEMANTIC_DEFAULT 2

#endif
