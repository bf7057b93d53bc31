/* The rounds that a process goes by itself, from where the shared cursor lets it begin. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_process_goes_round_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
