// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"

#define GETRANDOM_NONBLOCK 1 /* GRND_NONBLOCK; sys/random.h is younger than the oldest libc */

static uint64_t us_of(clockid_t clock)
{
	struct timespec now = {0, 0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return us_of(CLOCK_MONOTONIC);
}

uint64_t clock_coarse_us(void)
{
	return us_of(CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_thread_us(void)
{
	KEEP_ERRNO();

	return us_of(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* Read by every hook: with one division. */
uint64_t clock_coarse_ms(void)
{
	struct timespec now = {0, 0};

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_realtime_s(void)
{
	return us_of(CLOCK_REALTIME) / 1000000;
}

uint64_t clock_realtime_coarse_ms(void)
{
	return us_of(CLOCK_REALTIME_COARSE) / 1000;
}

uint64_t random_u64(void)
{
	KEEP_ERRNO();
	uint64_t value;

	if (raw_syscall(SYS_getrandom, &value, sizeof(value), GETRANDOM_NONBLOCK) !=
	    (long)sizeof(value)) {
		struct timespec now = {0, 0};

		clock_gettime(CLOCK_MONOTONIC, &now);
		value = hash_mix((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32) ^
				 (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)&now);
	}
	return value;
}
