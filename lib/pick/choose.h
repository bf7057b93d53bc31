/* Chooses one of a port's endpoints by affinity, policy and health. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_CHOOSE_H
#define K8SLB_PICK_CHOOSE_H

#include "pick/avoid.h"
#include "pick/pick.h"

/*
 * For both: @port has at least one endpoint, @key is the port's (cursor.h); what was read is right
 * only if table_read_valid() says so afterwards.
 */

/* @half_open: what a half-open endpoint is to the caller (avoid.h). */
struct chosen choose_next(const struct pick_state *state, const struct table_read *read,
			  uint64_t key, const struct table_port *port, enum standing half_open);

/* None of the @tried ones, unless there is no other. */
struct chosen choose_other(const struct pick_state *state, const struct table_read *read,
			   uint64_t key, const struct table_port *port,
			   const struct table_endpoint *tried, unsigned tried_count);

/* What was @chosen is for @connections (0 or 1) new ones: keeps the counters. */
static inline void choose_count(const struct pick_state *state, const struct chosen *chosen,
				unsigned connections)
{
	if (!state->hints)
		return;
	if (chosen->turns != connections)
		add_u64(&state->hints->counters[HINTS_SPARE_TURNS],
			(uint64_t)chosen->turns - connections);
	if (chosen->probe)
		hints_count(state->hints, HINTS_PROBES);
	if (chosen->avoided && connections)
		hints_count(state->hints, HINTS_AVOIDED);
}

#endif
