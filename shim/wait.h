/* A wait of the program beside connections under way: it is cut where one is due, and goes on where
 * all that it found is kept from the program. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_WAIT_H
#define K8SLB_SHIM_WAIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "engine/engine.h"
#include "pending.h"
#include "revive.h"
#include "wait_time.h"

/* One of libc's calls that wait, with the caller's arguments at @call. */
struct wait_kind {
	/*
	 * Calls libc's. @mask NULL: the call that the program made, with its own mask if it has
	 * one; else its kin that opens this mask for the time of the wait.
	 */
	int (*ask)(const void *call, const struct timespec *stretch, const sigset_t *mask);
	/* Takes out of @found results what is none for the program; returns how many are left.
	 * *@ret_acted: a connection went on. */
	int (*sift)(const void *call, int found, bool *ret_acted);
	/* Events of this descriptor may be among its results. */
	revive_shows_fn *shows;
	/* The call is asked again: its memory is as the program gave it. NULL: nothing to do. */
	void (*restore)(const void *call);
};

/* Something is under way, and this is no thread of ours: the question of each hook that waits. */
static inline bool wait_is_filtered(void)
{
	return pending_watched() && !engine_is_own_thread();
}

/*
 * Waits, for a call that found wait_is_filtered() true. @mask: the caller's own, or NULL. The
 * result is libc's, and errno is not touched here: a coroutine may come back from libc's call on
 * another thread, where errno is at another address than the compiler has it. A cancellation point.
 */
int wait_filtered(const struct wait_kind *kind, const void *call, struct wait_time *time,
		  const sigset_t *mask);

/*
 * The same of a call that libc has answered already with @found > 0, which began at @began
 * (wait_time_now()): what another thread began meanwhile may be among it.
 */
int wait_goes_on(const struct wait_kind *kind, const void *call, struct wait_time *time,
		 const sigset_t *mask, int found, const struct timespec *began);

#endif
