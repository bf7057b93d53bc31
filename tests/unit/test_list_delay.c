/* list delay: who lists at once, who spreads it, and how chains of short programs are slowed down.
 */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/list_delay.h"

#define NEVER	  UINT64_MAX
#define LATEST_MS 999 /* of the spread */

/* A process that follows, and whose writer has just ended. */
static const struct list_delay promoted = {
	.readable = true,
	.shown = true,
	.lived_ms = 3600 * 1000,
	.table_age_ms = 40000,
	.since_begun_ms = NEVER,
};

/* The first process after all others have ended. */
static const struct list_delay first = {
	.readable = true,
	.lived_ms = 2,
	.table_age_ms = 40000,
	.since_begun_ms = NEVER,
};

/* The delay, without the spread and at its end. */
static void expect_delay(struct list_delay asks, uint32_t earliest_ms)
{
	assert_int_equal(list_delay_ms(&asks, 0), earliest_ms);
	assert_int_equal(list_delay_ms(&asks, LATEST_MS), earliest_ms + LATEST_MS);
}

static void expect_at_once(struct list_delay asks)
{
	assert_int_equal(list_delay_ms(&asks, 0), 0);
	assert_int_equal(list_delay_ms(&asks, LATEST_MS), 0);
}

static void test_a_first_table_is_listed_at_once(void **state)
{
	struct list_delay asks = first;

	(void)state;
	asks.readable = false;
	expect_at_once(asks);
	/* Whatever others have tried, and though it was heard a moment ago. */
	asks.unfinished = 9;
	asks.since_begun_ms = 0;
	asks.table_age_ms = 0;
	expect_at_once(asks);
}

static void test_what_has_expired_is_listed_at_once(void **state)
{
	struct list_delay asks = promoted;

	(void)state;
	asks.readable = false;
	expect_at_once(asks);
}

static void test_what_is_too_old_to_be_shown_is_listed_at_once(void **state)
{
	(void)state;
	expect_at_once(first);
}

static void test_where_a_table_serves_lists_are_spread(void **state)
{
	struct list_delay asks = promoted;

	(void)state;
	expect_delay(asks, 0);
	asks = first;
	asks.table_age_ms = 1000;
	expect_delay(asks, 0);
	/* Over all of a second. */
	assert_int_equal(list_delay_ms(&asks, LATEST_MS + 1), 0);
	assert_int_equal(list_delay_ms(&asks, LATEST_MS + 1 + 500), 500);
}

static void test_a_young_process_leaves_a_fresh_table_alone(void **state)
{
	struct list_delay asks = first;

	(void)state;
	asks.table_age_ms = 0;
	expect_delay(asks, 998);
	asks.lived_ms = 999;
	expect_delay(asks, 1);
	asks.lived_ms = 1000;
	expect_delay(asks, 0);
}

static void test_lists_that_nobody_finishes_back_off(void **state)
{
	static const uint32_t pauses_ms[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct list_delay asks = first;

	(void)state;
	/* One that will live: no longer than a list may take. */
	for (unsigned i = 0; i < 7; i++) {
		uint32_t most_ms = pauses_ms[i] < 9998 ? pauses_ms[i] : 9998;

		asks.unfinished = i + 1;
		asks.since_begun_ms = 0;
		expect_delay(asks, most_ms);
		asks.since_begun_ms = pauses_ms[i] - 1;
		expect_delay(asks, 1);
		asks.since_begun_ms = pauses_ms[i];
		expect_at_once(asks);
	}
	asks.unfinished = NEVER;
	asks.since_begun_ms = 59999;
	expect_delay(asks, 1);
}

static void test_who_has_lived_for_long_enough_does_not_back_off(void **state)
{
	struct list_delay asks = promoted;

	(void)state;
	asks.unfinished = 9;
	asks.since_begun_ms = 0;
	expect_delay(asks, 0);
	asks.lived_ms = 9000;
	expect_delay(asks, 1000);
}

static void test_the_longer_one_counts(void **state)
{
	struct list_delay asks = first;

	(void)state;
	asks.table_age_ms = 0;
	asks.unfinished = 1;
	asks.since_begun_ms = 1500;
	expect_delay(asks, 998);
	asks.since_begun_ms = 500;
	expect_delay(asks, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_first_table_is_listed_at_once),
		cmocka_unit_test(test_what_has_expired_is_listed_at_once),
		cmocka_unit_test(test_what_is_too_old_to_be_shown_is_listed_at_once),
		cmocka_unit_test(test_where_a_table_serves_lists_are_spread),
		cmocka_unit_test(test_a_young_process_leaves_a_fresh_table_alone),
		cmocka_unit_test(test_lists_that_nobody_finishes_back_off),
		cmocka_unit_test(test_who_has_lived_for_long_enough_does_not_back_off),
		cmocka_unit_test(test_the_longer_one_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
