/* Which sockets were translated: the VIP that the program asked for and the endpoint it got. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PEER_CACHE_H
#define K8SLB_SHIM_PEER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/*
 * By descriptor number, which costs no system call when a connection is made. Numbers get other
 * sockets, so whoever asks compares the real peer with the recorded endpoint; of an endpoint that
 * is dialled by its own address the record goes (peer_cache_forget()). A duplicate has another
 * number: it is found by SO_COOKIE, which tells one socket from all others (Linux 4.12), as long as
 * the number that was connected is open.
 * Fixed size, lossy, lock-free: newer sockets take the place of older ones; then getpeername()
 * tells the endpoint. A forked child has its parent's, which is as good.
 */
struct peer {
	struct ip_address vip;
	struct ip_address endpoint;
	uint16_t vip_port;
	uint16_t endpoint_port;
	int32_t fd; /* whole words are copied */
};

/* The cookie of a socket, or 0 when the kernel gives none. Keeps errno. */
uint64_t peer_cookie(int fd);

/* Async-signal-safe, never waits: when another thread holds the slot nothing is kept. */
void peer_cache_put(const struct peer *peer);

/*
 * The record of the socket at @fd, whose real peer is @endpoint and @port: by its number, else of
 * the number that it duplicates. Returns true and writes *@ret_peer when there is one. System calls
 * only where a duplicate is possible. Async-signal-safe, keeps errno.
 */
bool peer_cache_get(int fd, const struct ip_address *endpoint, uint16_t port,
		    struct peer *ret_peer);

/* @fd is to be connected to @endpoint and @port as that, and no VIP stands for it. */
void peer_cache_forget(int fd, const struct ip_address *endpoint, uint16_t port);

/* Nothing was ever put. One load. */
bool peer_cache_unused(void);

#endif
