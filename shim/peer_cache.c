// SPDX-License-Identifier: Apache-2.0
#include "peer_cache.h"

#include <sys/socket.h>

#include "base/atomic.h"
#include "base/hash.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

#define PEER_SLOTS 1024u /* a power of two */

struct peer_slot {
	uint32_t sequence; /* odd while the slot is written */
	uint32_t reserved;
	struct peer peer;
};

_Static_assert(sizeof(struct peer) % 8 == 0, "copied word by word");

static struct peer_slot slots[PEER_SLOTS];
static uint32_t used;

static struct peer_slot *slot_of(uint64_t cookie)
{
	/* Mixed: each CPU hands out cookies from a block of its own, so low bits collide. */
	return &slots[hash_mix(cookie) % PEER_SLOTS];
}

uint64_t peer_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

void peer_cache_put(const struct peer *peer)
{
	struct peer_slot *slot = slot_of(peer->cookie);
	uint32_t sequence = observe_u32(&slot->sequence);

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

bool peer_cache_get(uint64_t cookie, struct peer *ret_peer)
{
	struct peer_slot *slot = slot_of(cookie);
	uint32_t sequence = observe_u32(&slot->sequence);
	struct peer peer;

	if (sequence % 2)
		return false;
	peek_words(&peer, &slot->peer, sizeof(peer));
	fence_before_recheck();
	if (peek_u32(&slot->sequence) != sequence || peer.cookie != cookie)
		return false;
	*ret_peer = peer;
	return true;
}

bool peer_cache_unused(void)
{
	return !peek_u32(&used);
}
