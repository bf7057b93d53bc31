// SPDX-License-Identifier: Apache-2.0
#include "pick/affinity.h"

#include <sys/utsname.h>

#include "base/atomic.h"
#include "base/hash.h"

/* The best endpoint of one standing. */
struct candidate {
	uint64_t weight; /* 0: there is none */
	struct table_endpoint endpoint;
	uint32_t index;
};

/* What the client took last weighs more than any hash. */
#define WEIGHT_REMEMBERED UINT64_MAX

static uint64_t endpoint_key_of(const struct table_endpoint *endpoint)
{
	return hash_bytes(endpoint->port, endpoint->address.bytes, sizeof(endpoint->address.bytes));
}

/* What the slot remembers for this port, or 0. */
static uint64_t remembered_endpoint(const struct affinity_slot *slot, uint64_t port_key,
				    uint64_t now_ms)
{
	if (peek_u64(&slot->port_key) != port_key || peek_u64(&slot->expires_ms) <= now_ms)
		return 0;
	return peek_u64(&slot->endpoint_key);
}

static void remember(struct affinity_slot *slot, uint64_t port_key, uint64_t endpoint_key,
		     uint64_t expires_ms)
{
	poke_u64(&slot->endpoint_key, endpoint_key);
	poke_u64(&slot->expires_ms, expires_ms);
	poke_u64(&slot->port_key, port_key);
}

/* Fills @best, one for each standing. Returns how many are ejected. */
static uint32_t find_best(const struct table_read *read, const struct table_port *port,
			  uint64_t client, uint64_t remembered, const struct avoidance *avoid,
			  struct candidate *best)
{
	uint32_t ejected = 0;

	for (uint32_t i = 0; i < port->endpoint_count; i++) {
		struct table_endpoint endpoint;
		enum standing standing;
		uint64_t weight;
		uint64_t key;

		if (table_port_endpoint(read, port, i, &endpoint) < 0)
			break;
		key = endpoint_key_of(&endpoint);
		standing = avoid_look(avoid, &endpoint);
		ejected += standing == STANDING_EJECTED;
		weight = key == remembered ? WEIGHT_REMEMBERED : hash_mix(client ^ key) | 1;
		if (weight > best[standing].weight)
			best[standing] = (struct candidate){weight, endpoint, i};
		if (key == remembered && standing == STANDING_GOOD)
			break;
	}
	return ejected;
}

uint32_t affinity_choose(struct affinity_slot *slots, uint64_t client,
			 const struct table_read *read, uint64_t key, const struct table_port *port,
			 const struct avoidance *avoid)
{
	uint64_t port_key = key ? key : 1;
	struct affinity_slot *slot = &slots[port_key & (AFFINITY_SLOTS - 1)];
	struct candidate best[STANDINGS] = {{.weight = 0}};
	const struct candidate *taken = &best[STANDING_GOOD];
	uint32_t ejected =
		find_best(read, port, client, remembered_endpoint(slot, port_key, avoid->now_ms),
			  avoid, best);

	/* A failover prefers what is good in any case. */
	if (avoid->tried_count == 0 && ejected > port->endpoint_count / 2 &&
	    best[STANDING_EJECTED].weight > taken->weight)
		taken = &best[STANDING_EJECTED];
	if (best[STANDING_HALF_OPEN].weight > taken->weight &&
	    avoid_claim_probe(avoid, &best[STANDING_HALF_OPEN].endpoint))
		taken = &best[STANDING_HALF_OPEN];
	for (int i = 0; taken->weight == 0 && i < STANDINGS; i++)
		taken = &best[i];
	if (taken->weight)
		remember(slot, port_key, endpoint_key_of(&taken->endpoint),
			 avoid->now_ms + (uint64_t)port->affinity_timeout_s * 1000);
	return taken->index;
}

uint64_t affinity_client(void)
{
	struct utsname host;

	return uname(&host) == 0 ? hash_text(0, host.nodename) : 0;
}
