/* Which collections to follow for the Services that were asked for, and how well that goes. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_SYNCER_H
#define K8SLB_SYNC_SYNCER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/service_ref.h"
#include "sync/reflector.h"
#include "sync/state.h"
#include "sync/store.h"

enum syncer_discovery {
	SYNCER_AUTO, /* EndpointSlices; Endpoints where slices are forbidden or absent */
	SYNCER_ENDPOINT_SLICES,
	SYNCER_ENDPOINTS,
};

/*
 * For each namespace one collection of Services and one of EndpointSlices (or, in their place, of
 * Endpoints: one for each name where names were given), narrowed by a selector where that is
 * possible. A Service that may not be read is made up from its entry: its VIP if the entry has one,
 * else headless.
 */
struct syncer_options {
	const struct service_ref *refs; /* borrowed, outlive the syncer */
	unsigned ref_count;
	enum syncer_discovery discovery;
	bool follow_services; /* false: the caller needs endpoints only; each ref is made up */
	uint32_t retry_delay_ms;
	uint32_t sync_interval_ms;
	uint32_t start_delay_ms; /* before the first lists */
};

struct syncer;

/* What takes longer is not waited for any more: other Services would be kept from changes by it. */
#define SYNCER_LONGEST_LIST_MS 10000

/* @io must outlive the syncer. Returns 0 or -ENOMEM. */
int syncer_new(const struct syncer_options *options, const struct sync_io *io,
	       const struct logger *logger, struct syncer **ret_syncer);

/* Does what is due in all collections. */
void syncer_tick(struct syncer *syncer);

/*
 * Takes the next Service that changed, of a namespace that is synced; store.h has the details and
 * the lifetimes. Services of a namespace that cannot be read never come out, so nobody takes "no
 * endpoint known" for "no endpoint".
 */
bool syncer_take_changed(struct syncer *syncer, struct service_state *ret_state);

/* Makes syncer_take_changed() give every Service again. */
void syncer_touch_all(struct syncer *syncer);

/* Of all collections together. */
struct sync_state syncer_state(const struct syncer *syncer);

/* Part @number of what is followed, from 0 on. False: there are no more. */
bool syncer_part(const struct syncer *syncer, unsigned number, struct sync_part *ret_part);

/* Cancels all requests and frees. What was taken is invalid then. Takes NULL. */
void syncer_free(struct syncer *syncer);

#endif
