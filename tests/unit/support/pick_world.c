// SPDX-License-Identifier: Apache-2.0
#include "support/pick_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "support/objects.h"

#define FIRST_ENDPOINT "10.1.0.0"
#define ENDPOINT_PORT  8080

static void put(struct pick_world *world, const char *name, const char *vip, unsigned endpoints,
		uint32_t affinity_timeout_s)
{
	struct selection selection;

	assert_in_range(endpoints, 0, WORLD_ENDPOINTS);
	test_selection(&selection, vip, 80, FIRST_ENDPOINT, endpoints, ENDPOINT_PORT);
	selection.affinity_timeout_s = affinity_timeout_s;
	assert_in_range(table_writer_put(world->writer, "demo", name, &selection), 0, 1);
	selection_clear(&selection);
	assert_int_equal(table_writer_publish(world->writer), 0);
}

void pick_world_put(struct pick_world *world, unsigned endpoints, uint32_t affinity_timeout_s)
{
	put(world, "web", WORLD_VIP, endpoints, affinity_timeout_s);
}

void pick_world_put_service(struct pick_world *world, const char *name, const char *vip,
			    unsigned endpoints)
{
	put(world, name, vip, endpoints, 0);
}

struct pick_state pick_world_process(const struct pick_world *world, uint64_t seed)
{
	return (struct pick_state){
		.memory = world->memory,
		.client = 42,
		.now_ms = 3600000,
		.rules = HEALTH_DEFAULTS,
		.seed = seed,
		.policy = PICK_ROUND_ROBIN,
	};
}

void pick_world_init(struct pick_world *world, unsigned endpoints)
{
	assert_int_equal(table_writer_new(0, &world->writer), 0);
	world->memory = calloc(1, sizeof(*world->memory));
	assert_non_null(world->memory);
	world->memory->seed = 1;
	world->state = pick_world_process(world, 1);
	pick_world_put(world, endpoints, 0);
}

void pick_world_free(struct pick_world *world)
{
	table_writer_free(world->writer);
	free(world->memory);
}

unsigned pick_world_number(const struct table_endpoint *endpoint)
{
	return (unsigned)endpoint->address.bytes[14] << 8 | endpoint->address.bytes[15];
}

struct table_endpoint pick_world_endpoint(unsigned number)
{
	return (struct table_endpoint){
		.address = ip_plus(ip_of(FIRST_ENDPOINT), number),
		.port = ENDPOINT_PORT,
	};
}

unsigned pick_world_next(const struct pick_world *world, const struct pick_state *state,
			 struct picked *ret_picked)
{
	struct ip_address vip = ip_of(WORLD_VIP);

	assert_int_equal(pick_by_vip(table_writer_view(world->writer), state, &vip, 80,
				     PROTOCOL_TCP, ret_picked),
			 PICK_ENDPOINT);
	return pick_world_number(&ret_picked->endpoint);
}

void pick_world_fail(const struct pick_world *world, unsigned number)
{
	struct table_endpoint endpoint = pick_world_endpoint(number);

	pick_failed(&world->state, &endpoint);
}

void pick_world_succeed(const struct pick_world *world, unsigned number)
{
	struct table_endpoint endpoint = pick_world_endpoint(number);

	pick_succeeded(&world->state, &endpoint);
}
