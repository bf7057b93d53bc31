/* How old a table may become while the API server is away: an hour, a day, with a clock set by
 * hand. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "pipeline/age.h"

#define HOUR_S 3600u
#define DAY_S  (24u * HOUR_S)

static const uint64_t heard_s = 1800000000;

static enum table_state after(uint64_t seconds, uint32_t max_age_s)
{
	return age_of_table(false, heard_s + seconds, heard_s, max_age_s);
}

static void the_default_is_an_hour(void **state)
{
	(void)state;
	for (uint64_t s = 0; s <= HOUR_S; s++)
		assert_int_equal(after(s, HOUR_S), TABLE_UNHEARD);
	for (uint64_t s = HOUR_S + 1; s <= 2 * DAY_S; s++)
		assert_int_equal(after(s, HOUR_S), TABLE_EXPIRED);
}

static void a_day_or_for_ever(void **state)
{
	(void)state;
	assert_int_equal(after(DAY_S, DAY_S), TABLE_UNHEARD);
	assert_int_equal(after(DAY_S + 1, DAY_S), TABLE_EXPIRED);
	assert_int_equal(after(365u * DAY_S, 0), TABLE_UNHEARD);
}

static void heard_again(void **state)
{
	(void)state;
	assert_int_equal(age_of_table(true, heard_s + DAY_S, heard_s, HOUR_S), TABLE_LIVE);
	assert_int_equal(age_of_table(false, heard_s + DAY_S, heard_s + DAY_S - 1, HOUR_S),
			 TABLE_UNHEARD);
}

static void a_clock_that_jumps(void **state)
{
	(void)state;
	assert_int_equal(age_of_table(false, heard_s - 1, heard_s, HOUR_S), TABLE_EXPIRED);
	assert_int_equal(age_of_table(false, heard_s, 0, HOUR_S), TABLE_EXPIRED);
	assert_int_equal(age_of_table(false, heard_s, UINT64_MAX, HOUR_S), TABLE_EXPIRED);
	assert_int_equal(age_of_table(false, heard_s, UINT64_MAX, 0), TABLE_UNHEARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_is_an_hour),
		cmocka_unit_test(a_day_or_for_ever),
		cmocka_unit_test(heard_again),
		cmocka_unit_test(a_clock_that_jumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
