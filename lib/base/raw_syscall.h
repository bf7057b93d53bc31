/* System calls past every hook: syscall(3) is one that other preloaded libraries stand before. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_RAW_SYSCALL_H
#define K8SLB_BASE_RAW_SYSCALL_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * torsocks denies the system calls that it does not know and sends connections through its proxy,
 * ours to the API server as well. Same contract as syscall(2); no cancellation point.
 */
static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	long result;

#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	result = x0;
#else
	return syscall(number, a, b, c, d, e, f);
#endif
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

/* With up to six arguments, numbers or pointers. */
#define raw_syscall(...) raw_syscall_padded(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define raw_syscall_padded(number, a, b, c, d, e, f, ...) \
	raw_syscall6((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
