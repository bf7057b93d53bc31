/* When the engine is started, and how long the first calls wait for its first table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_ACTIVATE_H
#define K8SLB_SHIM_ACTIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "table/reader.h"

/* Without a table: could this be the address of a configured Service? */
bool activate_could_match(const struct ip_address *ip, uint16_t port);

/* Nothing is to be started or looked for before @view, the table in use, is used. No system call.
 */
bool activate_is_done(const struct table_view *view);

/*
 * For a call that could match. Starts the engine when this process has none, but not from within
 * a signal handler: the next call does. Without a table it waits for the first one, at most
 * @longest_wait_ms and never beyond K8SLB_SYNC_TIMEOUT after the engine's start; it stops waiting
 * when the first attempt failed or a signal handler ran.
 * Returns the table or NULL. Keeps errno.
 */
const struct table_view *activate(uint32_t longest_wait_ms);

/* The same for a name lookup, which no signal ends. */
const struct table_view *activate_for_lookup(void);

#endif
