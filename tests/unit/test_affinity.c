// SPDX-License-Identifier: Apache-2.0
#include "pick/affinity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "pick/cursor.h"
#include "publish/writer.h"
#include "support/objects.h"

#define VIP	  "10.96.0.1"
#define TIMEOUT_S 100
#define CLIENT	  42

/* One port with session affinity, and the slots of one user. */
struct world {
	struct table_writer *writer;
	struct affinity_slot slots[AFFINITY_SLOTS];
	uint64_t now_ms;
};

static void publish(struct world *world, const char *first_ip, unsigned count)
{
	struct selection selection;

	test_selection(&selection, VIP, 80, first_ip, count, 8080);
	selection.affinity_timeout_s = TIMEOUT_S;
	assert_int_equal(table_writer_put(world->writer, "demo", "web", &selection), 1);
	assert_int_equal(table_writer_publish(world->writer), 0);
	selection_clear(&selection);
}

static struct ip_address choose_for(struct world *world, uint64_t client)
{
	struct table_read read;
	struct table_port port;
	struct table_endpoint endpoint;
	struct ip_address vip = ip_of(VIP);
	struct avoidance avoid = {.now_ms = world->now_ms};
	uint64_t key = cursor_key_of_vip(&vip, 80, PROTOCOL_TCP);
	uint32_t index;

	assert_int_equal(table_read_begin(table_writer_view(world->writer), &read), 0);
	assert_int_equal(table_find_vip(&read, &vip, 80, PROTOCOL_TCP, &port), 0);
	assert_int_equal(port.affinity_timeout_s, TIMEOUT_S);
	index = affinity_choose(world->slots, client, &read, key, &port, &avoid);
	assert_in_range(index, 0, port.endpoint_count - 1);
	assert_int_equal(table_port_endpoint(&read, &port, index, &endpoint), 0);
	return endpoint.address;
}

static struct ip_address choose(struct world *world)
{
	return choose_for(world, CLIENT);
}

static void forget(struct world *world)
{
	memset(world->slots, 0, sizeof(world->slots));
}

static int setup(void **state)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	world.now_ms = 1000;
	assert_int_equal(table_writer_new(0, &world.writer), 0);
	publish(&world, "10.1.0.1", 4);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	table_writer_free(world->writer);
	return 0;
}

static void assert_same(struct ip_address a, struct ip_address b)
{
	assert_memory_equal(a.bytes, b.bytes, sizeof(a.bytes));
}

static void test_one_client_stays(void **state)
{
	struct world *world = *state;
	struct ip_address first = choose(world);

	for (int i = 0; i < 100; i++) {
		world->now_ms += 1000;
		assert_same(choose(world), first);
	}
}

static void test_processes_without_shared_slots_agree(void **state)
{
	struct world *world = *state;
	struct ip_address first = choose(world);

	forget(world);
	assert_same(choose(world), first);
}

