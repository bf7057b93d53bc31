/* The clock of the dialers in C, in seconds. */
// SPDX-License-Identifier: Apache-2.0
#ifndef DIALERS_NOW_H
#define DIALERS_NOW_H

#include <time.h>

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

#endif
