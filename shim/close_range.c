// SPDX-License-Identifier: Apache-2.0
/*
 * close_range(2) and closefrom(3): as close() (close.c), for many. With CLOSE_RANGE_UNSHARE the
 * numbers of the other threads stay, with CLOSE_RANGE_CLOEXEC all do.
 */
#include <limits.h>
#include <unistd.h>

#include "closing.h"
#include "libc.h"

int close_range(unsigned first, unsigned last, int flags);
void closefrom(int first);

__attribute__((visibility("default"))) int close_range(unsigned first, unsigned last, int flags)
{
	if (!flags)
		closing_range(first, last);
	return libc_close_range(first, last, flags);
}

__attribute__((visibility("default"))) void closefrom(int first)
{
	closing_range(first < 0 ? 0 : (unsigned)first, UINT_MAX);
	libc_closefrom(first);
}
