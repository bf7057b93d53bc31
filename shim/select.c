// SPDX-License-Identifier: Apache-2.0
/*
 * select(2) and pselect(2): as poll() (poll.c). The sets are put back where a wait goes on, and
 * select() leaves the time that is left.
 */
#include <alloca.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include "fd_sets.h"
#include "libc.h"
#include "new_filters.h"
#include "pending.h"
#include "readable.h"
#include "revive.h"
#include "wait.h"

enum { READABLE, WRITABLE };

struct call {
	struct fd_sets sets;
	int count;
	const sigset_t *mask;
	bool is_pselect;
};

static fd_set *set_of(const struct call *call, unsigned which)
{
	return (fd_set *)(void *)call->sets.sets[which];
}

/* By pselect(), but where that is refused: the time of select() is written when the wait is over. */
static int ask(const void *of, const struct timespec *stretch, const sigset_t *mask)
{
	const struct call *call = of;
	struct timeval time;

	if (!mask && !call->is_pselect) {
		if (stretch)
			time = (struct timeval){.tv_sec = stretch->tv_sec,
						.tv_usec = (suseconds_t)(stretch->tv_nsec / 1000)};
		return libc_select(call->count, set_of(call, 0), set_of(call, 1), set_of(call, 2),
				   stretch ? &time : NULL);
	}
	return libc_pselect(call->count, set_of(call, 0), set_of(call, 1), set_of(call, 2), stretch,
			    mask ? mask : call->mask);
}

/* The kernel's answer is in the sets. Looks at ours among them. */
static int sift(const void *of, int found, bool *ret_acted)
{
	const struct fd_sets *sets = &((const struct call *)of)->sets;
	unsigned place = 0;

	for (;;) {
		int fds[16];
		unsigned count = pending_numbers(&place, fds, 16);

		if (!count)
			return found;
		for (unsigned i = 0; i < count; i++) {
			bool has_readable = fd_sets_has(sets, READABLE, fds[i]);
			bool has_writable = fd_sets_has(sets, WRITABLE, fds[i]);
			short now;

			if ((!has_readable && !has_writable) ||
			    revive_event(fds[i], POLLIN | POLLOUT, NULL, &now, ret_acted) != REVIVE_SHOWS)
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

static void restore(const void *of)
{
	fd_sets_put_back(&((const struct call *)of)->sets);
}

static bool shows(const void *of, int fd)
{
	const struct fd_sets *sets = &((const struct call *)of)->sets;

	return fd_sets_has(sets, READABLE, fd) || fd_sets_has(sets, WRITABLE, fd);
}

static const struct wait_kind selects = {
	.ask = ask, .sift = sift, .shows = shows, .restore = restore};

/* It waits for nothing, and nothing is due: its sets are asked for once, and looked at as the kernel
 * leaves them. */
__attribute__((noinline)) static int select_at_once(int count, fd_set *readable_set,
						    fd_set *writable_set, fd_set *exceptional_set,
						    struct timeval *timeout)
{
	struct call call = {
		.count = count,
		.sets = {.sets = {(unsigned long *)(void *)readable_set,
				  (unsigned long *)(void *)writable_set,
				  (unsigned long *)(void *)exceptional_set},
			 .count = count},
	};
	bool acted = false;
	int found;

	found = libc_select(count, readable_set, writable_set, exceptional_set, timeout);
	return found > 0 ? sift(&call, found, &acted) : found;
}

static int shim_pselect(int count, fd_set *readable_set, fd_set *writable_set,
			fd_set *exceptional_set, const struct timespec *timeout,
			const sigset_t *mask)
{
	struct wait_time time;
	struct call call;
	int result;

	if (new_filters_here() || !wait_time_is_valid(timeout) ||
	    !fd_sets_keep(&call.sets, alloca(fd_sets_room(count)), count, readable_set,
			  writable_set, exceptional_set))
		return libc_pselect(count, readable_set, writable_set, exceptional_set, timeout,
				    mask);
	call.count = count;
	call.mask = mask;
	call.is_pselect = true;
	time = wait_time_of(timeout);
	result = wait_filtered(&selects, &call, &time, mask);
	fd_sets_release(&call.sets);
	return result;
}

/* Of a wait that began; the kernel does not write where there was none, nor where it may not.
 * noinline: errno is looked for anew (poll.c). */
__attribute__((noinline)) static void tell_left(struct timeval *timeout, const struct wait_time *time)
{
	uint64_t left_us;

	if (!time->ends || wait_time_is_none(time) || !writable_time(timeout))
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
	struct call call;
	int result;

	if (timeout && is_on_stack_page(timeout, sizeof(*timeout)) && !timeout->tv_sec &&
	    !timeout->tv_usec && !pending_is_due())
		return select_at_once(count, readable_set, writable_set, exceptional_set, timeout);
	if (new_filters_here() ||
	    (timeout && (!readable(timeout, sizeof(*timeout)) || timeout->tv_sec < 0 ||
			 timeout->tv_sec > WAIT_TIME_MOST_S || timeout->tv_usec < 0)) ||
	    !fd_sets_keep(&call.sets, alloca(fd_sets_room(count)), count, readable_set,
			  writable_set, exceptional_set))
		return libc_select(count, readable_set, writable_set, exceptional_set, timeout);
	if (timeout)
		length = (struct timespec){
			.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
			.tv_nsec = (long)(timeout->tv_usec % 1000000) * 1000,
		};
	call.count = count;
	call.mask = NULL;
	call.is_pselect = false;
	time = wait_time_of(timeout ? &length : NULL);
	result = wait_filtered(&selects, &call, &time, NULL);
	fd_sets_release(&call.sets);
	tell_left(timeout, &time);
	return result;
}

__attribute__((visibility("default"))) int select(int count, fd_set *readable_set,
						  fd_set *writable_set, fd_set *exceptional_set,
						  struct timeval *timeout)
{
	/* What another thread begins during the call is as without us: the sets are not kept. */
	if (wait_is_filtered())
		return shim_select(count, readable_set, writable_set, exceptional_set, timeout);
	return libc_select(count, readable_set, writable_set, exceptional_set, timeout);
}

__attribute__((visibility("default"))) int pselect(int count, fd_set *readable_set,
						   fd_set *writable_set, fd_set *exceptional_set,
						   const struct timespec *timeout,
						   const sigset_t *mask)
{
	if (wait_is_filtered())
		return shim_pselect(count, readable_set, writable_set, exceptional_set, timeout, mask);
	return libc_pselect(count, readable_set, writable_set, exceptional_set, timeout, mask);
}
