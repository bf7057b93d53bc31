// SPDX-License-Identifier: Apache-2.0
/*
 * select(2) and pselect(2): as poll() (poll.c). The sets are put back where a wait goes on, and
 * select() leaves the time that is left.
 */
#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include "engine/engine.h"
#include "fd_sets.h"
#include "libc.h"
#include "pending.h"
#include "readable.h"
#include "revive.h"
#include "wait_time.h"

enum { READABLE, WRITABLE };

/* The kernel's answer is in the sets. Looks at ours among them; returns how many bits are left. */
static int sift(const struct fd_sets *sets, int found)
{
	unsigned place = 0;

	for (;;) {
		int fds[16];
		unsigned places[16];
		unsigned count = pending_numbers(&place, fds, places, 16);

		if (!count)
			return found;
		for (unsigned i = 0; i < count; i++) {
			bool has_readable = fd_sets_has(sets, READABLE, fds[i]);
			bool has_writable = fd_sets_has(sets, WRITABLE, fds[i]);
			short now;

			if ((!has_readable && !has_writable) ||
			    revive_event(fds[i], POLLIN | POLLOUT, &now) != REVIVE_SHOWS)
				continue;
			/* What a set is: POLLIN_SET and POLLOUT_SET of the kernel's fs/select.c. */
			if (has_readable && !(now & (POLLIN | POLLHUP | POLLERR))) {
				fd_sets_remove(sets, READABLE, fds[i]);
				found--;
			}
			if (has_writable && !(now & (POLLOUT | POLLERR))) {
				fd_sets_remove(sets, WRITABLE, fds[i]);
				found--;
			}
		}
	}
}

static fd_set *set_of(const struct fd_sets *sets, unsigned which)
{
	return (fd_set *)(void *)sets->sets[which];
}

static int wait(const struct fd_sets *sets, int count, struct wait_time *time, const sigset_t *mask)
{
	bool is_first = true;

	wait_time_begin(time, 0);
	for (;; is_first = false) {
		struct timespec length;
		bool is_cut;
		const struct timespec *stretch =
			wait_time_stretch(time, is_first, revive_due(), &length, &is_cut);
		int found;

		if (!is_first)
			fd_sets_put_back(sets);
		found = libc_pselect(count, set_of(sets, 0), set_of(sets, 1), set_of(sets, 2), stretch,
				     mask);
		if (found < 0 || (found == 0 && !is_cut))
			return found;
		if (found)
			found = sift(sets, found);
		if (found || (!is_cut && wait_time_is_over(time)))
			return found;
	}
}

static bool is_filtered(void)
{
	return pending_watched() && !engine_is_own_thread();
}

static int shim_pselect(int count, fd_set *readable_set, fd_set *writable_set,
			fd_set *exceptional_set, const struct timespec *timeout,
			const sigset_t *mask)
{
	struct wait_time time;
	struct fd_sets sets;
	int result;

	if ((timeout && !readable(timeout, sizeof(*timeout))) || !wait_time_is_valid(timeout) ||
	    !fd_sets_keep(&sets, count, readable_set, writable_set, exceptional_set))
		return libc_pselect(count, readable_set, writable_set, exceptional_set, timeout,
				    mask);
	time = wait_time_of(timeout);
	result = wait(&sets, count, &time, mask);
	fd_sets_release(&sets);
	return result;
}

/* Of a wait that began; the kernel does not write where there was none, nor where it may not.
 * noinline: errno is looked for anew (poll.c). */
__attribute__((noinline)) static void tell_left(struct timeval *timeout, const struct wait_time *time)
{
	uint64_t left_us;

	if (!time->ends || !time->left_ns || !writable_time(timeout))
		return;
	left_us = wait_time_left_us(time);
	timeout->tv_sec = (time_t)(left_us / 1000000);
	timeout->tv_usec = (suseconds_t)(left_us % 1000000);
}

static int shim_select(int count, fd_set *readable_set, fd_set *writable_set,
		       fd_set *exceptional_set, struct timeval *timeout)
{
	struct timespec length;
	struct wait_time time;
	struct fd_sets sets;
	int result;

	if ((timeout && (!readable(timeout, sizeof(*timeout)) || timeout->tv_sec < 0 ||
			 timeout->tv_sec > WAIT_TIME_MOST_S || timeout->tv_usec < 0)) ||
	    !fd_sets_keep(&sets, count, readable_set, writable_set, exceptional_set))
		return libc_select(count, readable_set, writable_set, exceptional_set, timeout);
	if (timeout)
		length = (struct timespec){
			.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
			.tv_nsec = (long)(timeout->tv_usec % 1000000) * 1000,
		};
	time = wait_time_of(timeout ? &length : NULL);
	result = wait(&sets, count, &time, NULL);
	fd_sets_release(&sets);
	tell_left(timeout, &time);
	return result;
}

__attribute__((visibility("default"))) int select(int count, fd_set *readable_set,
						  fd_set *writable_set, fd_set *exceptional_set,
						  struct timeval *timeout)
{
	/* What another thread begins during the call is as without us: the sets are not kept. */
	if (is_filtered())
		return shim_select(count, readable_set, writable_set, exceptional_set, timeout);
	return libc_select(count, readable_set, writable_set, exceptional_set, timeout);
}

__attribute__((visibility("default"))) int pselect(int count, fd_set *readable_set,
						   fd_set *writable_set, fd_set *exceptional_set,
						   const struct timespec *timeout,
						   const sigset_t *mask)
{
	if (is_filtered())
		return shim_pselect(count, readable_set, writable_set, exceptional_set, timeout, mask);
	return libc_pselect(count, readable_set, writable_set, exceptional_set, timeout, mask);
}
