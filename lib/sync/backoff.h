/* How long to wait before the next try: doubling, capped, jittered. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_BACKOFF_H
#define K8SLB_SYNC_BACKOFF_H

#include <stdint.h>

/*
 * client-go's reflector waits 0.8 s, doubled up to 30 s, each drawn from [d, 2d), and starts again
 * when nothing failed for 2 min (tools/cache/reflector.go:60-67). With the default retry delay of
 * 5 s these are its numbers: first = delay / 6, cap = delay * 6.
 */
struct backoff {
	uint32_t first_ms;
	uint32_t cap_ms;
	uint32_t next_ms;
	uint64_t last_used_ms; /* monotonic */
};

#define BACKOFF_RESET_MS (2 * 60 * 1000)

void backoff_init(struct backoff *backoff, uint32_t retry_delay_ms);

/* The pause to make now, ms, in [d, 2d); @random is any 32 random bits. */
uint32_t backoff_next(struct backoff *backoff, uint64_t now_ms, uint32_t random);

/* The longest pause at once: for answers that will not change soon, as 403. */
uint32_t backoff_cap(struct backoff *backoff, uint64_t now_ms, uint32_t random);

#endif
