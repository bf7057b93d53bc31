/* pick with health: who is passed over, who probes, where a failover goes, and that shares stay
 * even. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "base/hash.h"
#include "support/objects.h"
#include "support/pick_world.h"
#include "support/assert_op.h"

static struct pick_world world;
static struct picked picked;

static int setup(void **state)
{
	(void)state;
	pick_world_init(&world, 3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pick_world_free(&world);
	return 0;
}

static unsigned next(void)
{
	return pick_world_next(&world, &world.state, &picked);
}

static enum health_state look(unsigned number)
{
	struct table_endpoint endpoint = pick_world_endpoint(number);

	return health_look(&world.memory->health, health_key(&endpoint), world.state.now_ms);
}

static enum pick_result other(const struct table_endpoint *tried, unsigned count)
{
	struct ip_address vip = ip_of(WORLD_VIP);

	return pick_other(table_writer_view(world.writer), &world.state, &vip, 80, PROTOCOL_TCP,
			  tried, count, &picked);
}

static uint64_t counted(enum pick_counter counter)
{
	return world.memory->counters[counter];
}

/* The rest of the round stays even: nobody gets the share of its neighbour. */
static void test_a_dead_endpoint_is_passed_over(void **state)
{
	static const enum pick_policy policies[] = {PICK_ROUND_ROBIN, PICK_RANDOM};

	(void)state;
	for (unsigned p = 0; p < 2; p++) {
		for (unsigned count = 2; count <= 12; count++) {
			const unsigned picks = 5000 * (count - 1);
			unsigned counts[12] = {0};
			unsigned dead = count / 2;

			world.state.policy = policies[p];
			world.state.now_ms += HEALTH_LONGEST_MS + HEALTH_KEEP_MS;
			pick_world_put(&world, count, 0);
			pick_world_fail(&world, dead);
			for (unsigned i = 0; i < picks; i++)
				counts[next()]++;
			for (unsigned i = 0; i < count; i++) {
				if (i == dead)
					assert_int_equal(counts[i], 0);
				else if (policies[p] == PICK_ROUND_ROBIN)
					assert_in_range(counts[i], 4999, 5001);
				else
					assert_in_range(counts[i], 4650, 5350); /* 5 sigma */
			}
		}
	}
	assert_int_equal(counted(PICK_COUNT_EJECTIONS), 2 * 11);
}

/* A lost node: its pods are neighbours, and more than the turns that one pick takes. */
static void test_a_long_run_of_dead_ones(void **state)
{
	unsigned counts[100] = {0};

	(void)state;
	pick_world_put(&world, 100, 0);
	for (unsigned i = 0; i < 50; i++)
		pick_world_fail(&world, 20 + i);
	for (unsigned i = 0; i < 50000; i++)
		counts[next()]++;
	for (unsigned i = 0; i < 100; i++) {
		if (i >= 20 && i < 70)
			assert_int_equal(counts[i], 0);
		else
			assert_in_range(counts[i], 800, 1200); /* of 1000 */
	}
}

/* Up to half are avoided; of more than half none is; one alone never is. */
static void test_never_more_than_half(void **state)
{
	(void)state;
	for (unsigned affinity_s = 0; affinity_s <= WORLD_AFFINITY_S;
	     affinity_s += WORLD_AFFINITY_S) {
		for (unsigned count = 1; count <= 9; count++) {
			for (unsigned ejected = 0; ejected <= count; ejected++) {
				unsigned seen_ejected = 0;

				memset(world.memory, 0, sizeof(*world.memory));
				pick_world_put(&world, count, affinity_s);
				for (unsigned i = 0; i < ejected; i++)
					pick_world_fail(&world, i);
				for (unsigned i = 0; i < 60 * count; i++) {
					world.state.client = i;
					memset(world.memory->affinity, 0,
					       sizeof(world.memory->affinity));
					seen_ejected += look(next()) == HEALTH_EJECTED;
				}
				if (2 * ejected <= count)
					assert_int_equal(seen_ejected, 0);
				else if (affinity_s == 0)
					assert_int_equal(seen_ejected, 60 * ejected);
				else
					assert_in_range(seen_ejected, 30 * ejected, 60 * count);
			}
		}
	}
}

