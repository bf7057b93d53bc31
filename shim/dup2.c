// SPDX-License-Identifier: Apache-2.0
/*
 * dup2(2) and dup3(2) close what has the number, if they can put something there: as close()
 * (close.c).
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/keep_errno.h"
#include "closing.h"
#include "libc.h"

static bool is_descriptor(int fd)
{
	KEEP_ERRNO();

	return fcntl(fd, F_GETFD) >= 0;
}

static inline void replacing(int from, int to)
{
	if (pending_watched() && from != to && pending_has(to) && is_descriptor(from))
		closing_watched(to);
}

__attribute__((visibility("default"))) int dup2(int from, int to)
{
	replacing(from, to);
	return libc_dup2(from, to);
}

__attribute__((visibility("default"))) int dup3(int from, int to, int flags)
{
	if (!(flags & ~O_CLOEXEC))
		replacing(from, to);
	return libc_dup3(from, to, flags);
}
