// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "config/config.h"

static uint64_t hash_ref(uint64_t hash, const struct service_ref *ref)
{
	hash = hash_text(hash, ref->namespace);
	hash = hash_text(hash, ref->name);
	hash = hash_text(hash, ref->port_name);
	hash = hash_bytes(hash, ref->vip.bytes, sizeof(ref->vip.bytes));
	return hash_mix(hash ^ ((uint64_t)ref->port << 32 | (uint64_t)ref->vip_port << 16 |
				(uint64_t)ref->has_vip));
}

uint64_t config_table_identity(const struct config *config)
{
	const char *const texts[] = {
		config->api_url,   config->api_file, config->token_file, config->ca_file,
		config->cert_file, config->key_file, config->node,	 config->zone,
	};
	uint64_t hash = hash_mix(config->discovery + 1);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		hash = hash_text(hash, texts[i]);
	for (unsigned i = 0; i < config->service_count; i++)
		hash = hash_ref(hash, &config->services[i]);
	return hash ? hash : 1;
}
