/* The time of a wait that is cut short where a connection is due, and goes on with the rest of it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_WAIT_TIME_H
#define K8SLB_SHIM_WAIT_TIME_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "pending.h"
#include "readable.h"

/* All of CLOCK_MONOTONIC. Times beyond this are as good as none. */
#define WAIT_TIME_MOST_S  100000000
#define WAIT_TIME_TICK_US 10000u

struct wait_time {
	bool ends;	       /* false: it waits for ever */
	struct timespec whole; /* as the caller gave it */
	uint64_t end_us;
};

static inline struct wait_time wait_time_of_ms(int timeout_ms)
{
	unsigned ms = timeout_ms > 0 ? (unsigned)timeout_ms : 0;

	return (struct wait_time){
		.ends = timeout_ms >= 0,
		.whole = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
	};
}

/* NULL: for ever. */
static inline struct wait_time wait_time_of(const struct timespec *timeout)
{
	if (!timeout || timeout->tv_sec > WAIT_TIME_MOST_S)
		return (struct wait_time){.ends = false};
	return (struct wait_time){.ends = true, .whole = *timeout};
}

static inline bool wait_time_is_none(const struct wait_time *time)
{
	return time->ends && !time->whole.tv_sec && !time->whole.tv_nsec;
}

/* As the caller gave it; NULL: for ever. */
static inline const struct timespec *wait_time_whole(const struct wait_time *time)
{
	return time->ends ? &time->whole : NULL;
}

static inline uint64_t wait_time_us(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000 + ((uint64_t)time->tv_nsec + 999) / 1000;
}

/* When a wait begins that nothing is under way for; tv_sec 0: not told. A program that has begun no
 * connection of ours without blocking reads no clock; when another thread begins the first one of all
 * during the wait, and it fails, then the wait has its time once more. */
static inline void wait_time_now(struct timespec *ret_now)
{
	ret_now->tv_sec = 0;
	if (pending_ever_watched())
		clock_gettime(CLOCK_MONOTONIC_COARSE, ret_now);
}

/* The wait begins now. */
static inline void wait_time_begin(struct wait_time *time)
{
	if (time->ends)
		time->end_us = clock_monotonic_us() + wait_time_us(&time->whole);
}

/* It began at @began, by the coarse clock, which may have been a tick before: no wait ends early. */
static inline void wait_time_began(struct wait_time *time, const struct timespec *began)
{
	if (time->ends)
		time->end_us = (began->tv_sec ? wait_time_us(began) + WAIT_TIME_TICK_US
					      : clock_monotonic_us()) +
			       wait_time_us(&time->whole);
}

static inline bool wait_time_is_over(const struct wait_time *time)
{
	return time->ends && clock_monotonic_us() >= time->end_us;
}

/*
 * How long to wait now; NULL: for ever. *@ret_is_cut: something of ours is due before the end, so
 * that a time-out is none of the caller's. @is_whole: the wait has just begun; if it is not cut its
 * time is what the caller gave, to the nanosecond. @due_ms: revive_due()'s word.
 */
static inline const struct timespec *wait_time_stretch(const struct wait_time *time, bool is_whole,
						       uint64_t due_ms, struct timespec *ret_stretch,
						       bool *ret_is_cut)
{
	uint64_t left_us = 0;

	*ret_is_cut = false;
	if (time->ends) {
		uint64_t now_us = is_whole ? 0 : clock_monotonic_us();

		*ret_stretch = time->whole;
		left_us = is_whole ? wait_time_us(&time->whole)
				   : (now_us < time->end_us ? time->end_us - now_us : 0);
		if (!is_whole)
			*ret_stretch = (struct timespec){.tv_sec = (time_t)(left_us / 1000000),
							 .tv_nsec = (long)(left_us % 1000000) * 1000};
	}
	if (due_ms && (!time->ends || left_us)) {
		uint64_t now_ms = clock_coarse_ms();
		uint64_t due_us = (due_ms > now_ms ? due_ms - now_ms : 1) * 1000;

		if (!time->ends || due_us < left_us) {
			*ret_is_cut = true;
			*ret_stretch = (struct timespec){.tv_sec = (time_t)(due_us / 1000000),
							 .tv_nsec = (long)(due_us % 1000000) * 1000};
		}
	}
	return time->ends || *ret_is_cut ? ret_stretch : NULL;
}

/* What is left of it, for select(2) to tell. */
static inline uint64_t wait_time_left_us(const struct wait_time *time)
{
	uint64_t now_us = clock_monotonic_us();

	return now_us < time->end_us ? time->end_us - now_us : 0;
}

/* A time that the kernel takes, where it can be read: asked before the kernel has read it. */
static inline bool wait_time_is_valid(const struct timespec *timeout)
{
	return !timeout || (readable(timeout, sizeof(*timeout)) && timeout->tv_sec >= 0 &&
			    timeout->tv_nsec >= 0 && timeout->tv_nsec < 1000000000);
}

/* For calls that count in ms: rounded up, -1 for ever. */
static inline int wait_time_ms(const struct timespec *stretch)
{
	int64_t ms;

	if (!stretch)
		return -1;
	ms = (int64_t)stretch->tv_sec * 1000 + (stretch->tv_nsec + 999999) / 1000000;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

#endif
