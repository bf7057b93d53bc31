/* pick: round robin and random over a table, and what is answered without an endpoint. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pick/pick.h"
#include "publish/writer.h"
#include "support/objects.h"
#include "support/assert_op.h"

static struct table_writer *writer;
static struct pick_memory memory;
static struct pick_state pick;

static int setup(void **state)
{
	(void)state;
	memset(&memory, 0, sizeof(memory));
	memory.seed = 1;
	pick = (struct pick_state){.memory = &memory, .rules = HEALTH_DEFAULTS};
	return table_writer_new(0, &writer);
}

static int teardown(void **state)
{
	(void)state;
	table_writer_free(writer);
	return 0;
}

static void put(const char *name, const char *vip, unsigned endpoints)
{
	struct selection selection;

	test_selection(&selection, vip, 80, "10.1.0.0", endpoints, 8080);
	assert_int_equal(table_writer_put(writer, "demo", name, &selection), 1);
	selection_clear(&selection);
	assert_int_equal(table_writer_publish(writer), 0);
}

static enum pick_result pick_at(const char *vip, struct picked *picked)
{
	struct ip_address ip = ip_of(vip);

	return pick_by_vip(table_writer_view(writer), &pick, &ip, 80, PROTOCOL_TCP, picked);
}

static enum pick_result find_at(const char *vip, struct found_port *found)
{
	struct ip_address ip = ip_of(vip);

	return pick_find(table_writer_view(writer), &ip, 80, PROTOCOL_TCP, found);
}

/* The number of the endpoint that comes next, from its address. */
static unsigned next_at(const char *vip)
{
	struct picked picked;

	assert_int_equal(pick_at(vip, &picked), PICK_ENDPOINT);
	assert_int_equal(picked.endpoint.port, 8080);
	return (unsigned)picked.endpoint.address.bytes[14] << 8 | picked.endpoint.address.bytes[15];
}

static unsigned next(void)
{
	return next_at("10.96.0.1");
}

