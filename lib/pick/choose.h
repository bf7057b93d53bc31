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

/* The index of the next one. @half_open: what a half-open endpoint is to the caller (avoid.h). */
uint32_t choose_next(const struct pick_state *state, const struct table_read *read, uint64_t key,
		     const struct table_port *port, enum standing half_open);

/* The index of none of the @tried ones, unless there is no other. */
uint32_t choose_other(const struct pick_state *state, const struct table_read *read, uint64_t key,
		      const struct table_port *port, const struct table_endpoint *tried,
		      unsigned tried_count);

#endif
