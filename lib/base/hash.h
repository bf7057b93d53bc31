/* Hashes of short keys for in-memory tables; but for hash_secret() not for anything that must
 * resist an attacker. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_HASH_H
#define K8SLB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The finaliser of MurmurHash3 (public domain, A. Appleby): every input bit reaches every output
 * bit, so that the low bits may index a table. */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

static inline uint64_t hash_bytes(uint64_t seed, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t h = seed ^ (size * 0x9e3779b97f4a7c15ULL);

	while (size >= 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		h = hash_mix(h ^ word);
		bytes += 8;
		size -= 8;
	}
	if (size) {
		uint64_t word = 0;

		memcpy(&word, bytes, size);
		h = hash_mix(h ^ word);
	}
	return h;
}

/* Of keys that come from outside, in the memory of this process alone: it starts from where the
 * loader has put us, which nobody outside knows, so nobody can make many keys of one hash. */
static inline uint64_t hash_secret(const void *data, size_t size)
{
	static const char somewhere;

	return hash_bytes(hash_mix((uint64_t)(uintptr_t)&somewhere), data, size);
}

static inline uint64_t hash_text(uint64_t seed, const char *text)
{
	return hash_bytes(seed, text, strlen(text));
}

#endif
