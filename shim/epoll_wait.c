// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_wait(2), epoll_pwait(2) and epoll_pwait2(2): as poll() (wait.h). Whose an event is epoll_data.h
 * knows.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/keep_errno.h"
#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "epoll_data.h"
#include "events.h"
#include "libc.h"
#include "pending.h"
#include "revive.h"
#include "wait.h"

#define SUSPECTS 16u
#define QUERIES	 4u

#define BAD	     (EPOLLERR | EPOLLHUP)
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
/* poll(2) has the same numbers for them. */
#define SHOWN_BITS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | \
		    EPOLLWRBAND | EPOLLMSG | EPOLLRDHUP)

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
		       EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
	       "the bits of poll(2)");

/* The next ones of our descriptors whose event this may be: they show a failure, or did so lately.
 * False: all were looked at. noinline: what it needs of the stack is not beside what a revival does. */
__attribute__((noinline)) static bool next_suspects(unsigned *place, int *ret_fds, unsigned *ret_count)
{
	struct pollfd look[SUSPECTS];
	unsigned places[SUSPECTS];
	unsigned count = pending_numbers(place, ret_fds, places, SUSPECTS);

	*ret_count = 0;
	if (!count)
		return false;
	for (unsigned i = 0; i < count; i++)
		look[i] = (struct pollfd){.fd = ret_fds[i]};
	if (k8slb_raw_poll(look, count, 0) < 0)
		return false;
	/* Behind the look: another thread that revived it before the look is seen here. */
	for (unsigned i = 0; i < count; i++) {
		if (look[i].revents & (POLLERR | POLLHUP) || pending_is_recent(places[i]))
			ret_fds[(*ret_count)++] = look[i].fd;
	}
	return true;
}

/* The registration is of another file, whose number was closed and used again, and that lives on elsewhere. */
static bool is_of_other(const struct epoll_query *query)
{
	struct stat status;

	return query->inode && (k8slb_fstat(query->fd, &status) < 0 || status.st_ino != query->inode);
}

/* An event that is kept from the program has no events then. */
static void judge(int epoll, const struct epoll_query *query, struct epoll_event *event,
		  bool *ret_acted)
{
	struct epoll_event noted = {.events = query->events};
	struct revive_arm arm = {.epoll = epoll, .data = event->data.u64};
	uint32_t asked = query->events;
	short now;

	/* What it shows has to do where the kernel has forgotten what was asked for. */
	if (asked & EPOLLONESHOT && !epoll_data_noted(epoll, query->fd, &noted))
		noted.events = (event->events & ~(uint32_t)BAD) | (asked & PRIVATE_BITS);
	asked = noted.events;
	arm.otherwise = asked;
	arm.is_once = asked & EPOLLONESHOT;
	if (is_of_other(query) ||
	    revive_event(query->fd, (short)(asked & SHOWN_BITS),
			 asked & (EPOLLONESHOT | EPOLLET) ? &arm : NULL, &now,
			 ret_acted) != REVIVE_SHOWS)
		return;
	event->events = (uint32_t)(unsigned short)now;
}

/* Those of @queries that the notes do not tell; false: data that are not unique. */
static bool ask_kernel(int epoll, struct epoll_event *events, struct epoll_query *queries,
		       const int *places, unsigned count, const int *suspects,
		       unsigned suspect_count, bool *ret_acted)
{
	if (!count || !epoll_data_find(epoll, queries, count, suspects, suspect_count))
		return true;
	for (unsigned i = 0; i < count; i++) {
		if (queries[i].fd < 0)
			continue;
		if (queries[i].count != 1) {
			events_off(EVENTS_DATA_NOT_UNIQUE);
			return false;
		}
		judge(epoll, &queries[i], &events[places[i]], ret_acted);
	}
	return true;
}

/* Judges the bad events by these suspects. */
static void judge_all(int epoll, struct epoll_event *events, int count, const int *suspects,
		      unsigned suspect_count, bool *ret_acted)
{
	struct epoll_query queries[QUERIES];
	int places[QUERIES];
	unsigned query_count = 0;

	for (int i = 0; i < count; i++) {
		struct epoll_query *query = &queries[query_count];

		if (!(events[i].events & BAD))
			continue;
		query->data = events[i].data.u64;
		switch (epoll_data_by_notes(epoll, query, suspects, suspect_count)) {
		case EPOLL_DATA_OF:
			judge(epoll, query, &events[i], ret_acted);
			break;
		case EPOLL_DATA_FOREIGN:
			break;
		case EPOLL_DATA_ASK:
			places[query_count++] = i;
			break;
		}
		if (query_count == QUERIES &&
		    !ask_kernel(epoll, events, queries, places, query_count, suspects, suspect_count,
				ret_acted))
			return;
		query_count %= QUERIES;
	}
	ask_kernel(epoll, events, queries, places, query_count, suspects, suspect_count, ret_acted);
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
	unsigned place = 0;
	int suspects[SUSPECTS];
	unsigned count;
	bool any = false;

	if (!has_bad(events, found) || !revive_may_act())
		return found;
	while (next_suspects(&place, suspects, &count)) {
		if (!count)
			continue;
		any = true;
		judge_all(epoll, events, found, suspects, count, ret_acted);
	}
	return any ? drop_empty(events, found) : found;
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
		return libc_epoll_wait(call->epoll, call->events, call->most, wait_time_ms(stretch));
	return libc_epoll_pwait(call->epoll, call->events, call->most, wait_time_ms(stretch),
				mask ? mask : call->mask);
}

static int sift_call(const void *of, int found, bool *ret_acted)
{
	const struct call *call = of;

	return sift(call->epoll, call->events, found, ret_acted);
}

static const struct wait_kind epolls = {.ask = ask, .sift = sift_call};

/* noinline: a call that has nothing to do with us is not to build what these need. */
__attribute__((noinline)) static int wait_ms(const struct call *call, int timeout)
{
	struct wait_time time = wait_time_of_ms(timeout);

	return wait_filtered(&epolls, call, &time, call->mask);
}

__attribute__((noinline)) static int goes_on_ms(const struct call *call, int timeout, int found,
						const struct timespec *began)
{
	struct wait_time time = wait_time_of_ms(timeout);

	return wait_goes_on(&epolls, call, &time, call->mask, found, began);
}

__attribute__((visibility("default"))) int epoll_wait(int epoll, struct epoll_event *events,
						      int most, int timeout)
{
	const struct call call = {epoll, events, most, WAIT, NULL};
	struct timespec began;
	int found;

	if (wait_is_filtered())
		return wait_ms(&call, timeout);
	if (timeout > 0)
		wait_time_now(&began);
	found = libc_epoll_wait(epoll, events, most, timeout);
	if (found > 0 && wait_is_filtered())
		return goes_on_ms(&call, timeout, found, &began);
	return found;
}

__attribute__((visibility("default"))) int epoll_pwait(int epoll, struct epoll_event *events,
						       int most, int timeout, const sigset_t *mask)
{
	const struct call call = {epoll, events, most, PWAIT, mask};
	struct timespec began;
	int found;

	if (wait_is_filtered())
		return wait_ms(&call, timeout);
	if (timeout > 0)
		wait_time_now(&began);
	found = libc_epoll_pwait(epoll, events, most, timeout, mask);
	if (found > 0 && wait_is_filtered())
		return goes_on_ms(&call, timeout, found, &began);
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
		return wait_goes_on(&epolls, &call, &time, mask, found, &began);
	}
	return found;
}