/* Nothing is asked and nothing written for one endpoint alone. */
static void test_one_endpoint_is_never_a_probe(void **state)
{
	struct health before;

	(void)state;
	pick_world_put(&world, 1, 0);
	pick_world_fail(&world, 0);
	assert_int_equal(next(), 0);
	world.state.now_ms += 20000;
	before = world.memory->health;
	assert_int_equal(next(), 0);
	assert_memory_equal(&world.memory->health, &before, sizeof(before));
}

/* How many of the next picks were probes: nobody else is given the dead one. */
static unsigned probes_of(unsigned picks, unsigned dead)
{
	unsigned probes = 0;

	for (unsigned i = 0; i < picks; i++)
		probes += next() == dead;
	return probes;
}

static void test_one_pick_probes(void **state)
{
	(void)state;
	pick_world_fail(&world, 1);
	assert_int_equal(probes_of(30, 1), 0);
	world.state.now_ms += 10000;
	assert_int_equal(probes_of(30, 1), 1);
	world.state.now_ms += world.state.rules.probe_ms - 1;
	assert_int_equal(probes_of(30, 1), 0);
	pick_world_fail(&world, 1);
	world.state.now_ms += 10000 - 1;
	assert_int_equal(probes_of(30, 1), 0);
	world.state.now_ms += 10001;
	assert_int_equal(probes_of(30, 1), 1);
	/* Without an outcome the next one comes after the probe's time. */
	world.state.now_ms += world.state.rules.probe_ms;
	assert_int_equal(probes_of(30, 1), 1);
	pick_world_succeed(&world, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(next(), next());
}

/* A dead one of three: one try for each ejection, in all of an hour; the others share the rest. */
static void test_tries_of_a_dead_endpoint(void **state)
{
	uint64_t end_ms = world.state.now_ms + 3600000;
	uint64_t last_try_ms = 0;
	uint64_t least_ms = 0;
	unsigned counts[3] = {0};

	(void)state;
	while (world.state.now_ms < end_ms) {
		unsigned number = next();

		counts[number]++;
		if (number != 1) {
			pick_world_succeed(&world, number);
		} else {
			assert_op(world.state.now_ms - last_try_ms, >=, least_ms);
			least_ms = least_ms ? 2 * least_ms : 5000;
			if (least_ms > HEALTH_LONGEST_MS / 2)
				least_ms = HEALTH_LONGEST_MS / 2;
			last_try_ms = world.state.now_ms;
			pick_world_fail(&world, number);
		}
		world.state.now_ms += 10;
	}
	/* 5 to 10 s, 10 to 20, .. then 150 to 300 s each. */
	assert_in_range(counts[1], 12, 30);
	assert_int_equal(counted(PICK_COUNT_EJECTIONS), counts[1]);
	assert_in_range(counts[0] * 100 / counts[2], 99, 101);
}

/* Endpoints die and come back, processes come and go; what must hold at each pick. */
static void simulate(uint64_t random, unsigned steps)
{
	enum { ENDPOINTS = 12, PROCESSES = 4 };
	struct pick_state processes[PROCESSES];
	bool dead[ENDPOINTS] = {false};
	uint64_t probing_until_ms[ENDPOINTS] = {0};
	unsigned count = ENDPOINTS;

	pick_world_put(&world, count, 0);
	for (unsigned i = 0; i < PROCESSES; i++)
		processes[i] = pick_world_process(&world, i);
	for (unsigned step = 0; step < steps; step++) {
		struct pick_state *process = &processes[test_random(&random) % PROCESSES];
		enum health_state before[ENDPOINTS];
		unsigned ejected = 0;
		unsigned number;

		world.state.now_ms += test_random(&random) % 200;
		process->now_ms = world.state.now_ms;
		if (test_random(&random) % 500 == 0) {
			count = 1 + test_random(&random) % ENDPOINTS;
			pick_world_put(&world, count, 0);
		}
		if (test_random(&random) % 100 == 0)
			dead[test_random(&random) % ENDPOINTS] = test_random(&random) % 2;
		for (unsigned i = 0; i < count; i++) {
			before[i] = look(i);
			ejected += before[i] == HEALTH_EJECTED;
		}
		number = pick_world_next(&world, process, &picked);
		assert_in_range(number, 0, count - 1);
		if (count > 1 && before[number] == HEALTH_HALF_OPEN) {
			assert_op(probing_until_ms[number], <=, world.state.now_ms);
			probing_until_ms[number] = world.state.now_ms + process->rules.probe_ms;
		} else if (count > 1 && 2 * ejected <= count) {
			assert_int_not_equal(before[number], HEALTH_EJECTED);
		}
		if (test_random(&random) % 20 == 0)
			continue; /* killed before it could report */
		probing_until_ms[number] = 0;
		if (dead[number])
			pick_failed(process, &picked.endpoint);
		else
			pick_succeeded(process, &picked.endpoint);
	}
}

static void test_random_lives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < test_count(10, 200); i++) {
		memset(world.memory, 0, sizeof(*world.memory));
		simulate(i * 1000003, 5000);
	}
}

