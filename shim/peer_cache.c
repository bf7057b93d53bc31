// SPDX-License-Identifier: Apache-2.0
#include "peer_cache.h"

#include <sys/socket.h>

#include "base/atomic.h"
#include "base/hash.h"
#include "base/keep_errno.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* In each set the newest take the place of the oldest. With one slot alone two of thirty open
 * sockets met in four runs of ten; more than eight of a few hundred hardly ever do. */
#define PEER_SETS  128u /* a power of two */
#define PEER_SLOTS 8u	/* a power of two */

struct peer_slot {
	uint32_t sequence; /* odd while the slot is written */
	uint32_t reserved;
	struct peer peer;
};

_Static_assert(sizeof(struct peer) % 8 == 0, "copied word by word");

struct peer_set {
	uint32_t count; /* of the puts so far; the next one goes to count % PEER_SLOTS */
	uint32_t reserved;
	struct peer_slot slots[PEER_SLOTS];
};

static struct peer_set sets[PEER_SETS];
static uint32_t used;

static struct peer_set *set_of(uint64_t cookie)
{
	/* Mixed: each CPU hands out cookies from a block of its own, so low bits collide. */
	return &sets[hash_mix(cookie) % PEER_SETS];
}

uint64_t peer_cookie(int fd)
{
	KEEP_ERRNO();
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

void peer_cache_put(const struct peer *peer)
{
	struct peer_set *set = set_of(peer->cookie);
	uint32_t count = peek_u32(&set->count);
	struct peer_slot *slot = &set->slots[count % PEER_SLOTS];
	uint32_t sequence = observe_u32(&slot->sequence);

	/* Two threads may take one slot; then the claim below lets one of them keep nothing. */
	poke_u32(&set->count, count + 1);

	/* Odd for good when a fork() caught another thread in the middle: one slot of the child is
	 * lost. Waiting for it would be a deadlock. */
	if (sequence % 2 || !claim_u32(&slot->sequence, sequence, sequence + 1))
		return;
	fence_before_rewrite();
	poke_words(&slot->peer, peer, sizeof(*peer));
	publish_u32(&slot->sequence, sequence + 2); /* observed by peer_cache_get() */
	if (!peek_u32(&used))
		poke_u32(&used, 1);
}

static bool read_slot(const struct peer_slot *slot, uint64_t cookie, struct peer *ret_peer)
{
	uint32_t sequence = observe_u32(&slot->sequence);
	struct peer peer;

	if (sequence % 2 || peek_u64(&slot->peer.cookie) != cookie)
		return false;
	peek_words(&peer, &slot->peer, sizeof(peer));
	fence_before_recheck();
	if (peek_u32(&slot->sequence) != sequence || peer.cookie != cookie)
		return false;
	*ret_peer = peer;
	return true;
}

bool peer_cache_get(uint64_t cookie, struct peer *ret_peer)
{
	const struct peer_set *set = set_of(cookie);
	uint32_t count = peek_u32(&set->count);

	/* The newest first: a socket that was connected twice is there twice. */
	for (uint32_t i = 1; i <= PEER_SLOTS; i++) {
		if (read_slot(&set->slots[(count - i) % PEER_SLOTS], cookie, ret_peer))
			return true;
	}
	return false;
}

bool peer_cache_unused(void)
{
	return !peek_u32(&used);
}
