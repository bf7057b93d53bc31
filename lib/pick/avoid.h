/* Which endpoints one choice passes over: those tried before, and those that health ejected. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_AVOID_H
#define K8SLB_PICK_AVOID_H

#include "pick/health.h"
#include "table/reader.h"

enum standing {
	STANDING_GOOD,
	STANDING_HALF_OPEN, /* good for the one that claims the probe */
	STANDING_EJECTED,
	STANDING_TRIED,
	STANDINGS,
};

struct avoidance {
	struct health *health; /* NULL: nothing is recorded, or it is not to be asked */
	const struct health_rules *rules;
	uint64_t now_ms;
	/* A thread of ours probes (engine/prober.h): no caller does, and each says what it would
	 * have used. */
	bool is_probed;
	/* What a half-open endpoint is: itself for a caller that can probe and report the outcome,
	 * good for one that cannot see it, ejected for one that cannot afford another failure. */
	enum standing half_open;
	const struct table_endpoint *tried;
	unsigned tried_count;
};

bool avoid_was_tried(const struct table_endpoint *tried, unsigned tried_count,
		     const struct table_endpoint *endpoint);

enum standing avoid_look(const struct avoidance *avoid, const struct table_endpoint *endpoint);

/* As avoid_look(), of endpoint @index of @port. One that cannot be read is good: the caller finds
 * the snapshot invalid. */
enum standing avoid_look_at(const struct avoidance *avoid, const struct table_read *read,
			    const struct table_port *port, uint32_t index);

/* The caller would have used this endpoint, were it not avoided. */
void avoid_want(const struct avoidance *avoid, const struct table_endpoint *endpoint);

/* The caller is the one that may try this half-open endpoint; if not, avoid_want(). */
bool avoid_claim_probe(const struct avoidance *avoid, const struct table_endpoint *endpoint);

/* More than half of the endpoints of @port are ejected, so none is to be avoided. */
bool avoid_panics(const struct avoidance *avoid, const struct table_read *read,
		  const struct table_port *port);

#endif