/* A new pod on the address of one that is ejected. */
static void test_a_new_uid_starts_clean(void **state)
{
	struct table_endpoint old = pick_world_endpoint(1);
	unsigned counts[3] = {0};

	(void)state;
	old.uid_hash = 4711;
	pick_failed(&world.state, &old);
	for (unsigned i = 0; i < 30; i++)
		counts[next()]++;
	assert_int_equal(counts[1], 10);
}

/* The client moves to its next best, and stays there when the first is back. */
static void test_affinity_moves_once(void **state)
{
	unsigned first;
	unsigned second;

	(void)state;
	pick_world_put(&world, 5, WORLD_AFFINITY_S);
	first = next();
	assert_int_equal(next(), first);
	pick_world_fail(&world, first);
	second = next();
	assert_int_not_equal(second, first);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(next(), second);
	pick_world_succeed(&world, first);
	assert_int_equal(next(), second);
	/* Another process of the client that has no note of it comes to the same place. */
	pick_world_fail(&world, first);
	memset(world.memory->affinity, 0, sizeof(world.memory->affinity));
	assert_int_equal(next(), second);
}

static void test_affinity_probes(void **state)
{
	unsigned first;

	(void)state;
	pick_world_put(&world, 5, WORLD_AFFINITY_S);
	first = next();
	pick_world_fail(&world, first);
	memset(world.memory->affinity, 0, sizeof(world.memory->affinity));
	world.state.now_ms += 10000;
	assert_int_equal(next(), first);
	/* It is noted as this client's; others of it pass it over until the outcome. */
	assert_int_not_equal(next(), first);
}

/* A failover goes to each other endpoint before there is none left. */
static void test_failover_tries_all(void **state)
{
	static const enum pick_policy policies[] = {PICK_ROUND_ROBIN, PICK_RANDOM};

	(void)state;
	for (unsigned affinity_s = 0; affinity_s <= WORLD_AFFINITY_S;
	     affinity_s += WORLD_AFFINITY_S) {
		for (unsigned run = 0; run < 2 * PICK_TRIED; run++) {
			struct table_endpoint tried[PICK_TRIED];
			unsigned count = 1 + run / 2;
			uint32_t seen = 0;

			world.state.policy = policies[run % 2];
			memset(world.memory, 0, sizeof(*world.memory));
			pick_world_put(&world, count, affinity_s);
			seen |= 1u << next();
			tried[0] = picked.endpoint;
			for (unsigned i = 1; i < count; i++) {
				pick_failed(&world.state, &tried[i - 1]);
				assert_int_equal(other(tried, i), PICK_ENDPOINT);
				seen |= 1u << pick_world_number(&picked.endpoint);
				tried[i] = picked.endpoint;
			}
			assert_int_equal(seen, (1u << count) - 1);
			assert_int_equal(other(tried, count), PICK_EXHAUSTED);
			assert_int_equal(counted(PICK_COUNT_FAILOVERS), count - 1);
		}
	}
}

/* Good ones come first, whatever is ejected, and by turns. */
static void test_failover_prefers_good_ones(void **state)
{
	unsigned counts[8] = {0};
	struct table_endpoint tried = pick_world_endpoint(0);

	(void)state;
	pick_world_put(&world, 8, 0);
	for (unsigned i = 0; i < 6; i++)
		pick_world_fail(&world, i);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(other(&tried, 1), PICK_ENDPOINT);
		counts[pick_world_number(&picked.endpoint)]++;
	}
	assert_int_equal(counts[6] + counts[7], 100);
	assert_in_range(counts[6], 45, 55);
	/* Half-open is no better than ejected for one who has waited already. */
	world.state.now_ms += 10000;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(other(&tried, 1), PICK_ENDPOINT);
		assert_in_range(pick_world_number(&picked.endpoint), 6, 7);
	}
}

