// SPDX-License-Identifier: Apache-2.0
#include "pick/affinity.h"

#include <sys/utsname.h>

#include "base/atomic.h"
#include "base/hash.h"
#include "table/keys.h"

/* The best endpoint of one standing. */
struct candidate {
	uint64_t weight; /* 0: there is none */
	struct table_endpoint endpoint;
	uint32_t index;
};

/* What the client took last weighs more than any hash. */
#define WEIGHT_REMEMBERED UINT64_MAX

static uint64_t port_key_of(uint64_t key)
{
	return key ? key : 1;
}

static const struct affinity_slot *look(const struct affinity_slot *slots, uint64_t key)
{
	return &slots[port_key_of(key) & (AFFINITY_SLOTS - 1)];
}

static struct affinity_slot *slot_of(struct affinity_slot *slots, uint64_t key)
{
	return &slots[port_key_of(key) & (AFFINITY_SLOTS - 1)];
}

/* What stands for the VIP among the endpoints of a port. */
static uint64_t vip_key_of(uint64_t key)
{
	return hash_mix(~port_key_of(key));
}

/* Not over, and no time that nobody writes. */
static bool counts(uint64_t until_ms, uint64_t now_ms, uint32_t timeout_s)
{
	return until_ms > now_ms && until_ms <= now_ms + (uint64_t)timeout_s * 1000;
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
	if (peek_u64(&slot->port_key) != port_key)
		poke_u64(&slot->served_until_ms, 0); /* another port's */
	poke_u64(&slot->endpoint_key, endpoint_key);
	poke_u64(&slot->expires_ms, expires_ms);
	poke_u64(&slot->port_key, port_key);
}

void affinity_served(struct affinity_slot *slots, uint64_t key, uint64_t now_ms, uint32_t timeout_s)
{
	struct affinity_slot *slot = slot_of(slots, key);

	/* Not a slot that another port has taken meanwhile. */
	if (peek_u64(&slot->port_key) == port_key_of(key))
		poke_u64(&slot->served_until_ms, now_ms + (uint64_t)timeout_s * 1000);
}

bool affinity_has_served(const struct affinity_slot *slots, uint64_t key, uint64_t now_ms,
			 uint32_t timeout_s)
{
	const struct affinity_slot *slot = look(slots, key);

	return peek_u64(&slot->port_key) == port_key_of(key) &&
	       counts(peek_u64(&slot->served_until_ms), now_ms, timeout_s);
}

void affinity_leave(struct affinity_slot *slots, uint64_t key, uint64_t now_ms, uint32_t timeout_s)
{
	remember(slot_of(slots, key), port_key_of(key), vip_key_of(key),
		 now_ms + (uint64_t)timeout_s * 1000);
}

bool affinity_has_left(const struct affinity_slot *slots, uint64_t key, uint64_t now_ms,
		       uint32_t timeout_s)
{
	const struct affinity_slot *slot = look(slots, key);

	return remembered_endpoint(slot, port_key_of(key), now_ms) == vip_key_of(key) &&
	       counts(peek_u64(&slot->expires_ms), now_ms, timeout_s);
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
		key = table_endpoint_key(&endpoint);
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
	uint64_t port_key = port_key_of(key);
	struct affinity_slot *slot = slot_of(slots, key);
	struct candidate best[STANDINGS];
	const struct candidate *taken = &best[STANDING_GOOD];
	uint32_t ejected;

	/* Not all of them, which would be a call of memset(3): not where a Go program passes. */
	for (int i = 0; i < STANDINGS; i++) {
		best[i].weight = 0;
		best[i].index = 0;
	}
	ejected = find_best(read, port, client, remembered_endpoint(slot, port_key, avoid->now_ms),
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
	if (taken->weight &&
	    !affinity_has_left(slots, key, avoid->now_ms, port->affinity_timeout_s))
		remember(slot, port_key, table_endpoint_key(&taken->endpoint),
			 avoid->now_ms + (uint64_t)port->affinity_timeout_s * 1000);
	return taken->index;
}

uint64_t affinity_client(void)
{
	struct utsname host;

	return uname(&host) == 0 ? hash_text(0, host.nodename) : 0;
}
