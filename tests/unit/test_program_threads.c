/* program_threads: one thread is known for sure, and every other answer is no. */
// SPDX-License-Identifier: Apache-2.0
#include "engine/program_threads.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"

static uint32_t may_leave;

static void *stay(void *unused)
{
	while (!observe_u32(&may_leave)) /* published by the test */
		usleep(100);
	return unused;
}

/* A sanitizer may begin a thread of its own with the first one, so numbers are compared with that. */
static void test_each_thread_counts(void **state)
{
	unsigned before = process_threads();
	enum program_threads first = program_threads(false);
	pthread_t threads[2];
	unsigned with_one;

	(void)state;
	assert_true(before >= 1);
	assert_int_equal(first, before == 1 ? PROGRAM_HAS_ONE : PROGRAM_HAS_MORE);
	publish_u32(&may_leave, 0);
	assert_int_equal(pthread_create(&threads[0], NULL, stay, NULL), 0);
	with_one = process_threads();
	assert_true(with_one > before);
	assert_int_equal(program_threads(false), PROGRAM_HAS_MORE);
	assert_int_equal(pthread_create(&threads[1], NULL, stay, NULL), 0);
	assert_int_equal(process_threads(), with_one + 1);
	/* An engine that was started and has no number yet, or no more. */
	assert_int_equal(program_threads(true), PROGRAM_IN_A_CHANGE);
	publish_u32(&may_leave, 1);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* The kernel may count them for some microseconds on. */
	for (unsigned i = 0; i < 10000 && process_threads() > with_one - 1; i++)
		usleep(100);
	assert_int_equal(process_threads(), with_one - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_thread_counts),
	};

	return cmocka_run_group_tests_name("program_threads", tests, NULL, NULL);
}
