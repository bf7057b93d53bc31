/* undisturbed: what comes meanwhile comes afterwards, and as it would have come without. */
// SPDX-License-Identifier: Apache-2.0
#include "base/undisturbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"

static uint32_t stage;
static sigjmp_buf left;

static void await(uint32_t wanted)
{
	while (observe_u32(&stage) != wanted) /* pairs with say() */
		usleep(100);
}

static void say(uint32_t now)
{
	publish_u32(&stage, now); /* observed in await() */
}

static void *be_cancelled(void *type)
{
	struct undisturbed before;

	pthread_setcanceltype((int)(intptr_t)type, NULL);
	undisturbed_begin(&before);
	say(1);
	await(2);
	undisturbed_end(&before);
	for (;;)
		pause();
	return NULL;
}

static void test_who_is_cancelled_is_said_to_be(void **state)
{
	/* In this order: glibc gives a thread the memory of one that has ended, its result and all. */
	const int types[] = {PTHREAD_CANCEL_ASYNCHRONOUS, PTHREAD_CANCEL_DEFERRED};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		pthread_t thread;
		void *result = NULL;

		say(0);
		assert_int_equal(
			pthread_create(&thread, NULL, be_cancelled, (void *)(intptr_t)types[i]), 0);
		await(1);
		assert_int_equal(pthread_cancel(thread), 0);
		say(2);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, PTHREAD_CANCELED);
	}
}

static void leave(int number)
{
	(void)number;
	siglongjmp(left, 1);
}

static void test_a_handler_that_leaves_leaves_nothing(void **state)
{
	struct undisturbed before;
	int cancellation = -1;
	int type = -1;
	sigset_t signals;

	(void)state;
	signal(SIGUSR1, leave);
	if (sigsetjmp(left, 1) == 0) {
		undisturbed_begin(&before);
		raise(SIGUSR1);
		undisturbed_end(&before);
		fail();
	}
	pthread_sigmask(SIG_SETMASK, NULL, &signals);
	assert_int_equal(sigismember(&signals, SIGUSR1), 0);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancellation);
	assert_int_equal(cancellation, PTHREAD_CANCEL_ENABLE);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	assert_int_equal(type, PTHREAD_CANCEL_DEFERRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_cancelled_is_said_to_be),
		cmocka_unit_test(test_a_handler_that_leaves_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
