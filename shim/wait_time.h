/* The time of a wait that is cut short where a connection is due, and goes on with the rest of it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_WAIT_TIME_H
#define K8SLB_SHIM_WAIT_TIME_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "peer_cache.h"
#include "pending.h"

/* All of CLOCK_MONOTONIC. Times beyond this are as good as none. */
#define WAIT_TIME_MOST_S  100000000
#define WAIT_TIME_TICK_US 10000u

struct wait_time {
	bool ends;	  /* false: it waits for ever */
	uint64_t left_ns; /* as the caller gave it, until the first stretch is over */
	uint64_t end_us;
};

static inline struct wait_time wait_time_of_ms(int timeout_ms)
{
	return (struct wait_time){.ends = timeout_ms >= 0,
				  .left_ns = timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000 : 0};
}

/* NULL: for ever. */
static inline struct wait_time wait_time_of(const struct timespec *timeout)
{
	if (!timeout || timeout->tv_sec > WAIT_TIME_MOST_S)
		return (struct wait_time){.ends = false};
	return (struct wait_time){.ends = true,
				  .left_ns = (uint64_t)timeout->tv_sec * 1000000000 +
					     (uint64_t)timeout->tv_nsec};
}

/* When a wait begins that nothing is under way for; 0: not told. A program that has connected to no
 * Service reads no clock; when another thread begins the first connection of all during the wait,
 * and it fails, then that has its time once more. */
static inline uint64_t wait_time_now(void)
{
	return peer_cache_unused() ? 0 : clock_coarse_us();
}

/* The wait begins, or has begun at @began_us by clock_coarse_us() (0: now), which may have been a
 * tick before: no wait ends early. */
static inline void wait_time_begin(struct wait_time *time, uint64_t began_us)
{
	if (!time->ends || !time->left_ns)
		return;
	time->end_us = (began_us ? began_us + WAIT_TIME_TICK_US : clock_monotonic_us()) +
		       (time->left_ns + 999) / 1000;
}

static inline bool wait_time_is_over(const struct wait_time *time)
{
	return time->ends && (!time->left_ns || clock_monotonic_us() >= time->end_us);
}

/*
 * How long to wait now; NULL: for ever. *@ret_is_cut: something of ours is due before the end, so
 * that a time-out is none of the caller's. @may_cut: revive_due()'s word. The first stretch, if it is not cut, is what the caller
 * gave, to the nanosecond.
 */
static inline const struct timespec *wait_time_stretch(const struct wait_time *time, bool is_first,
						       bool may_cut, struct timespec *ret_stretch,
						       bool *ret_is_cut)
{
	uint64_t due_ms = may_cut ? pending_next_due() : 0;
	uint64_t left_ns = time->left_ns;

	*ret_is_cut = false;
	if (time->ends && left_ns && !is_first) {
		uint64_t now_us = clock_monotonic_us();

		left_ns = now_us < time->end_us ? (time->end_us - now_us) * 1000 : 0;
	}
	if (due_ms && (!time->ends || left_ns)) {
		uint64_t now_ms = clock_coarse_ms();
		uint64_t due_ns = (due_ms > now_ms ? due_ms - now_ms : 1) * 1000000;

		if (!time->ends || due_ns < left_ns) {
			*ret_is_cut = true;
			left_ns = due_ns;
		}
	}
	if (!time->ends && !*ret_is_cut)
		return NULL;
	*ret_stretch = (struct timespec){.tv_sec = (time_t)(left_ns / 1000000000),
					 .tv_nsec = (long)(left_ns % 1000000000)};
	return ret_stretch;
}

/* What is left of it, for select(2) to tell. */
static inline uint64_t wait_time_left_us(const struct wait_time *time)
{
	uint64_t now_us = clock_monotonic_us();

	return now_us < time->end_us ? time->end_us - now_us : 0;
}

/* A time that the kernel takes. */
static inline bool wait_time_is_valid(const struct timespec *timeout)
{
	return !timeout || (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 &&
			    timeout->tv_nsec < 1000000000);
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
