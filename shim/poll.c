// SPDX-License-Identifier: Apache-2.0
/*
 * poll(2) and ppoll(2), as such and fortified: the events of a connection that goes on to another
 * endpoint are not shown, and the wait goes on with the rest of its time (wait.h, revive.h).
 */
#include <poll.h>
#include <signal.h>
#include <stddef.h>

#include "libc.h"
#include "new_filters.h"
#include "readable.h"
#include "revive.h"
#include "wait.h"

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
	bool may_read; /* fds, before the kernel has */
};

/* Fortified ones end in libc's, which ends the program where they were wrong. */
static int ask(const void *of, const struct timespec *stretch, const sigset_t *mask)
{
	const struct call *call = of;

	if (!mask && !call->counts_ns)
		return call->size ? libc___poll_chk(call->fds, call->count, wait_time_ms(stretch),
						    call->size)
				  : libc_poll(call->fds, call->count, wait_time_ms(stretch));
	if (!mask)
		mask = call->mask;
	return call->size ? libc___ppoll_chk(call->fds, call->count, stretch, mask, call->size)
			  : libc_ppoll(call->fds, call->count, stretch, mask);
}

/* The kernel has written to them. */
static int sift(const void *of, int found, bool *ret_acted)
{
	const struct call *call = of;
	int left = found;

	for (nfds_t i = 0; found > 0 && i < call->count; i++) {
		struct pollfd *one = &call->fds[i];
		short now;

		if (!one->revents)
			continue;
		found--;
		if (!(one->revents & (POLLERR | POLLHUP)) ||
		    revive_event(one->fd, one->events, NULL, &now, ret_acted) != REVIVE_SHOWS)
			continue;
		one->revents = now;
		if (!now)
			left--;
	}
	return left;
}

/* Of so many it is taken for granted. */
#define LOOKED_AT 256u

static bool shows(const void *of, int fd)
{
	const struct call *call = of;

	for (nfds_t i = 0; call->may_read && i < call->count && i < LOOKED_AT; i++) {
		if (call->fds[i].fd == fd)
			return true;
	}
	return call->count > LOOKED_AT;
}

/* By a system call, where it is not in the caller's frame. */
static bool may_read(const struct pollfd *fds, nfds_t count)
{
	size_t size = (count < LOOKED_AT ? count : LOOKED_AT) * sizeof(*fds);

	return is_on_stack_page(fds, size) || (!new_filters_here() && readable(fds, size));
}

static const struct wait_kind polls = {.ask = ask, .sift = sift, .shows = shows};

/* More than there is room for: libc is to find that with the program's own mask. */
static bool is_too_long(const struct call *call)
{
	return call->size && call->count > call->size / sizeof(*call->fds);
}

/* noinline: a call that has nothing to do with us is not to build what these need. */
__attribute__((noinline)) static int poll_filtered(struct pollfd *fds, nfds_t count, int timeout,
						   size_t size)
{
	struct call call = {.fds = fds, .count = count, .size = size};
	struct wait_time time = wait_time_of_ms(timeout);

	if (is_too_long(&call))
		return libc___poll_chk(fds, count, timeout, size);
	call.may_read = (timeout || pending_is_due()) && may_read(fds, count);
	return wait_filtered(&polls, &call, &time, NULL);
}

__attribute__((noinline)) static int poll_goes_on(struct pollfd *fds, nfds_t count, int timeout,
						  size_t size, int found,
						  const struct timespec *began)
{
	const struct call call = {.fds = fds, .count = count, .size = size, .may_read = true};
	struct wait_time time = wait_time_of_ms(timeout);

	return wait_goes_on(&polls, &call, &time, NULL, found, began);
}

static inline int shim_poll(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	struct timespec began;
	int found;

	if (wait_is_filtered())
		return poll_filtered(fds, count, timeout, size);
	if (timeout > 0)
		wait_time_now(&began);
	found = size ? libc___poll_chk(fds, count, timeout, size) : libc_poll(fds, count, timeout);
	if (found > 0 && wait_is_filtered())
		return poll_goes_on(fds, count, timeout, size, found, &began);
	return found;
}

static int shim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		      const sigset_t *mask, size_t size)
{
	struct call call = {
		.fds = fds, .count = count, .mask = mask, .size = size, .counts_ns = true};
	struct timespec began;
	struct wait_time time;
	int found;

	if (wait_is_filtered() && !is_too_long(&call) && wait_time_is_valid(timeout)) {
		time = wait_time_of(timeout);
		call.may_read = may_read(fds, count);
		return wait_filtered(&polls, &call, &time, mask);
	}
	if (timeout)
		wait_time_now(&began);
	found = ask(&call, timeout, NULL);
	if (found > 0 && wait_is_filtered()) {
		time = wait_time_of(timeout);
		call.may_read = true;
		return wait_goes_on(&polls, &call, &time, mask, found, &began);
	}
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
