// SPDX-License-Identifier: Apache-2.0
/*
 * poll(2) and ppoll(2), as such and fortified: the events of a connection that goes on to another
 * endpoint are not shown, and the wait goes on with the rest of its time (revive.h).
 *
 * No errno is touched here: a coroutine may come back from libc's call on another thread, where errno
 * is at another address than the compiler has it.
 */
#include <poll.h>
#include <signal.h>
#include <stddef.h>

#include "engine/engine.h"
#include "libc.h"
#include "pending.h"
#include "revive.h"
#include "wait_time.h"

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

/* Which call of libc's it is. */
struct call {
	struct pollfd *fds;
	nfds_t count;
	const sigset_t *mask;
	size_t size; /* of fds, as the compiler knows it; 0: it does not */
	bool counts_ns;
};

/* NULL: for ever. Fortified ones end in libc's, which ends the program where they were wrong. */
static int ask(const struct call *call, const struct timespec *timeout)
{
	if (call->counts_ns && call->size)
		return libc___ppoll_chk(call->fds, call->count, timeout, call->mask, call->size);
	if (call->counts_ns)
		return libc_ppoll(call->fds, call->count, timeout, call->mask);
	if (call->size)
		return libc___poll_chk(call->fds, call->count, wait_time_ms(timeout), call->size);
	return libc_poll(call->fds, call->count, wait_time_ms(timeout));
}

/* The kernel has written to them. Returns how many still show something. */
static int sift(const struct call *call, int found)
{
	int left = found;

	for (nfds_t i = 0; found > 0 && i < call->count; i++) {
		struct pollfd *one = &call->fds[i];
		short now;

		if (!one->revents)
			continue;
		found--;
		if (!(one->revents & (POLLERR | POLLHUP)) ||
		    revive_event(one->fd, one->events, &now) != REVIVE_SHOWS)
			continue;
		one->revents = now;
		if (!now)
			left--;
	}
	return left;
}

/* @found: 0, or what a call that began at @began_us has found already. */
static int wait(const struct call *call, struct wait_time time, int found, uint64_t began_us)
{
	bool is_first = true;

	wait_time_begin(&time, began_us);
	for (;;) {
		const struct timespec *stretch;
		struct timespec length;
		bool is_cut = false;

		if (!found) {
			stretch = wait_time_stretch(&time, is_first && !began_us, revive_due(), &length,
						    &is_cut);
			found = ask(call, stretch);
		}
		is_first = false;
		if (found < 0 || (found == 0 && !is_cut))
			return found;
		found = sift(call, found);
		if (found || (!is_cut && wait_time_is_over(&time)))
			return found;
	}
}

static bool is_filtered(void)
{
	return pending_watched() && !engine_is_own_thread();
}

/* noinline: a call that has nothing to do with us is not to build what these need. */
__attribute__((noinline)) static int wait_ms(struct pollfd *fds, nfds_t count, int timeout,
					     size_t size, int found, uint64_t began_us)
{
	const struct call call = {.fds = fds, .count = count, .size = size};

	return wait(&call, wait_time_of_ms(timeout), found, began_us);
}

static inline int shim_poll(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	uint64_t began_us;
	int found;

	if (is_filtered())
		return wait_ms(fds, count, timeout, size, 0, 0);
	began_us = timeout > 0 ? wait_time_now() : 0;
	found = size ? libc___poll_chk(fds, count, timeout, size) : libc_poll(fds, count, timeout);
	/* What another thread began meanwhile may be among it. */
	if (found > 0 && is_filtered())
		return wait_ms(fds, count, timeout, size, found, began_us);
	return found;
}

static int shim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		      const sigset_t *mask, size_t size)
{
	const struct call call = {
		.fds = fds, .count = count, .mask = mask, .size = size, .counts_ns = true};
	uint64_t began_us;
	int found;

	if (is_filtered() && wait_time_is_valid(timeout))
		return wait(&call, wait_time_of(timeout), 0, 0);
	began_us = timeout ? wait_time_now() : 0;
	found = ask(&call, timeout);
	if (found > 0 && is_filtered())
		return wait(&call, wait_time_of(timeout), found, began_us);
	return found;
}

__attribute__((visibility("default"))) int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return shim_poll(fds, count, timeout, 0);
}

__attribute__((visibility("default"))) int ppoll(struct pollfd *fds, nfds_t count,
						 const struct timespec *timeout,
						 const sigset_t *mask)
{
	return shim_ppoll(fds, count, timeout, mask, 0);
}

__attribute__((visibility("default"))) int __poll_chk(struct pollfd *fds, nfds_t count, int timeout,
						      size_t size)
{
	return shim_poll(fds, count, timeout, size);
}

__attribute__((visibility("default"))) int __ppoll_chk(struct pollfd *fds, nfds_t count,
						       const struct timespec *timeout,
						       const sigset_t *mask, size_t size)
{
	return shim_ppoll(fds, count, timeout, mask, size);
}
