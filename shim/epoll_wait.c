// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_wait(2), epoll_pwait(2) and epoll_pwait2(2): as poll() (poll.c). Whose an event is epoll_data.h
 * knows.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/keep_errno.h"
#include "base/raw_calls.h"
#include "engine/engine.h"
#include "epoll_data.h"
#include "events.h"
#include "libc.h"
#include "pending.h"
#include "revive.h"
#include "wait_time.h"

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

/* The event of a connection that goes on is dropped. One that is shown once is to be shown again. */
static void arm_again(int epoll, const struct epoll_query *query, const struct epoll_event *event)
{
	uint32_t shown = (event->events & ~(uint32_t)BAD) | (query->events & PRIVATE_BITS);
	struct epoll_event again = {
		.events = epoll_data_events(epoll, query->fd, shown),
		.data = event->data,
	};

	if (query->events & EPOLLONESHOT)
		k8slb_raw_epoll_ctl(epoll, EPOLL_CTL_MOD, query->fd, &again);
}

/* True: the event stays, perhaps with other bits. */
static bool judge(int epoll, const struct epoll_query *query, struct epoll_event *event)
{
	uint32_t asked = query->events & EPOLLONESHOT
				 ? epoll_data_events(epoll, query->fd, event->events)
				 : query->events;
	short now;

	if (revive_event(query->fd, (short)(asked & SHOWN_BITS), &now) != REVIVE_SHOWS)
		return true;
	if (!now) {
		arm_again(epoll, query, event);
		return false;
	}
	event->events = (uint32_t)(unsigned short)now;
	return true;
}

/* Of the events from @from on, at most QUERIES bad ones; returns behind which event they end. */
static int collect(const struct epoll_event *events, int from, int count,
		   struct epoll_query *queries, int *places, unsigned *ret_count)
{
	*ret_count = 0;
	for (; from < count && *ret_count < QUERIES; from++) {
		if (!(events[from].events & BAD))
			continue;
		queries[*ret_count].data = events[from].data.u64;
		places[(*ret_count)++] = from;
	}
	return from;
}

/* Judges the bad events by these suspects; a dropped one has events 0 then. */
static void judge_all(int epoll, struct epoll_event *events, int count, const int *suspects,
		      unsigned suspect_count)
{
	for (int from = 0; from < count;) {
		struct epoll_query queries[QUERIES];
		int places[QUERIES];
		unsigned query_count;

		from = collect(events, from, count, queries, places, &query_count);
		if (!query_count ||
		    !epoll_data_find(epoll, queries, query_count, suspects, suspect_count))
			return;
		for (unsigned i = 0; i < query_count; i++) {
			if (queries[i].fd < 0)
				continue;
			if (queries[i].count != 1) {
				events_off(EVENTS_DATA_NOT_UNIQUE);
				return;
			}
			if (!judge(epoll, &queries[i], &events[places[i]]))
				events[places[i]].events = 0;
		}
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

/* noinline: it keeps errno, which is another thread's than before the wait, perhaps (poll.c). */
__attribute__((noinline)) static int sift(int epoll, struct epoll_event *events, int found)
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
		judge_all(epoll, events, found, suspects, count);
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

static int ask(const struct call *call, const struct timespec *timeout)
{
	switch (call->kind) {
	case WAIT:
		return libc_epoll_wait(call->epoll, call->events, call->most,
				       wait_time_ms(timeout));
	case PWAIT:
		return libc_epoll_pwait(call->epoll, call->events, call->most,
					wait_time_ms(timeout), call->mask);
	default:
		return libc_epoll_pwait2(call->epoll, call->events, call->most, timeout,
					 call->mask);
	}
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
		if (found)
			found = sift(call->epoll, call->events, found);
		if (found || (!is_cut && wait_time_is_over(&time)))
			return found;
	}
}

static bool is_filtered(void)
{
	return pending_watched() && !engine_is_own_thread();
}

/* Something is under way: before the call, or among what it has found, which another thread began
 * meanwhile. noinline: a call that has nothing to do with us is not to build what these need. */
__attribute__((noinline)) static int wait_ms(int epoll, struct epoll_event *events, int most,
					     int timeout, const sigset_t *mask, bool has_mask,
					     int found, uint64_t began_us)
{
	const struct call call = {.epoll = epoll,
				  .events = events,
				  .most = most,
				  .kind = has_mask ? PWAIT : WAIT,
				  .mask = mask};

	return wait(&call, wait_time_of_ms(timeout), found, began_us);
}

__attribute__((noinline)) static int wait_ns(int epoll, struct epoll_event *events, int most,
					     const struct timespec *timeout, const sigset_t *mask,
					     int found, uint64_t began_us)
{
	const struct call call = {
		.epoll = epoll, .events = events, .most = most, .kind = PWAIT2, .mask = mask};

	return wait(&call, wait_time_of(timeout), found, began_us);
}

__attribute__((visibility("default"))) int epoll_wait(int epoll, struct epoll_event *events,
						      int most, int timeout)
{
	uint64_t began_us;
	int found;

	if (is_filtered())
		return wait_ms(epoll, events, most, timeout, NULL, false, 0, 0);
	began_us = timeout > 0 ? wait_time_now() : 0;
	found = libc_epoll_wait(epoll, events, most, timeout);
	if (found > 0 && is_filtered())
		return wait_ms(epoll, events, most, timeout, NULL, false, found, began_us);
	return found;
}

__attribute__((visibility("default"))) int epoll_pwait(int epoll, struct epoll_event *events,
						       int most, int timeout, const sigset_t *mask)
{
	uint64_t began_us;
	int found;

	if (is_filtered())
		return wait_ms(epoll, events, most, timeout, mask, true, 0, 0);
	began_us = timeout > 0 ? wait_time_now() : 0;
	found = libc_epoll_pwait(epoll, events, most, timeout, mask);
	if (found > 0 && is_filtered())
		return wait_ms(epoll, events, most, timeout, mask, true, found, began_us);
	return found;
}

__attribute__((visibility("default"))) int epoll_pwait2(int epoll, struct epoll_event *events,
							int most, const struct timespec *timeout,
							const sigset_t *mask)
{
	uint64_t began_us;
	int found;

	if (is_filtered() && wait_time_is_valid(timeout))
		return wait_ns(epoll, events, most, timeout, mask, 0, 0);
	began_us = timeout ? wait_time_now() : 0;
	found = libc_epoll_pwait2(epoll, events, most, timeout, mask);
	if (found > 0 && is_filtered())
		return wait_ns(epoll, events, most, timeout, mask, found, began_us);
	return found;
}
