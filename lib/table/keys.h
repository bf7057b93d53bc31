/* The hashes of the table's two indexes: one definition for writer and readers. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_KEYS_H
#define K8SLB_TABLE_KEYS_H

#include "base/address.h"
#include "base/hash.h"

static inline uint64_t table_vip_hash(const struct ip_address *vip, uint16_t port, uint8_t protocol)
{
	uint64_t words[2];

	memcpy(words, vip->bytes, sizeof(words));
	return hash_mix(words[0] ^ hash_mix(words[1] ^ ((uint64_t)port << 8 | protocol)));
}

static inline uint64_t table_name_hash(const char *namespace, const char *name)
{
	return hash_text(hash_text(0, namespace), name);
}

#endif
