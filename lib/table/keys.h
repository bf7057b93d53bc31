/* The hashes of the table's two indexes: one definition for writer and readers. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_KEYS_H
#define K8SLB_TABLE_KEYS_H

#include "base/address.h"
#include "base/hash.h"
#include "table/layout.h"

/* What a slot of the VIP index keeps beside the address. */
static inline uint32_t table_vip_key(uint16_t port, uint8_t protocol)
{
	return (uint32_t)protocol << 16 | port;
}

/* One round of mixing: that of an IPv4 address loses nothing before it, its first word is 0. */
static inline uint64_t table_vip_hash(const struct ip_address *vip, uint32_t key)
{
	uint64_t words[2];

	memcpy(words, vip->bytes, sizeof(words));
	return hash_mix(words[0] * 0x9e3779b97f4a7c15ULL ^ words[1] ^ key * 0xc2b2ae3d27d4eb4fULL);
}

/* Where an endpoint is: another pod that gets its address and port has its key. Never 0. */
static inline uint64_t table_endpoint_key(const struct table_endpoint *endpoint)
{
	uint64_t key = hash_bytes(endpoint->port, endpoint->address.bytes,
				  sizeof(endpoint->address.bytes));

	return key ? key : 1;
}

static inline uint64_t table_name_hash(const char *namespace, const char *name)
{
	return hash_text(hash_text(0, namespace), name);
}

#endif