/* 300 connections over 3 endpoints are 100 each, in turn. */
static void test_round_robin_is_exact(void **state)
{
	unsigned counts[3] = {0};
	unsigned last;

	(void)state;
	put("web", "10.96.0.1", 3);
	last = next();
	counts[last]++;
	for (unsigned i = 1; i < 300; i++) {
		unsigned now = next();

		assert_int_equal(now, (last + 1) % 3);
		counts[now]++;
		last = now;
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(counts[i], 100);
}

/* Each Service goes its own round, whatever others do. */
static void test_rounds_are_apart(void **state)
{
	unsigned last;

	(void)state;
	put("web", "10.96.0.1", 3);
	put("db", "10.96.0.2", 2);
	last = next();
	for (unsigned i = 0; i < 30; i++) {
		unsigned now;

		for (unsigned other = 0; other < i; other++)
			next_at("10.96.0.2");
		now = next();
		assert_int_equal(now, (last + 1) % 3);
		last = now;
	}
}

/* Where the round begins differs from Pod to Pod, about evenly. */
static void test_the_start_depends_on_the_seed(void **state)
{
	unsigned counts[4] = {0};

	(void)state;
	put("web", "10.96.0.1", 4);
	for (uint64_t seed = 0; seed < 4000; seed++) {
		memset(memory.cursors, 0, sizeof(memory.cursors));
		memory.seed = seed;
		counts[next()]++;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(counts[i], 850, 1150);
}

/* What was picked tells where it came from. */
static void test_the_answer_is_complete(void **state)
{
	struct ip_address vip = ip_of("10.96.0.1");
	struct picked picked;

	(void)state;
	put("web", "10.96.0.1", 1);
	put("db", "10.96.0.2", 1);
	assert_int_equal(pick_at("10.96.0.1", &picked), PICK_ENDPOINT);
	assert_memory_equal(&picked.vip, &vip, sizeof(vip));
	assert_int_equal(picked.vip_port, 80);
}

/* The 32 bits of a cursor run over: every endpoint still comes, and the round breaks once. */
static void test_the_cursor_wraps(void **state)
{
	unsigned breaks = 0;
	unsigned last;

	(void)state;
	put("web", "10.96.0.1", 3);
	next();
	for (unsigned i = 0; i < CURSOR_SLOTS; i++)
		memory.cursors[i].word |= (uint64_t)(UINT32_MAX - 50) << CURSOR_TICKET_SHIFT;
	last = next();
	for (unsigned i = 0; i < 100; i++) {
		unsigned now = next();

		assert_in_range(now, 0, 2);
		breaks += now != (last + 1) % 3;
		last = now;
	}
	assert_in_range(breaks, 0, 1);
}

/* Random picks stay in bounds and are uniform: chi-square of 9 degrees below 27.9 (p = 0.001). */
static void test_random_is_uniform(void **state)
{
	unsigned counts[10] = {0};
	double chi_square = 0;

	(void)state;
	pick.policy = PICK_RANDOM;
	put("web", "10.96.0.1", 10);
	for (unsigned i = 0; i < 10000; i++) {
		unsigned now = next();

		assert_in_range(now, 0, 9);
		counts[now]++;
	}
	for (unsigned i = 0; i < 10; i++)
		chi_square += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0;
	assert_op(chi_square, <, 27.9);
	assert_op(chi_square, >, 0.5);
}

/* Two Pods draw different random sequences. */
static void test_random_depends_on_the_seed(void **state)
{
	unsigned first[32];
	unsigned same = 0;

	(void)state;
	pick.policy = PICK_RANDOM;
	put("web", "10.96.0.1", 10);
	for (unsigned i = 0; i < 32; i++)
		first[i] = next();
	memset(memory.cursors, 0, sizeof(memory.cursors));
	memory.seed = 2;
	for (unsigned i = 0; i < 32; i++)
		same += next() == first[i];
	assert_in_range(same, 0, 12);
}

/* Without an endpoint nothing is written. */
static void test_without_an_endpoint(void **state)
{
	static const struct {
		const char *vip;
		enum pick_result result;
	} cases[] = {
		{"10.96.0.1", PICK_NO_ENDPOINT},
		{"10.96.0.2", PICK_NOT_OURS},
	};

	(void)state;
	put("web", cases[0].vip, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct picked picked = {.vip_port = 4711};
		struct found_port found;

		assert_int_equal(pick_at(cases[i].vip, &picked), cases[i].result);
		assert_int_equal(picked.vip_port, 4711);
		assert_int_equal(find_at(cases[i].vip, &found), cases[i].result);
	}
}

/* Another protocol or port of the same address is not ours. */
static void test_other_protocols_and_ports_are_not_ours(void **state)
{
	struct ip_address vip = ip_of("10.96.0.1");
	const struct table_view *view;
	struct picked picked;

	(void)state;
	put("web", "10.96.0.1", 1);
	view = table_writer_view(writer);
	assert_int_equal(pick_by_vip(view, &pick, &vip, 80, PROTOCOL_UDP, &picked), PICK_NOT_OURS);
	assert_int_equal(pick_by_vip(view, &pick, &vip, 80, 0, &picked), PICK_NOT_OURS);
	assert_int_equal(pick_by_vip(view, &pick, &vip, 81, PROTOCOL_TCP, &picked), PICK_NOT_OURS);
	assert_int_equal(pick_by_vip(view, &pick, &vip, 0, PROTOCOL_TCP, &picked), PICK_NOT_OURS);
}

/* A look takes no turn; what it found is good for one. */
static void test_finding_takes_no_turn(void **state)
{
	struct ip_address vip = ip_of("10.96.0.1");
	struct found_port found;
	struct picked picked;
	unsigned last;

	(void)state;
	put("web", "10.96.0.1", 3);
	last = next();
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(find_at("10.96.0.1", &found), PICK_ENDPOINT);
	assert_int_equal(pick_take(&found, &pick, &vip, 80, &picked), 0);
	assert_int_equal(picked.endpoint.address.bytes[15], (last + 1) % 3);
	assert_int_equal(next(), (last + 2) % 3);
}

/* What was found is of one snapshot, whatever is published; overwritten, it is looked up again. */
static void test_what_was_found_grows_old(void **state)
{
	struct ip_address vip = ip_of("10.96.0.1");
	struct found_port found;
	struct picked picked;
	unsigned seen = 0;

	(void)state;
	put("web", "10.96.0.1", 3);
	assert_int_equal(find_at("10.96.0.1", &found), PICK_ENDPOINT);
	put("web", "10.96.0.1", 1);
	put("web", "10.96.0.1", 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pick_take(&found, &pick, &vip, 80, &picked), 0);
		seen |= 1u << picked.endpoint.address.bytes[15];
	}
	assert_int_equal(seen, 7);
	put("web", "10.96.0.1", 1);
	assert_int_equal(pick_take(&found, &pick, &vip, 80, &picked), -EAGAIN);
}

/* A removed endpoint is not picked any more, a new one at once, and the shares stay even. */
static void test_changes_take_effect_at_once(void **state)
{
	unsigned counts[4] = {0};

	(void)state;
	put("web", "10.96.0.1", 3);
	for (unsigned i = 0; i < 7; i++)
		next();
	put("web", "10.96.0.1", 4);
	for (unsigned i = 0; i < 400; i++)
		counts[next()]++;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(counts[i], 100);
	put("web", "10.96.0.1", 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(next(), 0);
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_round_robin_is_exact),
		case_of(test_rounds_are_apart),
		case_of(test_the_start_depends_on_the_seed),
		case_of(test_the_answer_is_complete),
		case_of(test_the_cursor_wraps),
		case_of(test_random_is_uniform),
		case_of(test_random_depends_on_the_seed),
		case_of(test_without_an_endpoint),
		case_of(test_other_protocols_and_ports_are_not_ours),
		case_of(test_finding_takes_no_turn),
		case_of(test_what_was_found_grows_old),
		case_of(test_changes_take_effect_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
