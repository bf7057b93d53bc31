/* Whether a thread of ours probes the endpoints that are avoided, so that no connection has to. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_PROBED_H
#define K8SLB_PICK_PROBED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "pick/memory.h"
#include "table/reader.h"

/*
 * A prober is known by a number: of the table whose endpoints it tries and of the network namespace
 * that it tries them in, since another one may have other ways to them. Each has one word, for its
 * upper bits and for the time at which it last said that it lives. Two that fall on one word take
 * turns: then callers probe themselves now and then.
 */
#define PROBED_TIME_BITS 44u /* of ms: 500 years */

static inline uint64_t probed_word(uint64_t prober, uint64_t now_ms)
{
	const uint64_t times = (UINT64_C(1) << PROBED_TIME_BITS) - 1;

	return (prober & ~times) | (now_ms & times);
}

/* @now_ms: CLOCK_MONOTONIC. Once a second. */
static inline void probed_say(struct pick_memory *memory, uint64_t prober, uint64_t now_ms)
{
	poke_u64(&memory->probers[prober % PICK_PROBERS], probed_word(prober, now_ms));
}

/* That one has said so within the time that a writer's beat counts. False for 0. */
static inline bool probed_by(const struct pick_memory *memory, uint64_t prober, uint64_t now_ms)
{
	uint64_t word = prober ? peek_u64(&memory->probers[prober % PICK_PROBERS]) : 0;

	/* Of another one, or of the future: garbage, and so far away. */
	return word && probed_word(prober, now_ms + TABLE_CLOCK_SLACK_MS) - word <
			       TABLE_SILENT_MS + TABLE_CLOCK_SLACK_MS;
}

#endif
