// SPDX-License-Identifier: Apache-2.0
#include "publish/said.h"

#include <string.h>

#include "base/atomic.h"

void said_take(struct said *said, const struct table_header *header)
{
	if (header)
		peek_words(said->parts_heard_ms, header->parts_heard_ms,
			   sizeof(said->parts_heard_ms));
	else
		memset(said->parts_heard_ms, 0, sizeof(said->parts_heard_ms));
}

void said_set_heard(struct said *said, unsigned part, uint64_t heard_ms)
{
	uint64_t *word = &said->parts_heard_ms[part < TABLE_PARTS ? part : TABLE_PARTS - 1];

	/* Those without a place of their own are as old as the oldest of them. */
	if (part < TABLE_PARTS || (heard_ms && heard_ms < *word))
		*word = heard_ms;
}

uint64_t said_heard_ms(const struct said *said)
{
	uint64_t oldest_ms = UINT64_MAX;

	for (unsigned part = 0; part < TABLE_PARTS; part++) {
		uint64_t heard_ms = said->parts_heard_ms[part];

		if (heard_ms && heard_ms < oldest_ms)
			oldest_ms = heard_ms;
	}
	return oldest_ms == UINT64_MAX ? 0 : oldest_ms;
}

void said_beat(const struct said *said, struct table_header *header)
{
	poke_words(header->parts_heard_ms, said->parts_heard_ms, sizeof(said->parts_heard_ms));
	poke_u64(&header->heard_ms, said_heard_ms(said));
	/* Pairs with table_is_live(). */
	publish_u32(&header->state, said->state);
	/* Pairs with table_silence_ms(). */
	publish_u64(&header->beat_ms, said->beat_ms);
}
