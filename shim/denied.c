// SPDX-License-Identifier: Apache-2.0
#include "denied.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "table/keys.h"

#define SLOTS	256u /* a power of two */
#define PLACES	4u   /* where an endpoint may be: two of one slot would forget each other */
#define KEEP_MS 60000u

static struct {
	uint64_t key; /* 0: free */
	uint64_t until_ms;
} slots[SLOTS];
static uint64_t last_until_ms; /* of all of them; 0: none */

void denied_add(const struct table_endpoint *endpoint)
{
	denied_add_at(endpoint, clock_monotonic_ms());
}

void denied_add_at(const struct table_endpoint *endpoint, uint64_t now_ms)
{
	uint64_t key = table_endpoint_key(endpoint);
	uint64_t until_ms = now_ms + KEEP_MS;
	uint64_t place = key % SLOTS;

	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t next = (key + i) % SLOTS;

		if (peek_u64(&slots[next].key) == key ||
		    peek_u64(&slots[next].until_ms) <= now_ms) {
			place = next;
			break;
		}
	}
	poke_u64(&slots[place].until_ms, until_ms);
	poke_u64(&slots[place].key, key);
	poke_u64(&last_until_ms, until_ms);
}

bool denied_has(const struct table_endpoint *endpoint)
{
	return peek_u64(&last_until_ms) && denied_has_at(endpoint, clock_monotonic_ms());
}

bool denied_has_at(const struct table_endpoint *endpoint, uint64_t now_ms)
{
	uint64_t last_ms = peek_u64(&last_until_ms);
	uint64_t key;

	if (!last_ms)
		return false;
	if (last_ms <= now_ms) {
		claim_u64(&last_until_ms, last_ms, 0);
		return false;
	}
	key = table_endpoint_key(endpoint);
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t place = (key + i) % SLOTS;

		if (peek_u64(&slots[place].key) == key)
			return peek_u64(&slots[place].until_ms) > now_ms;
	}
	return false;
}
