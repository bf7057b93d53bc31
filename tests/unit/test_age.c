/* How old a table may be for its reader: without a beat of its writer, and without a word of the
 * API server about a part of it. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "publish/writer.h"
#include "support/objects.h"
#include "table/reader.h"

#define NOW_MS	   (50 * 1000u)
#define MAX_AGE_MS 2000u

static struct table_writer *writer;
static struct table_view view;

/* A Service in each of two namespaces, which are parts 0 and 1. */
static int setup(void **state)
{
	static const char *const namespaces[] = {"demo", "shop"};

	(void)state;
	assert_int_equal(table_writer_new(0, &writer), 0);
	for (unsigned part = 0; part < 2; part++) {
		struct selected_port port = {.name = "http",
					     .port = 80,
					     .protocol = PROTOCOL_TCP,
					     .family = IP_FAMILY_4};
		struct selection selection = {.ports = &port, .port_count = 1, .part = part};

		port.vip = ip_of(part ? "10.96.0.2" : "10.96.0.1");
		port.has_vip = true;
		assert_int_equal(table_writer_put(writer, namespaces[part], "web", &selection), 1);
	}
	assert_int_equal(table_writer_publish(writer), 0);
	view = *table_writer_view(writer);
	view.ages = true;
	view.max_age_ms = MAX_AGE_MS;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	table_writer_free(writer);
	return 0;
}

static void test_an_age(void **state)
{
	(void)state;
	assert_int_equal(table_age_ms(NOW_MS, NOW_MS), 0);
	assert_int_equal(table_age_ms(NOW_MS - 1234, NOW_MS), 1234);
	/* Written between the two readings. */
	assert_int_equal(table_age_ms(NOW_MS + TABLE_CLOCK_SLACK_MS, NOW_MS), 0);
}

/* Of another clock, as in a time namespace; garbage; never said. */
static void test_no_time_at_all(void **state)
{
	(void)state;
	assert_true(table_age_ms(NOW_MS + TABLE_CLOCK_SLACK_MS + 1, NOW_MS) == UINT64_MAX);
	assert_true(table_age_ms(UINT64_MAX, NOW_MS) == UINT64_MAX);
	assert_true(table_age_ms(0, NOW_MS) == UINT64_MAX);
}

static void test_the_beat(void **state)
{
	struct table_read read;

	(void)state;
	assert_false(table_has_beat(&view));
	table_writer_beat(writer, TABLE_LIVE, clock_coarse_ms());
	assert_true(table_has_beat(&view));
	assert_int_equal(table_silence_ms(&view, view.header->beat_ms + TABLE_SILENT_MS - 1),
			 TABLE_SILENT_MS - 1);
	assert_int_equal(table_read_begin(&view, &read), 0);
}

/* Which of the two are found, as "demo shop". */
static const char *found(void)
{
	static char names[16];
	struct ip_address first = ip_of("10.96.0.1"), second = ip_of("10.96.0.2");
	struct table_service service;
	struct table_port port;
	struct table_read read;
	int by_name[2], by_vip[2];

	assert_int_equal(table_read_begin(&view, &read), 0);
	by_name[0] = table_find_service(&read, "demo", "web", &service);
	by_name[1] = table_find_service(&read, "shop", "web", &service);
	by_vip[0] = table_find_vip(&read, &first, 80, PROTOCOL_TCP, &port);
	by_vip[1] = table_find_vip(&read, &second, 80, PROTOCOL_TCP, &port);
	assert_memory_equal(by_name, by_vip, sizeof(by_name));
	strcpy(names, by_name[0] == 0 ? "demo" : "");
	strcat(names, by_name[1] == 0 ? " shop" : "");
	return names;
}

static void hear(uint64_t demo_ms, uint64_t shop_ms)
{
	table_writer_set_heard(writer, 0, demo_ms);
	table_writer_set_heard(writer, 1, shop_ms);
	table_writer_beat(writer, TABLE_LIVE, clock_coarse_ms());
}

/* A part of which nothing was heard is not there, whatever the writer says; the other one is. */
static void test_a_part_expires_by_itself(void **state)
{
	uint64_t now_ms = clock_coarse_ms();

	(void)state;
	hear(now_ms, now_ms);
	assert_string_equal(found(), "demo shop");
	assert_true(table_unheard_ms(&view) < MAX_AGE_MS);
	hear(now_ms - MAX_AGE_MS - 1, now_ms);
	assert_string_equal(found(), " shop");
	assert_true(table_unheard_ms(&view) > MAX_AGE_MS);
	assert_true(table_is_believable(&view));
	hear(now_ms, now_ms - MAX_AGE_MS - 1);
	assert_string_equal(found(), "demo");
	hear(now_ms, now_ms + 60 * 1000);
	assert_string_equal(found(), "demo");
	hear(0, 0);
	assert_string_equal(found(), "");
	assert_false(table_is_believable(&view));
}

static void test_without_a_limit_it_never_does(void **state)
{
	(void)state;
	view.max_age_ms = 0;
	hear(1, 0);
	assert_string_equal(found(), "demo shop");
	assert_true(table_is_believable(&view));
}

/* Parts without a word of their own share the last one: it is as old as the oldest of them. */
static void test_more_parts_than_words(void **state)
{
	(void)state;
	table_writer_set_heard(writer, TABLE_PARTS - 1, 3000);
	table_writer_set_heard(writer, TABLE_PARTS, 2000);
	table_writer_set_heard(writer, TABLE_PARTS + 7, 4000);
	table_writer_beat(writer, TABLE_LIVE, clock_coarse_ms());
	assert_int_equal(view.header->parts_heard_ms[TABLE_PARTS - 1], 2000);
	assert_true(table_part_unheard_ms(&view, TABLE_PARTS) == UINT64_MAX);
	assert_int_equal(table_writer_heard_ms(writer), 2000);
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_an_age),
		case_of(test_no_time_at_all),
		case_of(test_the_beat),
		case_of(test_a_part_expires_by_itself),
		case_of(test_without_a_limit_it_never_does),
		case_of(test_more_parts_than_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
