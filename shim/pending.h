/* Connections that began without their outcome being told: non-blocking or interrupted connects. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PENDING_H
#define K8SLB_SHIM_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "pick/pick.h"

/*
 * A program learns what became of a non-blocking connect() by poll() and SO_ERROR, which we do not
 * see. So a few of these sockets are remembered, and the next calls that we do see ask the kernel
 * for their state. Nothing is read that the program could miss: never SO_ERROR, which a read
 * clears.
 *
 * Keyed by SO_COOKIE like peer_cache.h, so a closed descriptor and a new socket on its number are
 * told apart. Fixed size, lossy, lock-free; a forked child has a copy that is as good.
 */

/* The socket @cookie at @fd began to connect to what was picked. */
void pending_add(int fd, uint64_t cookie, const struct picked *picked);

/* Something is remembered. One load. */
bool pending_any(void);

/*
 * Looks at a few of them, in turn, and reports those whose outcome is known by now: connected;
 * failed; or without an answer for longer than 1 s, or K8SLB_CONNECT_TIMEOUT. At most two system
 * calls each. For a call that is to pick next.
 */
void pending_look(const struct pick_state *state);

/*
 * The connection that this socket began is known to have succeeded, or failed: reports that, unless
 * it was reported before, and forgets it. False when none is remembered.
 */
bool pending_settle(const struct pick_state *state, uint64_t cookie, bool connected);

/* This socket's former connection is void: nothing is to be reported of it. */
void pending_forget(uint64_t cookie);

#endif
