// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_wait(2), epoll_pwait(2) and epoll_pwait2(2): as poll() (wait.h). Whose an event is
 * epoll_data.h knows.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/keep_errno.h"
#include "epoll_data.h"
#include "events.h"
#include "libc.h"
#include "pending.h"
#include "revive.h"
#include "wait.h"

#define CANDIDATES 16u

#define BAD	     (EPOLLERR | EPOLLHUP)
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
/* poll(2) has the same numbers for them. */
#define SHOWN_BITS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | \
		    EPOLLWRBAND | EPOLLMSG | EPOLLRDHUP)

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
		       EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
	       "the bits of poll(2)");

/* An event that is kept from the program has no events then. */
static void judge(int epoll, const struct epoll_query *query, struct epoll_event *event,
		  bool *ret_acted)
{
	struct epoll_event noted = {.events = query->events};
	struct revive_arm arm = {.epoll = epoll, .data = event->data.u64, .inode = query->inode};
	uint32_t asked = query->events;
	short now;

	/* What it shows has to do where the kernel has forgotten what was asked for. */
	if (asked & EPOLLONESHOT && !epoll_data_noted(epoll, query->fd, &noted))
		noted.events = (event->events & ~(uint32_t)BAD) | (asked & PRIVATE_BITS);
	asked = noted.events;
	arm.otherwise = asked;
	if (revive_event(query->fd, (short)(asked & SHOWN_BITS), &arm, &now, ret_acted) ==
	    REVIVE_SHOWS)
		event->events = (uint32_t)(unsigned short)now;
}

/* Of those that are watched: whose data @query has, or may have. */
struct candidates {
	int fds[CANDIDATES];
	unsigned count;
	unsigned its; /* how many have the data by their notes; the last of them is in the query */
	bool is_alone;
};

static void find_candidates(int epoll, struct epoll_query *query, struct candidates *ret)
{
	unsigned place = 0;
	unsigned count;
	int fds[CANDIDATES];

	*ret = (struct candidates){.count = 0};
	*query = (struct epoll_query){.data = query->data, .fd = -1};
	while ((count = pending_numbers(&place, fds, CANDIDATES))) {
		for (unsigned i = 0; i < count; i++) {
			enum epoll_data_says says =
				epoll_data_says(epoll, fds[i], query->data, &query->events);

			if (says == EPOLL_DATA_OTHERS)
				continue;
			if (says != EPOLL_DATA_NOTHING) {
				query->fd = fds[i];
				ret->its++;
				ret->is_alone = says == EPOLL_DATA_ALONE;
			}
			if (ret->count < CANDIDATES)
				ret->fds[ret->count++] = fds[i];
		}
	}
}

/*
 * Whose event it is: one that is watched, or nobody who is (query->fd < 0). The notes tell, and the
 * list of the epoll where they do not, or have not been confirmed; but that is read a few times a
 * second only. False: two have the same data. noinline: what it needs of the stack is not beside
 * what a revival does.
 */
__attribute__((noinline)) static bool find_whose(int epoll, struct epoll_query *query)
{
	struct candidates candidates;
	struct epoll_query listed = {.data = query->data};

	find_candidates(epoll, query, &candidates);
	if (candidates.its > 1)
		return false;
	if (!candidates.count || (candidates.its && candidates.is_alone))
		return true;
	/* What is not sure is as it came. */
	query->fd = -1;
	if (!epoll_data_may_find(epoll) ||
	    !epoll_data_find(epoll, &listed, 1, candidates.fds, candidates.count))
		return true;
	*query = listed;
	return query->fd < 0 || query->count == 1;
}

/* Judges the bad events. */
static void judge_all(int epoll, struct epoll_event *events, int count, bool *ret_acted)
{
	for (int i = 0; i < count; i++) {
		struct epoll_query query = {.data = events[i].data.u64};

		if (!(events[i].events & BAD))
			continue;
		if (!find_whose(epoll, &query)) {
			events_off(EVENTS_DATA_NOT_UNIQUE);
			return;
		}
		if (query.fd >= 0)
			judge(epoll, &query, &events[i], ret_acted);
	}
}

static int drop_empty(struct epoll_event *events, int count)
{
	int left = 0;

	for (int i = 0; i < count; i++) {
		if (!events[i].events)
			continue;
		if (left != i)
			memcpy(&events[left], &events[i], sizeof(events[i]));
		left++;
	}
	return left;
}

static bool has_bad(const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		if (events[i].events & BAD)
			return true;
	}
	return false;
}

