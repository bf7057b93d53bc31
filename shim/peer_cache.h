/* Which sockets were translated: the VIP that the program asked for and the endpoint it got. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PEER_CACHE_H
#define K8SLB_SHIM_PEER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/*
 * Keyed by SO_COOKIE, a number that the kernel gives to one socket and never again (Linux 4.12):
 * the same through dup() and fork(), another one for every new socket. So no close(), dup() or
 * fork() must be watched, and an old entry can never meet a new socket.
 * Fixed size, lossy, lock-free: newer sockets take the place of older ones; then getpeername()
 * tells the endpoint.
 */
struct peer {
	uint64_t cookie;
	struct ip_address vip;
	struct ip_address endpoint;
	uint16_t vip_port;
	uint16_t endpoint_port;
	uint32_t reserved; /* whole words are copied */
};

/* The cookie of a socket, or 0 when the kernel gives none. Keeps errno. */
uint64_t peer_cookie(int fd);

/* Async-signal-safe, never waits: when another thread holds the slot nothing is kept. */
void peer_cache_put(const struct peer *peer);

/* Returns true and writes *@ret_peer when @cookie is there. Async-signal-safe. */
bool peer_cache_get(uint64_t cookie, struct peer *ret_peer);

/* Nothing was ever put. One load. */
bool peer_cache_unused(void);

#endif
