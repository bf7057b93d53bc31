/* prober: what it tries and what comes of that, with listeners of this test on loopback. */
// SPDX-License-Identifier: Apache-2.0
#include "engine/prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pick/probed.h"
#include "publish/writer.h"
#include "support/assert_op.h"
#include "support/objects.h"

#define NUMBER	 UINT64_C(0x1234567890abcdef)
#define PROBE_MS 1500u
#define PODS	 20u
#define HANDSHAKES 200
#define PATIENCE_MS 10000

static struct pick_memory memory;
static struct table_writer *writer;
static struct prober prober;
static struct logger quiet;
static struct table_endpoint pods[PODS]; /* 127.0.1.0 and so on, all of one port */
static int listener;
static uint16_t port;

static int listen_at(uint32_t address, uint16_t at_port, int backlog)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(address),
				 .sin_port = htons(at_port)};
	int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_op(fd, >=, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t length = sizeof(in);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
	return ntohs(in.sin_port);
}

static int setup(void **state)
{
	struct selection selection;

	(void)state;
	memset(&memory, 0, sizeof(memory));
	listener = listen_at(INADDR_ANY, 0, 64);
	port = port_of(listener);
	if (table_writer_new(0, &writer) < 0)
		return -1;
	test_selection(&selection, "10.96.0.1", 80, "127.0.1.0", PODS, port);
	assert_int_equal(table_writer_put(writer, "demo", "web", &selection), 1);
	selection_clear(&selection);
	assert_int_equal(table_writer_publish(writer), 0);
	prober_open(&prober, &memory, NUMBER, PROBE_MS, &quiet);
	for (unsigned i = 0; i < PODS; i++) {
		struct table_port found;
		struct table_read read;
		struct ip_address vip = ip_of("10.96.0.1");

		assert_int_equal(table_read_begin(table_writer_view(writer), &read), 0);
		assert_int_equal(table_find_vip(&read, &vip, 80, IPPROTO_TCP, &found), 0);
		assert_int_equal(table_port_endpoint(&read, &found, i, &pods[i]), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	prober_close(&prober);
	table_writer_free(writer);
	if (listener >= 0)
		close(listener);
	return 0;
}

/* Ejected for an instant, that is over when this returns; @wanted: since then. */
static void eject(const struct table_endpoint *endpoint, bool wanted)
{
	const struct health_rules rules = {.failures = 1, .base_ms = 1, .max_ms = 2};
	uint64_t key = health_key(endpoint);

	assert_true(health_failure(&memory.health, &rules, key, clock_monotonic_ms(), 0));
	while (health_look(&memory.health, key, clock_monotonic_ms()) != HEALTH_HALF_OPEN)
		poll(NULL, 0, 1);
	if (wanted)
		health_want(&memory.health, key, clock_monotonic_ms());
}

static enum health_state look(const struct table_endpoint *endpoint)
{
	return health_look(&memory.health, health_key(endpoint), clock_monotonic_ms());
}

static unsigned running(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PROBER_MOST; i++)
		count += prober.probes[i].fd >= 0;
	return count;
}

static void run(void)
{
	prober.look_ms = 0; /* as if the last look were long ago */
	prober_run(&prober, table_writer_view(writer));
}

/* As the engine's thread does, until nothing is under way. */
static void run_to_the_end(void)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;

	do {
		struct pollfd ready = {.fd = prober.epoll_fd, .events = POLLIN};

		poll(&ready, 1, prober_wait_ms(&prober, PATIENCE_MS));
		prober_run(&prober, NULL);
		assert_op(clock_monotonic_ms(), <, deadline_ms);
	} while (running());
}

static bool has_connection(int fd)
{
	int accepted = accept(fd, NULL, NULL);

	if (accepted >= 0)
		close(accepted);
	return accepted >= 0;
}

static void test_one_that_is_back_is_good_and_sees_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < HANDSHAKES; i++) {
		eject(&pods[0], true);
		run();
		assert_int_equal(running(), 1);
		assert_int_equal(look(&pods[0]), HEALTH_EJECTED);
		run_to_the_end();
		assert_int_equal(look(&pods[0]), HEALTH_GOOD);
		assert_false(has_connection(listener));
	}
	/* A reset that was on its way would have come by now. */
	poll(NULL, 0, 300);
	assert_false(has_connection(listener));
}

