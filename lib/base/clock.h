/* Time and chance, from the kernel. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_CLOCK_H
#define K8SLB_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds. Async-signal-safe, keeps errno. */
uint64_t clock_monotonic_ms(void);

/* The same to a few ms, which costs a tenth of the exact time. */
uint64_t clock_coarse_ms(void);

/* Both in microseconds. */
uint64_t clock_monotonic_us(void);
uint64_t clock_coarse_us(void);

/* What the calling thread has had of a processor, in microseconds. A system call; keeps errno. */
uint64_t clock_thread_us(void);

/* Seconds since the epoch. Async-signal-safe, keeps errno. */
uint64_t clock_realtime_s(void);

/* The same in milliseconds, to a few ms, as cheap as clock_coarse_ms(). */
uint64_t clock_realtime_coarse_ms(void);

/*
 * 64 random bits by getrandom(GRND_NONBLOCK); before the kernel's pool is ready, or where a
 * seccomp filter forbids it, from clock, pid and stack address. For spreading load, not for
 * secrets. Never blocks, async-signal-safe, keeps errno.
 */
uint64_t random_u64(void);

#endif