static void test_failover_of_an_affinity_client_is_remembered(void **state)
{
	struct table_endpoint tried;
	unsigned moved_to;

	(void)state;
	pick_world_put(&world, 5, WORLD_AFFINITY_S);
	next();
	tried = picked.endpoint;
	assert_int_equal(other(&tried, 1), PICK_ENDPOINT);
	moved_to = pick_world_number(&picked.endpoint);
	assert_int_not_equal(moved_to, pick_world_number(&tried));
	assert_int_equal(next(), moved_to);
}

/* The pods went away in between: as for a first pick. */
static void test_failover_without_endpoints(void **state)
{
	struct table_endpoint tried;

	(void)state;
	next();
	tried = picked.endpoint;
	pick_world_put(&world, 0, 0);
	assert_int_equal(other(&tried, 1), PICK_NO_ENDPOINT);
}

/* A lookup cannot tell what became of the connection: it avoids, and claims nothing. */
static void test_lookups_never_probe(void **state)
{
	struct ip_address vip = ip_of(WORLD_VIP);
	struct found_port found;
	unsigned counts[3] = {0};

	(void)state;
	assert_int_equal(pick_find(table_writer_view(world.writer), &vip, 80, PROTOCOL_TCP, &found),
			 PICK_ENDPOINT);
	pick_world_fail(&world, 1);
	for (unsigned i = 0; i < 30; i++)
		counts[pick_index(&world.state, &found.read, 99, &found.port)]++;
	assert_int_equal(counts[0], 15);
	assert_int_equal(counts[1], 0);
	world.state.now_ms += 10000;
	for (unsigned i = 0; i < 30; i++)
		counts[pick_index(&world.state, &found.read, 99, &found.port)]++;
	assert_int_equal(counts[1], 10);
	/* The probe is still to be had. */
	assert_int_equal(probes_of(30, 1), 1);
}

static void test_counters(void **state)
{
	struct table_endpoint tried;

	(void)state;
	next();
	tried = picked.endpoint;
	pick_failed(&world.state, &tried);
	assert_int_equal(other(&tried, 1), PICK_ENDPOINT);
	pick_failed(&world.state, &picked.endpoint);
	pick_gave_up(&world.state);
	assert_int_equal(counted(PICK_COUNT_EJECTIONS), 2);
	assert_int_equal(counted(PICK_COUNT_FAILOVERS), 1);
	assert_int_equal(counted(PICK_COUNT_ALL_FAILED), 1);
}

/* A list may shrink while one is tried. */
static void test_what_is_untried_is_so_in_the_list_as_it_is(void **state)
{
	struct table_endpoint all[4] = {pick_world_endpoint(0), pick_world_endpoint(1),
					pick_world_endpoint(2), pick_world_endpoint(7)};
	struct ip_address vip = ip_of(WORLD_VIP);
	struct found_port found;

	(void)state;
	assert_int_equal(pick_find(table_writer_view(world.writer), &vip, 80, PROTOCOL_TCP, &found),
			 PICK_ENDPOINT);
	assert_true(pick_finds_untried(&found, &all[0], NULL, 0));
	assert_true(pick_finds_untried(&found, &all[0], &all[1], 1));
	assert_false(pick_finds_untried(&found, &all[0], &all[1], 2));
	/* Those that were tried have gone, as has the one that is under way. */
	assert_false(pick_finds_untried(&found, &all[3], &all[0], 3));
	assert_true(pick_finds_untried(&found, &all[2], &all[3], 1));
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_what_is_untried_is_so_in_the_list_as_it_is),
		case_of(test_a_dead_endpoint_is_passed_over),
		case_of(test_a_long_run_of_dead_ones),
		case_of(test_never_more_than_half),
		case_of(test_one_endpoint_is_never_a_probe),
		case_of(test_one_pick_probes),
		case_of(test_tries_of_a_dead_endpoint),
		case_of(test_random_lives),
		case_of(test_a_new_uid_starts_clean),
		case_of(test_affinity_moves_once),
		case_of(test_affinity_probes),
		case_of(test_failover_tries_all),
		case_of(test_failover_prefers_good_ones),
		case_of(test_failover_of_an_affinity_client_is_remembered),
		case_of(test_failover_without_endpoints),
		case_of(test_lookups_never_probe),
		case_of(test_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
