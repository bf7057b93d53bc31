// SPDX-License-Identifier: Apache-2.0
#include "new_filters.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"

/* linux/seccomp.h: SECCOMP_MODE_FILTER. */
#define MODE_FILTER 2
#define COUNTS_MS   100u

static uint32_t mode_at_start;
static int32_t count_at_start = -1; /* -1: not known */

/* Of each thread, all zero at first. */
static __thread uint64_t same_at_ms;

/* The number behind "Seccomp_filters:" of the calling thread, or -1. Without cancellation points. */
static int count_filters(void)
{
	static const char name[] = "\nSeccomp_filters:\t";
	char text[256];
	size_t matched = 0;
	int count = -1;
	int fd = (int)raw_syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/status",
				  O_RDONLY | O_CLOEXEC);
	long got;

	if (fd < 0)
		return -1;
	while ((got = raw_syscall(SYS_read, fd, text, sizeof(text))) > 0) {
		for (long i = 0; i < got; i++) {
			char c = text[i];

			if (matched == sizeof(name) - 1) {
				if (c < '0' || c > '9')
					matched = SIZE_MAX;
				else
					count = (count < 0 ? 0 : count) * 10 + (c - '0');
			} else if (matched != SIZE_MAX) {
				matched = c == name[matched] ? matched + 1 : c == '\n';
			}
		}
	}
	raw_syscall(SYS_close, fd);
	return count;
}

void new_filters_init(void)
{
	KEEP_ERRNO();
	long mode = raw_syscall(SYS_prctl, PR_GET_SECCOMP);

	mode_at_start = mode > 0 ? (uint32_t)mode : 0;
	if (mode == MODE_FILTER)
		count_at_start = count_filters();
}

bool new_filters_here(void)
{
	KEEP_ERRNO();
	uint64_t now_ms;
	long mode = raw_syscall(SYS_prctl, PR_GET_SECCOMP);

	if (mode <= 0)
		return mode < 0 && errno != EINVAL; /* EINVAL: a kernel without filters */
	if (mode_at_start != MODE_FILTER || count_at_start < 0)
		return true;
	now_ms = clock_coarse_ms();
	if (same_at_ms && now_ms - same_at_ms < COUNTS_MS)
		return false;
	if (count_filters() != count_at_start)
		return true;
	same_at_ms = now_ms;
	return false;
}