/* noinline: it keeps errno, which is another thread's than before the wait, perhaps (wait.h). */
__attribute__((noinline)) static int sift(int epoll, struct epoll_event *events, int found,
					  bool *ret_acted)
{
	KEEP_ERRNO();

	if (!has_bad(events, found) || !revive_may_act())
		return found;
	judge_all(epoll, events, found, ret_acted);
	return drop_empty(events, found);
}

/* Which call of libc's it is. */
struct call {
	int epoll;
	struct epoll_event *events;
	int most;
	enum { WAIT, PWAIT, PWAIT2 } kind;
	const sigset_t *mask;
};

static int ask(const void *of, const struct timespec *stretch, const sigset_t *mask)
{
	const struct call *call = of;

	if (call->kind == PWAIT2)
		return libc_epoll_pwait2(call->epoll, call->events, call->most, stretch,
					 mask ? mask : call->mask);
	if (call->kind == WAIT && !mask)
		return libc_epoll_wait(call->epoll, call->events, call->most,
				       wait_time_ms(stretch));
	return libc_epoll_pwait(call->epoll, call->events, call->most, wait_time_ms(stretch),
				mask ? mask : call->mask);
}

static int sift_call(const void *of, int found, bool *ret_acted)
{
	const struct call *call = of;

	return sift(call->epoll, call->events, found, ret_acted);
}

static bool shows(const void *of, int fd)
{
	return epoll_data_may_have(((const struct call *)of)->epoll, fd);
}

static const struct wait_kind epolls = {.ask = ask, .sift = sift_call, .shows = shows};

/* noinline: a call that has nothing to do with us is not to build what these need. */
__attribute__((noinline)) static int wait_ms(int epoll, struct epoll_event *events, int most,
					     int timeout, const sigset_t *mask, bool has_mask)
{
	const struct call call = {epoll, events, most, has_mask ? PWAIT : WAIT, mask};
	struct wait_time time = wait_time_of_ms(timeout);

	return wait_filtered(&epolls, &call, &time, mask);
}

/* @call: as libc was called, which has found @found. */
__attribute__((noinline)) static int goes_on(const struct call *call, const struct wait_time *whole,
					     int found, const struct timespec *began)
{
	struct wait_time time = *whole;

	return wait_goes_on(&epolls, call, &time, call->mask, found, began);
}

__attribute__((noinline)) static int goes_on_ms(int epoll, struct epoll_event *events, int most,
						int timeout, const sigset_t *mask, bool has_mask,
						int found, const struct timespec *began)
{
	const struct call call = {epoll, events, most, has_mask ? PWAIT : WAIT, mask};
	struct wait_time time = wait_time_of_ms(timeout);

	return goes_on(&call, &time, found, began);
}

__attribute__((visibility("default"))) int epoll_wait(int epoll, struct epoll_event *events,
						      int most, int timeout)
{
	struct timespec began;
	int found;

	if (wait_is_filtered())
		return wait_ms(epoll, events, most, timeout, NULL, false);
	if (timeout > 0)
		wait_time_now(&began);
	found = libc_epoll_wait(epoll, events, most, timeout);
	if (found > 0 && wait_is_filtered())
		return goes_on_ms(epoll, events, most, timeout, NULL, false, found, &began);
	return found;
}

__attribute__((visibility("default"))) int epoll_pwait(int epoll, struct epoll_event *events,
						       int most, int timeout, const sigset_t *mask)
{
	struct timespec began;
	int found;

	if (wait_is_filtered())
		return wait_ms(epoll, events, most, timeout, mask, true);
	if (timeout > 0)
		wait_time_now(&began);
	found = libc_epoll_pwait(epoll, events, most, timeout, mask);
	if (found > 0 && wait_is_filtered())
		return goes_on_ms(epoll, events, most, timeout, mask, true, found, &began);
	return found;
}

__attribute__((visibility("default"))) int epoll_pwait2(int epoll, struct epoll_event *events,
							int most, const struct timespec *timeout,
							const sigset_t *mask)
{
	const struct call call = {epoll, events, most, PWAIT2, mask};
	struct timespec began;
	struct wait_time time;
	int found;

	if (wait_is_filtered() && wait_time_is_valid(timeout)) {
		time = wait_time_of(timeout);
		return wait_filtered(&epolls, &call, &time, mask);
	}
	if (timeout)
		wait_time_now(&began);
	found = libc_epoll_pwait2(epoll, events, most, timeout, mask);
	if (found > 0 && wait_is_filtered()) {
		time = wait_time_of(timeout);
		return goes_on(&call, &time, found, &began);
	}
	return found;
}
