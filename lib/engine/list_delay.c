// SPDX-License-Identifier: Apache-2.0
#include "engine/list_delay.h"

#include "engine/role_state.h"
#include "sync/syncer.h"

#define SPREAD_MS	 1000
#define YOUNG_MS	 1000
#define FIRST_PAUSE_MS	 2000
#define LONGEST_PAUSE_MS 60000
#define LONGEST_AFTER	 6 /* lists that were not finished */
#define LIVED_LONG_MS	 SYNCER_LONGEST_LIST_MS

static uint32_t pause_after(uint64_t unfinished)
{
	if (unfinished == 0)
		return 0;
	return unfinished < LONGEST_AFTER ? FIRST_PAUSE_MS << (unfinished - 1) : LONGEST_PAUSE_MS;
}

static uint32_t rest_of(uint32_t duration_ms, uint64_t passed_ms)
{
	return passed_ms < duration_ms ? duration_ms - (uint32_t)passed_ms : 0;
}

static uint32_t smaller(uint32_t one, uint32_t other)
{
	return one < other ? one : other;
}

uint32_t list_delay_ms(const struct list_delay *asks, uint32_t random)
{
	uint32_t delay_ms = smaller(rest_of(pause_after(asks->unfinished), asks->since_begun_ms),
				    rest_of(LIVED_LONG_MS, asks->lived_ms));
	uint32_t young_ms = asks->table_age_ms < YOUNG_MS ? rest_of(YOUNG_MS, asks->lived_ms) : 0;

	if (!asks->readable)
		return 0;
	if (delay_ms < young_ms)
		delay_ms = young_ms;
	if (delay_ms == 0 && !asks->shown && asks->table_age_ms > ROLE_FRESH_MS)
		return 0;
	return delay_ms + random % SPREAD_MS;
}
