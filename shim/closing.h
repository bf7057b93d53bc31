/* Numbers that the program is about to give away, by close(2) and its kin. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_CLOSING_H
#define K8SLB_SHIM_CLOSING_H

#include "pending.h"

/*
 * What is done to a connection under way (revive.h) takes some system calls, and each names a
 * number, not a socket. A thread that closed it in between, and another socket that got the number
 * right then, would have that one disconnected, or connected to a pod. So whoever closes one that
 * is watched waits until nobody acts on it, and has it forgotten, before libc is called: no number
 * is given away while something is done to it, and what begins later finds nothing. That takes
 * microseconds, unless the other thread is given no processor: PENDING_LONGEST_MS at most, and then
 * that does nothing more. What is closed past libc's names (fclose(3), bare system calls, io_uring)
 * the cookie tells, but for the moment between that question and the next call.
 *
 * A load where nothing is watched. Nothing in a child of vfork(2), which has its parent's memory
 * and not its descriptors. Async-signal-safe, no cancellation points, keep errno.
 */
void closing_watched(int fd);
void closing_watched_range(unsigned first, unsigned last);

static inline void closing(int fd)
{
	if (pending_watched())
		closing_watched(fd);
}

/* Both included. */
static inline void closing_range(unsigned first, unsigned last)
{
	if (pending_watched())
		closing_watched_range(first, last);
}

#endif
