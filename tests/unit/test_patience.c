/* patience: how long a try may take after connections that were slow, by a connect() of this test. */
// SPDX-License-Identifier: Apache-2.0
#include "patience.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "libc.h"
#include "state.h"
#include "support/assert_op.h"

#define OURS_MS 100u
#define TICK_MS 10u /* of the clock that is read, and some */

struct shim shim = {.config = {.connect_timeout_ms = OURS_MS}};

static uint32_t takes_ms;
static int fails_with;
static uint32_t has_user_timeout;

int libc_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct timespec pause = {.tv_sec = takes_ms / 1000,
				 .tv_nsec = (long)(takes_ms % 1000) * 1000000};

	(void)fd;
	(void)addr;
	(void)len;
	while (nanosleep(&pause, &pause) < 0)
		;
	errno = fails_with;
	return fails_with ? -1 : 0;
}

int libc_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	(void)fd;
	(void)addr;
	(void)len;
	errno = ENOTCONN;
	return -1;
}

int libc_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return getsockopt(fd, level, name, value, size);
}

int libc_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	(void)fd;
	assert_int_equal(level, IPPROTO_TCP);
	assert_int_equal(name, TCP_USER_TIMEOUT);
	assert_int_equal(size, sizeof(has_user_timeout));
	memcpy(&has_user_timeout, value, size);
	return 0;
}

/* How long the next try may take. */
static uint32_t limit_ms(void)
{
	struct patience patience = {.fd = -1};

	patience_bound(&patience);
	return patience.limit_ms;
}

/* A connection that takes so long or, on a busy machine, longer. Returns how long, ms. */
static uint32_t connects(uint32_t wanted_ms, int error)
{
	const struct sockaddr_in nowhere = {.sin_family = AF_INET};
	struct patience patience = {.fd = -1};
	uint64_t began_ms = clock_monotonic_ms();
	int rc;

	takes_ms = wanted_ms;
	fails_with = error;
	rc = patience_connect(&patience, (const struct sockaddr *)&nowhere, sizeof(nowhere));
	assert_int_equal(rc, error ? -1 : 0);
	return (uint32_t)(clock_monotonic_ms() - began_ms);
}

/* By a socket of which nothing was seen but that it was made. */
static void connects_new(void)
{
	const struct sockaddr_in nowhere = {.sin_family = AF_INET};
	struct patience patience = {.fd = -1, .is_new = true};

	takes_ms = 0;
	fails_with = 0;
	patience_bound(&patience);
	assert_int_equal(
		patience_connect(&patience, (const struct sockaddr *)&nowhere, sizeof(nowhere)), 0);
}

/* In this order: what was learned counts for a minute. */
static void test_the_bound_grows_with_what_was_seen(void **state)
{
	uint32_t took_ms;
	int tries = 0;

	(void)state;
	assert_int_equal(limit_ms(), OURS_MS);
	connects(1, 0);
	assert_int_equal(limit_ms(), OURS_MS);
	/* Failures say nothing of those that answer, nor do connections whose first SYN was lost. */
	connects(4 * OURS_MS, ETIMEDOUT);
	assert_int_equal(limit_ms(), OURS_MS);
	connects(1050, 0);
	assert_int_equal(limit_ms(), OURS_MS);
	/* Near, and a quarter more is not longer than what it has. */
	took_ms = connects(OURS_MS / 2 + 2 * TICK_MS, 0);
	if (took_ms < OURS_MS * 3 / 4)
		assert_int_equal(limit_ms(), OURS_MS);

	do {
		took_ms = connects(200, 0);
	} while (took_ms > 700 && tries++ < 20); /* it may be no more than 1 s */
	assert_op(limit_ms(), >=, (200 - TICK_MS) * 5 / 4);
	assert_op(limit_ms(), <=, (took_ms + TICK_MS) * 5 / 4);
	/* One that did not block, as the kernel tells it. */
	patience_learn(700);
	assert_op(limit_ms(), >=, 875u);
	patience_learn(1000);
	assert_op(limit_ms(), <, 1000u);
	/* A faster one takes nothing back. */
	connects(OURS_MS / 2 + 2 * TICK_MS, 0);
	assert_op(limit_ms(), >=, (200 - TICK_MS) * 5 / 4);

	do {
		took_ms = connects(850, 0);
	} while (took_ms > 980 && tries++ < 20);
	assert_int_equal(limit_ms(), 1000);
}

/* There is no watchdog, nor a descriptor that could be asked. */
static void test_a_new_sockets_user_timeout_is_known_until_the_program_sets_any(void **state)
{
	(void)state;
	connects_new();
	assert_op(has_user_timeout, >=, OURS_MS);

	has_user_timeout = 0;
	patience_user_timeout_is_used();
	connects_new();
	assert_int_equal(has_user_timeout, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_bound_grows_with_what_was_seen),
		cmocka_unit_test(test_a_new_sockets_user_timeout_is_known_until_the_program_sets_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
