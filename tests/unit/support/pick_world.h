/* A Service at 10.96.0.1:80, pick memory of its own, and a clock that is set by hand. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_PICK_WORLD_H
#define K8SLB_TESTS_PICK_WORLD_H

#include "pick/pick.h"
#include "publish/writer.h"

#define WORLD_VIP	 "10.96.0.1"
#define WORLD_ENDPOINTS	 256u /* at most */
#define WORLD_AFFINITY_S 100u

struct pick_world {
	struct table_writer *writer;
	struct pick_memory *memory;
	struct pick_state state; /* of one process; now_ms is the clock */
};

/* Endpoints are 10.1.0.0 + number, number below @endpoints. The clock begins at one hour. */
void pick_world_init(struct pick_world *world, unsigned endpoints);
void pick_world_free(struct pick_world *world);

/* Changes the Service; other Services by another name and VIP. */
void pick_world_put(struct pick_world *world, unsigned endpoints, uint32_t affinity_timeout_s);
void pick_world_put_service(struct pick_world *world, const char *name, const char *vip,
			    unsigned endpoints);

/* What another process has: a seed of its own, the same pick memory. */
struct pick_state pick_world_process(const struct pick_world *world, uint64_t seed);

/* The next pick; fails the test when there is none. Returns the endpoint's number. */
unsigned pick_world_next(const struct pick_world *world, const struct pick_state *state,
			 struct picked *ret_picked);

/* Endpoint @number, as a pick tells it. */
struct table_endpoint pick_world_endpoint(unsigned number);
unsigned pick_world_number(const struct table_endpoint *endpoint);

/* Reports of a connection to endpoint @number. */
void pick_world_fail(const struct pick_world *world, unsigned number);
void pick_world_succeed(const struct pick_world *world, unsigned number);

#endif