static void test_clients_spread_over_the_endpoints(void **state)
{
	struct world *world = *state;
	unsigned seen[4] = {0};

	for (uint64_t client = 1; client <= 400; client++) {
		forget(world);
		seen[choose_for(world, client).bytes[15] - 1]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(seen[i], 60, 140);
}

/* A client whose first choice changes when ten more endpoints come, so that only memory holds it.
 */
static uint64_t client_that_would_move(struct world *world)
{
	for (uint64_t client = 1; client < 1000; client++) {
		struct ip_address before, after;

		forget(world);
		publish(world, "10.1.0.1", 2);
		before = choose_for(world, client);
		forget(world);
		publish(world, "10.1.0.1", 12);
		after = choose_for(world, client);
		forget(world);
		publish(world, "10.1.0.1", 2);
		if (!ip_equal(&before, &after))
			return client;
	}
	fail_msg("no client would move");
	return 0;
}

static void test_new_endpoints_move_nobody_before_the_timeout(void **state)
{
	struct world *world = *state;
	uint64_t client = client_that_would_move(world);
	struct ip_address first = choose_for(world, client);

	publish(world, "10.1.0.1", 12);
	world->now_ms += TIMEOUT_S * 1000 - 1;
	assert_same(choose_for(world, client), first);
}

static void test_the_timeout_counts_from_the_last_connection(void **state)
{
	struct world *world = *state;
	uint64_t client = client_that_would_move(world);
	struct ip_address first = choose_for(world, client);

	publish(world, "10.1.0.1", 12);
	for (int i = 0; i < 5; i++) {
		world->now_ms += TIMEOUT_S * 1000 - 1;
		assert_same(choose_for(world, client), first);
	}
}

static void test_after_the_timeout_the_choice_is_free(void **state)
{
	struct world *world = *state;
	uint64_t client = client_that_would_move(world);
	struct ip_address first = choose_for(world, client);
	struct ip_address later;

	publish(world, "10.1.0.1", 12);
	world->now_ms += TIMEOUT_S * 1000;
	later = choose_for(world, client);
	assert_memory_not_equal(later.bytes, first.bytes, sizeof(first.bytes));
}

static void test_affinity_ends_with_the_endpoint(void **state)
{
	struct world *world = *state;

	choose(world);
	publish(world, "10.2.0.1", 3);
	assert_int_equal(choose(world).bytes[13], 2);
}

static uint64_t vip_key(void)
{
	struct ip_address vip = ip_of(VIP);

	return cursor_key_of_vip(&vip, 80, PROTOCOL_TCP);
}

static bool has_served(struct world *world)
{
	return affinity_has_served(world->slots, vip_key(), world->now_ms, TIMEOUT_S);
}

static bool has_left(struct world *world)
{
	return affinity_has_left(world->slots, vip_key(), world->now_ms, TIMEOUT_S);
}

static void test_a_pod_that_has_served_counts_for_the_timeout(void **state)
{
	struct world *world = *state;

	choose(world);
	assert_false(has_served(world)); /* taken, and nobody knows what became of it */
	affinity_served(world->slots, vip_key(), world->now_ms, TIMEOUT_S);
	assert_true(has_served(world));
	choose(world);
	assert_true(has_served(world));
	world->now_ms += TIMEOUT_S * 1000 - 1;
	assert_true(has_served(world));
	world->now_ms++;
	assert_false(has_served(world));
}

static void test_another_port_in_the_slot_has_not_served(void **state)
{
	struct world *world = *state;
	uint64_t other = vip_key() + AFFINITY_SLOTS;

	choose(world);
	affinity_served(world->slots, vip_key(), world->now_ms, TIMEOUT_S);
	affinity_served(world->slots, other, world->now_ms, TIMEOUT_S);
	assert_false(affinity_has_served(world->slots, other, world->now_ms, TIMEOUT_S));
	affinity_leave(world->slots, other, world->now_ms, TIMEOUT_S);
	assert_false(affinity_has_served(world->slots, other, world->now_ms, TIMEOUT_S));
	assert_false(has_served(world));
}

static void test_a_client_that_left_stays_at_the_vip_for_the_timeout(void **state)
{
	struct world *world = *state;

	assert_false(has_left(world));
	affinity_leave(world->slots, vip_key(), world->now_ms, TIMEOUT_S);
	assert_true(has_left(world));
	choose(world); /* a lookup that answers endpoints */
	assert_true(has_left(world));
	world->now_ms += TIMEOUT_S * 1000 - 1;
	assert_true(has_left(world));
	world->now_ms++;
	assert_false(has_left(world));
	choose(world);
	assert_false(has_left(world));
}

static void test_times_that_nobody_writes_are_none(void **state)
{
	struct world *world = *state;

	affinity_leave(world->slots, vip_key(), world->now_ms + 1000, TIMEOUT_S);
	assert_false(has_left(world));
	affinity_served(world->slots, vip_key(), world->now_ms + 1000, TIMEOUT_S);
	assert_false(has_served(world));
}

static void test_garbage_in_the_slots_is_harmless(void **state)
{
	struct world *world = *state;
	uint64_t random = 7;

	for (int round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < sizeof(world->slots) / 8; i++) {
			uint64_t word = (uint64_t)test_random(&random) << 32 | test_random(&random);

			memcpy((char *)world->slots + i * 8, &word, 8);
		}
		choose(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_client_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_processes_without_shared_slots_agree, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_clients_spread_over_the_endpoints, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_new_endpoints_move_nobody_before_the_timeout,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_timeout_counts_from_the_last_connection,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_after_the_timeout_the_choice_is_free, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_affinity_ends_with_the_endpoint, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_pod_that_has_served_counts_for_the_timeout,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_port_in_the_slot_has_not_served, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_client_that_left_stays_at_the_vip_for_the_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_that_nobody_writes_are_none, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_garbage_in_the_slots_is_harmless, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
