/* backoff: the pauses of client-go's reflector. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/backoff.h"
#include "support/assert_op.h"

#define NO_JITTER   0u
#define MOST_JITTER 0xffffffffu

/* With the default delay of 5 s the pauses are 0.83 s, doubled, up to 30 s. */
static void test_pauses_double_up_to_the_cap(void **state)
{
	static const uint32_t expected_ms[] = {833,   1666,  3332,  6664, 13328,
					       26656, 30000, 30000, 30000};
	struct backoff backoff;
	uint64_t now_ms = 1000;

	(void)state;
	backoff_init(&backoff, 5000);
	for (unsigned i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
		uint32_t pause_ms = backoff_next(&backoff, now_ms, NO_JITTER);

		assert_int_equal(pause_ms, expected_ms[i]);
		now_ms += pause_ms;
	}
}

/* The jitter draws from [d, 2d): never less, never quite double. */
static void test_jitter_bounds(void **state)
{
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, 5000);
	assert_int_equal(backoff_next(&backoff, 1000, MOST_JITTER), 2 * 833 - 1);
	for (uint32_t random = 0; random < 0xf0000000u; random += 0x01234567) {
		backoff_init(&backoff, 5000);
		assert_in_range(backoff_next(&backoff, 1000, random), 833, 2 * 833 - 1);
	}
	backoff_init(&backoff, 5000);
	assert_int_equal(backoff_cap(&backoff, 1000, MOST_JITTER), 59999);
}

/* Two minutes after the end of the last pause it starts again; not a moment sooner, and the pause
 * itself does not count. */
static void test_resets_after_two_good_minutes(void **state)
{
	struct backoff backoff;
	uint64_t now_ms = 1000;

	(void)state;
	backoff_init(&backoff, 5000);
	now_ms += backoff_next(&backoff, now_ms, NO_JITTER);
	now_ms += backoff_next(&backoff, now_ms + BACKOFF_RESET_MS, NO_JITTER) + BACKOFF_RESET_MS;
	assert_int_equal(backoff_next(&backoff, now_ms, NO_JITTER), 3332);
	now_ms += 3332 + BACKOFF_RESET_MS + 1;
	assert_int_equal(backoff_next(&backoff, now_ms, NO_JITTER), 833);
}

/* The longest pause at once, and the next one is as long. */
static void test_cap_at_once(void **state)
{
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, 5000);
	assert_int_equal(backoff_cap(&backoff, 1000, NO_JITTER), 30000);
	assert_int_equal(backoff_next(&backoff, 31000, NO_JITTER), 30000);
	/* Also long after the last failure. */
	assert_int_equal(backoff_cap(&backoff, 10 * BACKOFF_RESET_MS, NO_JITTER), 30000);
}

/* The smallest and the largest delay make pauses that grow, without an overflow. */
static void test_extreme_delays(void **state)
{
	static const uint32_t delays_ms[] = {0, 1, 5, 6, 3600 * 1000};

	(void)state;
	for (unsigned i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
		struct backoff backoff;
		uint32_t last_ms = 0;

		backoff_init(&backoff, delays_ms[i]);
		for (unsigned n = 0; n < 40; n++) {
			uint32_t pause_ms = backoff_next(&backoff, 1000, NO_JITTER);

			assert_op(pause_ms, >=, 1u);
			assert_in_range(pause_ms, last_ms, 6 * delays_ms[i] + 1);
			last_ms = pause_ms;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses_double_up_to_the_cap),
		cmocka_unit_test(test_jitter_bounds),
		cmocka_unit_test(test_resets_after_two_good_minutes),
		cmocka_unit_test(test_cap_at_once),
		cmocka_unit_test(test_extreme_delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