static void test_one_that_refuses_is_ejected_again(void **state)
{
	(void)state;
	close(listener);
	listener = -1;
	eject(&pods[0], true);
	run();
	run_to_the_end();
	assert_int_equal(look(&pods[0]), HEALTH_EJECTED);
	assert_int_equal(memory.counters[PICK_COUNT_EJECTIONS], 1);
	/* Nobody wanted it since. */
	assert_false(health_any_to_probe(&memory.health, clock_monotonic_ms() + HEALTH_LONGEST_MS));
}

/* Its queue is full: the kernel drops what comes. */
static void test_one_that_does_not_answer_is_ejected_again(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint64_t began_ms;
	int clients[4];

	(void)state;
	close(listener);
	listener = listen_at(0x7f000100, port, 0);
	in.sin_addr.s_addr = htonl(0x7f000100);
	for (unsigned i = 0; i < 4; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(clients[i], (struct sockaddr *)&in, sizeof(in));
	}
	eject(&pods[0], true);
	began_ms = clock_monotonic_ms();
	run();
	run_to_the_end();
	assert_op(clock_monotonic_ms() - began_ms, >=, (uint64_t)PROBE_MS);
	assert_int_equal(look(&pods[0]), HEALTH_EJECTED);
	for (unsigned i = 0; i < 4; i++)
		close(clients[i]);
}

static void test_a_suspect_is_tried_at_once(void **state)
{
	const struct health_rules rules = HEALTH_DEFAULTS;

	(void)state;
	health_suspect(&memory.health, &rules, health_key(&pods[3]), clock_monotonic_ms(), 0);
	assert_int_equal(look(&pods[3]), HEALTH_EJECTED);
	run();
	assert_int_equal(running(), 1);
	run_to_the_end();
	assert_int_equal(look(&pods[3]), HEALTH_GOOD);
}

static void test_what_nobody_wants_is_not_tried(void **state)
{
	(void)state;
	eject(&pods[0], false);
	run();
	assert_int_equal(running(), 0);
	assert_int_equal(look(&pods[0]), HEALTH_HALF_OPEN);
}

/* Others may write any hash into the memory. */
static void test_what_the_table_has_not_is_not_tried(void **state)
{
	struct table_endpoint other = pods[0];

	(void)state;
	other.port++;
	eject(&other, true);
	run();
	assert_int_equal(running(), 0);
}

static void test_eight_at_once_and_then_the_others(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PODS; i++)
		eject(&pods[i], true);
	for (unsigned rounds = 0; rounds < 3; rounds++) {
		run();
		assert_int_equal(running(), rounds < 2 ? PROBER_MOST : PODS - 2 * PROBER_MOST);
		run_to_the_end();
	}
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(look(&pods[i]), HEALTH_GOOD);
	assert_false(has_connection(listener));
}

static void test_who_probes_says_so(void **state)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct prober none;

	(void)state;
	assert_false(probed_by(&memory, NUMBER, now_ms));
	run();
	now_ms = clock_monotonic_ms();
	assert_true(probed_by(&memory, NUMBER, now_ms));
	/* By a clock that goes on between the word and this look. */
	assert_true(probed_by(&memory, NUMBER, now_ms + TABLE_SILENT_MS / 2));
	assert_false(probed_by(&memory, NUMBER, now_ms + TABLE_SILENT_MS + 1));
	/* Before it said so, by a clock that was read later: garbage if it were long before. */
	assert_true(probed_by(&memory, NUMBER, now_ms - 1));
	assert_false(probed_by(&memory, NUMBER, now_ms - 4 * TABLE_CLOCK_SLACK_MS));
	/* Another one's word, of another table or network namespace. */
	assert_false(probed_by(&memory, NUMBER ^ UINT64_C(1) << 63, now_ms));
	assert_false(probed_by(&memory, 0, now_ms));
	prober_close(&prober);
	assert_false(probed_by(&memory, NUMBER, now_ms));

	prober_open(&none, NULL, NUMBER, PROBE_MS, &quiet);
	prober_run(&none, table_writer_view(writer));
	assert_int_equal(prober_wait_ms(&none, 1234), 1234);
	prober_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_that_is_back_is_good_and_sees_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_refuses_is_ejected_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_that_does_not_answer_is_ejected_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_suspect_is_tried_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_nobody_wants_is_not_tried, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_the_table_has_not_is_not_tried, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_eight_at_once_and_then_the_others, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_who_probes_says_so, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
