// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/raw_syscall.h"

#define GETRANDOM_NONBLOCK 1 /* GRND_NONBLOCK; sys/random.h is younger than the oldest libc */

uint64_t clock_monotonic_ms(void)
{
	struct timespec now = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_realtime_s(void)
{
	struct timespec now = {0, 0};

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

uint64_t random_u64(void)
{
	int saved_errno = errno;
	uint64_t value;

	if (raw_syscall(SYS_getrandom, &value, sizeof(value), GETRANDOM_NONBLOCK) !=
	    (long)sizeof(value)) {
		struct timespec now = {0, 0};

		clock_gettime(CLOCK_MONOTONIC, &now);
		value = hash_mix((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32) ^
				 (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)&now);
	}
	errno = saved_errno;
	return value;
}
