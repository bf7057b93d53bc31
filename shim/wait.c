// SPDX-License-Identifier: Apache-2.0
#include "wait.h"

#include <errno.h>

#include "libc.h"
#include "new_filters.h"
#include "pending.h"
#include "wait_mask.h"

/* So often all that was found may be dropped though nothing went on. More is no connection of ours,
 * but what the kernel goes on telling of something else, and the program is to see that. */
#define FRUITLESS_MOST 64u

/* noinline: what is closed is not on the stack beside the waits. */
__attribute__((noinline)) static void begin(struct wait_mask *ret_mask)
{
	wait_mask_begin(ret_mask);
}

__attribute__((noinline)) static void cancel(const sigset_t *mask)
{
	wait_mask_cancel(mask);
}

#define REFUSED (-2)

/* A filter of system calls knows the program's calls, and not their kin that we wait by: no errno of
 * theirs. noinline: errno is looked for anew. */
__attribute__((noinline)) static bool is_refused(void)
{
	return errno == EPERM || errno == EACCES || errno == ENOSYS;
}

/* Then nothing is watched any more in this process, and the program's own call waits for the rest. */
static int ask_as_program(const struct wait_kind *kind, const void *call,
			  const struct wait_time *time)
{
	struct timespec length;
	bool is_cut;

	libc_waits_are_refused();
	pending_unwatch_all();
	return kind->ask(call, wait_time_stretch(time, false, 0, &length, &is_cut), NULL);
}

static int stretches(const struct wait_kind *kind, const void *call, const struct wait_time *time,
		     const sigset_t *mask, bool is_whole)
{
	unsigned fruitless = 0;

	for (;; is_whole = false) {
		const struct timespec *stretch;
		struct timespec length;
		bool acted = false;
		bool is_cut;
		int found;

		stretch = wait_time_stretch(time, is_whole, revive_due(kind->shows, call), &length, &is_cut);
		cancel(mask);
		found = kind->ask(call, stretch, mask);
		if (found < 0 && is_refused())
			return REFUSED;
		if (found < 0 || (found == 0 && !is_cut))
			return found;
		if (found > 0 && fruitless < FRUITLESS_MOST) {
			found = kind->sift(call, found, &acted);
			fruitless = acted ? 0 : fruitless + 1;
		}
		if (found || (!is_cut && wait_time_is_over(time)))
			return found;
		if (kind->restore)
			kind->restore(call);
	}
}

/* It waits for nothing, so nothing can be missed between two stretches: there is one. */
static int at_once(const struct wait_kind *kind, const void *call)
{
	const struct timespec none = {0, 0};
	bool acted = false;
	int found;

	if (pending_is_due() && !new_filters_here())
		revive_due(kind->shows, call);
	found = kind->ask(call, &none, NULL);
	return found > 0 ? kind->sift(call, found, &acted) : found;
}

int wait_filtered(const struct wait_kind *kind, const void *call, struct wait_time *time,
		  const sigset_t *mask)
{
	struct wait_mask own;
	int found;

	if (wait_time_is_none(time))
		return at_once(kind, call);
	if (new_filters_here())
		return kind->ask(call, wait_time_whole(time), NULL);
	begin(&own);
	wait_time_begin(time);
	found = stretches(kind, call, time, mask ? mask : &own.program, true);
	wait_mask_end(&own);
	return found == REFUSED ? ask_as_program(kind, call, time) : found;
}

int wait_goes_on(const struct wait_kind *kind, const void *call, struct wait_time *time,
		 const sigset_t *mask, int found, const struct timespec *began)
{
	struct wait_mask own;
	bool acted = false;

	/* A handler that ran by now is one of the time when the kernel's wait was over: as if it
	 * had come right after. It would have found the program with an event; so it waits for the
	 * next one, no longer than the connection lasts. */
	found = kind->sift(call, found, &acted);
	if (found || wait_time_is_none(time))
		return found;
	begin(&own);
	wait_time_began(time, began);
	if (kind->restore)
		kind->restore(call);
	found = wait_time_is_over(time)
			? 0
			: stretches(kind, call, time, mask ? mask : &own.program, false);
	wait_mask_end(&own);
	return found == REFUSED ? ask_as_program(kind, call, time) : found;
}
