// SPDX-License-Identifier: Apache-2.0
#include "closing.h"

#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "engine/engine.h"
#include "new_filters.h"
#include "process.h"

/* Of a thread that has the program's descriptors, and may make more calls than the one it is about
 * to. */
static bool may_act(void)
{
	return !engine_is_own_thread() && !new_filters_here();
}

void closing_watched(int fd)
{
	KEEP_ERRNO();
	struct pending_hold hold;

	if (!pending_has(fd) || !may_act() ||
	    pending_claim_wait(fd, PENDING_LONGEST_MS, &hold) != PENDING_CLAIMED)
		return;
	pending_clear(&hold);
	pending_release(&hold);
}

void closing_watched_range(unsigned first, unsigned last)
{
	unsigned place = 0;
	unsigned count;
	int fds[16];

	if (!may_act() || (uint32_t)raw_syscall(SYS_getpid) != process_adopter())
		return;
	while ((count = pending_numbers(&place, fds, 16))) {
		for (unsigned i = 0; i < count; i++) {
			if ((unsigned)fds[i] >= first && (unsigned)fds[i] <= last)
				closing_watched(fds[i]);
		}
	}
}
