/* The rounds that a process goes by itself, from where the shared cursor lets it begin. */
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "base/atomic.h"
#include "support/pick_world.h"
#include "support/assert_op.h"

#define PODS 10

/* With rounds of their own: each program goes round by itself, whoever else connects meanwhile, and
 * many that make few connections each are even together. */
static void test_each_process_goes_round_by_itself(void **state)
{
	struct cursor_slot *rounds = calloc(2 * CURSOR_SLOTS, sizeof(*rounds));
	struct pick_state processes[2];
	unsigned of_all[PODS] = {0};
	unsigned of_each[2][PODS] = {{0}};
	struct pick_world world;
	struct picked picked;

	(void)state;
	assert_non_null(rounds);
	pick_world_init(&world, PODS);
	for (unsigned i = 0; i < 2; i++) {
		processes[i] = pick_world_process(&world, i + 1);
		processes[i].rounds = rounds + i * CURSOR_SLOTS;
	}
	for (unsigned i = 0; i < 30 * PODS; i++)
		of_each[i % 3 == 0][pick_world_next(&world, &processes[i % 3 == 0], &picked)]++;
	for (unsigned i = 0; i < PODS; i++) {
		assert_int_equal(of_each[0][i], 20);
		assert_int_equal(of_each[1][i], 10);
	}
	/* Forked children have the parent's memory and another seed. */
	for (unsigned seed = 100; seed < 100 + 10 * PODS; seed++) {
		processes[0].seed = seed;
		for (unsigned i = 0; i < 3; i++)
			of_all[pick_world_next(&world, &processes[0], &picked)]++;
	}
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(of_all[i], 30);
	pick_world_free(&world);
	free(rounds);
}

#define STARTS 4000
#define PICKS  (PODS / 2)

struct starter {
	struct pick_world *world;
	struct pick_state *process;
	uint32_t *arrived;
	unsigned counts[STARTS][PODS];
};

static void *start_rounds(void *of_starter)
{
	struct starter *starter = of_starter;
	struct pick_state process = *starter->process;
	struct picked picked;

	for (unsigned start = 0; start < STARTS; start++) {
		process.seed = start + 1;
		__atomic_fetch_add(starter->arrived, 1, __ATOMIC_RELAXED);
		while (peek_u32(starter->arrived) < 2 * (start + 1))
			sched_yield();
		for (unsigned i = 0; i < PICKS; i++)
			starter->counts[start]
				       [pick_world_next(starter->world, &process, &picked)]++;
	}
	return NULL;
}

/* The first connections of a process, in two threads: the one that came while the other one began
 * the round got turns 0, 1, 2 and not those that follow. */
static void test_threads_begin_a_round_together(void **state)
{
	static struct starter starters[2];
	struct cursor_slot *rounds = calloc(CURSOR_SLOTS, sizeof(*rounds));
	struct pick_world world;
	struct pick_state process;
	uint32_t arrived = 0;
	pthread_t other;

	(void)state;
	assert_non_null(rounds);
	pick_world_init(&world, PODS);
	process = pick_world_process(&world, 1);
	process.rounds = rounds;
	for (unsigned i = 0; i < 2; i++) {
		starters[i].world = &world;
		starters[i].process = &process;
		starters[i].arrived = &arrived;
	}
	assert_int_equal(pthread_create(&other, NULL, start_rounds, &starters[1]), 0);
	start_rounds(&starters[0]);
	assert_int_equal(pthread_join(other, NULL), 0);
	for (unsigned start = 0; start < STARTS; start++)
		for (unsigned pod = 0; pod < PODS; pod++)
			assert_int_equal(
				starters[0].counts[start][pod] + starters[1].counts[start][pod], 1);
	pick_world_free(&world);
	free(rounds);
}

static struct cursor_slot own_rounds[CURSOR_SLOTS];

/* All slots are other ports'. */
static void fill(struct cursor_slot *all)
{
	for (unsigned i = 0; i < CURSOR_SLOTS; i++)
		all[i].word = 1;
}

static void assert_untouched(const struct cursor_slot *all)
{
	for (unsigned i = 0; i < CURSOR_SLOTS; i++)
		assert_int_equal(all[i].word, 1);
}

/* As many of each: chi-square of 9 degrees is below 60 but once in 10^9. */
static void assert_uniform(const unsigned counts[PODS], unsigned of_each)
{
	double chi_square = 0;

	for (unsigned i = 0; i < PODS; i++)
		chi_square +=
			(counts[i] - (double)of_each) * (counts[i] - (double)of_each) / of_each;
	assert_op(chi_square, <, 60);
}

/* No shared cursor is left: each process goes round exactly, and they begin anywhere. */
static void test_without_a_shared_cursor(void **state)
{
	struct pick_world world;
	unsigned starts[PODS] = {0};

	(void)state;
	pick_world_init(&world, PODS);
	world.state.rounds = own_rounds;
	fill(world.memory->cursors);
	for (unsigned process = 0; process < 100 * PODS; process++) {
		struct picked picked;
		unsigned first;

		memset(own_rounds, 0, sizeof(own_rounds));
		world.state.seed = process;
		first = pick_world_next(&world, &world.state, &picked);
		starts[first]++;
		for (unsigned i = 1; i < 2 * PODS; i++)
			assert_int_equal(pick_world_next(&world, &world.state, &picked),
					 (first + i) % PODS);
	}
	assert_uniform(starts, 100);
	assert_untouched(world.memory->cursors);
	pick_world_free(&world);
}

/* Nor one of the process's own: turns are random, and the ports that have the slots go on with
 * their rounds. */
static void test_without_any_cursor(void **state)
{
	struct pick_world world;
	unsigned counts[PODS] = {0};

	(void)state;
	pick_world_init(&world, PODS);
	world.state.rounds = own_rounds;
	fill(world.memory->cursors);
	fill(own_rounds);
	for (unsigned i = 0; i < 1000 * PODS; i++) {
		struct picked picked;

		counts[pick_world_next(&world, &world.state, &picked)]++;
	}
	assert_uniform(counts, 1000);
	assert_untouched(world.memory->cursors);
	assert_untouched(own_rounds);
	pick_world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_begin_a_round_together),
		cmocka_unit_test(test_each_process_goes_round_by_itself),
		cmocka_unit_test(test_without_a_shared_cursor),
		cmocka_unit_test(test_without_any_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
