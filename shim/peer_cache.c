// SPDX-License-Identifier: Apache-2.0
#include "peer_cache.h"

#include <sys/socket.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "libc.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

#define SLOTS 1024u /* a power of two; in use by two numbers: the newer one's */

struct slot {
	uint32_t sequence; /* odd while the slot is written */
	uint32_t filled;
	struct peer peer;
};

_Static_assert(sizeof(struct peer) % 8 == 0, "copied word by word");

static struct slot slots[SLOTS];
static uint32_t top; /* slots from here on were never filled; 0: none was */

static struct slot *slot_of(int fd)
{
	return &slots[(uint32_t)fd % SLOTS];
}

uint64_t peer_cookie(int fd)
{
	KEEP_ERRNO();
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return libc_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

void peer_cache_put(const struct peer *peer)
{
	struct slot *slot = slot_of(peer->fd);
	uint32_t place = (uint32_t)(slot - slots);
	uint32_t sequence = observe_u32(&slot->sequence);
	uint32_t before;

	/* Odd for good when a fork() caught another thread in the middle: one slot of the child is
	 * lost. Waiting for it would be a deadlock. */
	if (sequence % 2 || !claim_u32(&slot->sequence, sequence, sequence + 1))
		return;
	fence_before_rewrite();
	poke_words(&slot->peer, peer, sizeof(*peer));
	poke_u32(&slot->filled, 1);
	publish_u32(&slot->sequence, sequence + 2); /* observed in read_slot() */
	do {
		before = peek_u32(&top);
	} while (before <= place && !claim_u32(&top, before, place + 1));
}

static bool read_slot(const struct slot *slot, struct peer *ret_peer)
{
	uint32_t sequence = observe_u32(&slot->sequence);

	if (sequence % 2 || !peek_u32(&slot->filled))
		return false;
	peek_words(ret_peer, &slot->peer, sizeof(*ret_peer));
	fence_before_recheck();
	return peek_u32(&slot->sequence) == sequence;
}

static bool leads_to(const struct peer *peer, const struct ip_address *endpoint, uint16_t port)
{
	return peer->endpoint_port == port && ip_equal(&peer->endpoint, endpoint);
}

static bool get_duplicate(int fd, const struct ip_address *endpoint, uint16_t port,
			  struct peer *ret_peer)
{
	uint32_t end = peek_u32(&top);
	uint64_t cookie = 0;
	struct peer peer;

	for (uint32_t i = 0; i < end; i++) {
		if (!read_slot(&slots[i], &peer) || !leads_to(&peer, endpoint, port))
			continue;
		if (!cookie)
			cookie = peer_cookie(fd);
		if (!cookie)
			return false;
		if (peer_cookie(peer.fd) == cookie) {
			*ret_peer = peer;
			return true;
		}
	}
	return false;
}

bool peer_cache_get(int fd, const struct ip_address *endpoint, uint16_t port, struct peer *ret_peer)
{
	struct peer peer;

	if (read_slot(slot_of(fd), &peer) && peer.fd == fd && leads_to(&peer, endpoint, port)) {
		*ret_peer = peer;
		return true;
	}
	return get_duplicate(fd, endpoint, port, ret_peer);
}

void peer_cache_forget(int fd, const struct ip_address *endpoint, uint16_t port)
{
	struct slot *slot = slot_of(fd);
	struct peer peer;

	/* Whoever puts another one at the same moment has connected the same number. */
	if (read_slot(slot, &peer) && peer.fd == fd && leads_to(&peer, endpoint, port))
		poke_u32(&slot->filled, 0);
}

bool peer_cache_unused(void)
{
	return !peek_u32(&top);
}
