// SPDX-License-Identifier: Apache-2.0
#include "sync/backoff.h"

#define DELAY_TO_FIRST 6
#define DELAY_TO_CAP   6

static uint32_t jitter(uint32_t pause_ms, uint32_t random)
{
	return pause_ms + (uint32_t)(((uint64_t)pause_ms * random) >> 32);
}

void backoff_init(struct backoff *backoff, uint32_t retry_delay_ms)
{
	backoff->first_ms = retry_delay_ms / DELAY_TO_FIRST;
	if (backoff->first_ms == 0)
		backoff->first_ms = 1;
	backoff->cap_ms = retry_delay_ms * DELAY_TO_CAP;
	if (backoff->cap_ms < backoff->first_ms)
		backoff->cap_ms = backoff->first_ms;
	backoff->next_ms = backoff->first_ms;
	backoff->last_used_ms = 0;
}

uint32_t backoff_next(struct backoff *backoff, uint64_t now_ms, uint32_t random)
{
	uint32_t pause_ms;

	if (backoff->last_used_ms && now_ms - backoff->last_used_ms > BACKOFF_RESET_MS)
		backoff->next_ms = backoff->first_ms;
	pause_ms = backoff->next_ms;
	backoff->next_ms = pause_ms > backoff->cap_ms / 2 ? backoff->cap_ms : pause_ms * 2;
	pause_ms = jitter(pause_ms, random);
	/* The pause itself is not a time without failure. */
	backoff->last_used_ms = now_ms + pause_ms;
	return pause_ms;
}

uint32_t backoff_cap(struct backoff *backoff, uint64_t now_ms, uint32_t random)
{
	backoff->next_ms = backoff->cap_ms;
	backoff->last_used_ms = 0;
	return backoff_next(backoff, now_ms, random);
}
