/* The rounds that a process goes by itself, from where the shared cursor lets it begin. */
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "base/atomic.h"
#include "support/pick_world.h"

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
	for (unsigned i = 0; i < 2; i++)
		pick_process_free(&processes[i]);
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
		take_ticket_u32(starter->arrived);
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
	pick_process_free(&process);
	pick_world_free(&world);
	free(rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_begin_a_round_together),
		cmocka_unit_test(test_each_process_goes_round_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
