/* A reflector with a fake transport and a sink that writes down what it is told. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_REFLECTOR_WORLD_H
#define K8SLB_TESTS_REFLECTOR_WORLD_H

#include "base/buffer.h"
#include "support/fake_io.h"

#define SLICES_PATH    "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
#define ENDPOINTS_PATH "/api/v1/namespaces/demo/endpoints"
/* With the default retry delay of 5 s (backoff.h). */
#define RETRY_DELAY_MS	 5000u
#define FIRST_PAUSE_MS	 833u
#define LONGEST_PAUSE_MS 30000u
#define SYNC_INTERVAL_MS 20000u

struct world {
	struct fake_io fake;
	struct reflector reflector;
	struct buffer told;   /* "begin item:a keep:b commit abort upsert:a remove:a " */
	struct buffer logged; /* lines of level error */
	int refuse; /* what the sink returns instead of taking an object; 0: it takes it */
};

/* Follows the EndpointSlices of Service web; the first request is made. */
void world_init(struct world *world);
void world_free(struct world *world);

/* What the sink was told since the last call; valid until the next one. */
const char *world_told(struct world *world);

/* Moves the clock and lets the reflector do what is due. */
void world_pass(struct world *world, uint64_t ms);

/* How many list requests were made, pages and probes counted. */
size_t world_lists(const struct world *world);

/* The pause that the reflector makes now; fails the test when it is not waiting. */
uint64_t world_pause_ms(const struct world *world);

/* The first request was made, and answered by one slice "a" at version 100; the watch is open. */
void world_init_watching(struct world *world);

#endif
