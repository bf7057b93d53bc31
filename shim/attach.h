/* The table of an agent (K8SLB_TABLE): found, kept as long as it is written, and found again. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_ATTACH_H
#define K8SLB_SHIM_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "state.h"
#include "table/reader.h"

/* A call is held up this long at most by an agent that does not answer. */
#define ATTACH_LIMIT_MS 100u

/* Without an agent, or with one whose heart has stopped: one try in this time, by one call. */
#define ATTACH_RETRY_MS 1000u

/* The table comes from an agent: no thread is ever started here, and the API server never asked. */
static inline bool attach_is_used(void)
{
	return shim.config.table_path[0] != '\0';
}

/*
 * There is something to do before @view, the one in use, is used further: the agent does not beat,
 * or a larger table took its place; and it is time for a try. No system call (the clock is read in
 * the vDSO).
 */
bool attach_is_due(const struct table_view *view);

/*
 * Does what is due and returns the table to use, or NULL. One thread of the process does it at a
 * time; the others go on with what there is, or wait for it, at most ATTACH_LIMIT_MS, where there
 * is none. Async-signal-safe, keeps errno.
 */
const struct table_view *attach(void);

/*
 * K8SLB_SERVICES of this program asks for the port that (@vip, @port) is in the table: an agent's
 * table has more than its readers want. False where it is not known by now: libc gets the call.
 */
bool attach_find_vip(const struct table_view *view, const struct ip_address *vip, uint16_t port);

static inline bool attach_covers_vip(const struct table_view *view, const struct ip_address *vip,
				     uint16_t port)
{
	return !attach_is_used() || attach_find_vip(view, vip, port);
}

/* The same for a port that was looked up by its Service's name. */
bool attach_covers_port(const struct table_read *read, const char *namespace, const char *name,
			const struct table_port *port);

#endif
