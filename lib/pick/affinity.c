// SPDX-License-Identifier: Apache-2.0
#include "pick/affinity.h"

#include "base/atomic.h"
#include "base/hash.h"

static uint64_t port_key_of(const struct ip_address *vip, const struct table_port *port)
{
	uint64_t key = hash_bytes((uint64_t)port->port << 8 | port->protocol, vip->bytes,
				  sizeof(vip->bytes));

	return key ? key : 1;
}

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

uint32_t affinity_choose(struct affinity_slot *slots, uint64_t client,
			 const struct table_read *read, const struct ip_address *vip,
			 const struct table_port *port, uint64_t now_ms)
{
	uint64_t port_key = port_key_of(vip, port);
	struct affinity_slot *slot = &slots[port_key & (AFFINITY_SLOTS - 1)];
	uint64_t remembered = remembered_endpoint(slot, port_key, now_ms);
	uint64_t best_weight = 0;
	uint64_t best_key = 0;
	uint32_t best = 0;

	for (uint32_t i = 0; i < port->endpoint_count; i++) {
		struct table_endpoint endpoint;
		uint64_t key;
		uint64_t weight;

		if (table_port_endpoint(read, port, i, &endpoint) < 0)
			break;
		key = endpoint_key_of(&endpoint);
		if (key == remembered) {
			best = i;
			best_key = key;
			break;
		}
		weight = hash_mix(client ^ key);
		if (i == 0 || weight > best_weight) {
			best = i;
			best_key = key;
			best_weight = weight;
		}
	}
	remember(slot, port_key, best_key, now_ms + (uint64_t)port->affinity_timeout_s * 1000);
	return best;
}
