/* reflector: each way in which a server can fail, what it costs and how often it is asked again. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"
#include "support/reflector_world.h"
#include "support/assert_op.h"

#define LIST(version, next, items) text_list("EndpointSliceList", version, next, items)
#define SLICE(name, version)	   text_slice(name, "web", version, "10.1.0.1")
#define LIST_QUERY		   SLICES_PATH "?labelSelector=app%3Dweb"

static void error_event(struct world *world, const char *status)
{
	assert_op(fake_data(&world->fake, text_event("ERROR", status)), !=, 0);
	fake_end(&world->fake, -ECANCELED, "");
}

/* ---- the version is not there any more, or not yet ---- */

/* A continue token that has expired: one list without pages, at once, and nothing of the pages. */
static void test_410_on_a_page_lists_whole(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", "old", SLICE("a", "7")));
	fake_answer(&world.fake, 410, text_error(410, "Expired", "continue token too old"));
	reflector_tick(&world.reflector);
	assert_string_equal(fake_path(&world.fake), LIST_QUERY);
	fake_answer(&world.fake, 200, LIST("200", NULL, SLICE("b", "8")));
	assert_string_equal(world_told(&world), "begin item:a abort begin item:b commit ");
	world_free(&world);
}

/* 410 as an HTTP status of the first list: at once once more, straight from etcd. */
static void test_410_on_a_list_asks_without_a_version(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 410, text_error(410, "Gone", "old"));
	assert_int_equal(world_pause_ms(&world), 0);
	reflector_tick(&world.reflector);
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&limit=500");
	fake_answer(&world.fake, 410, text_error(410, "Gone", "old"));
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_free(&world);
}

/* 410 as an HTTP status of a watch: wait, then a list not older than what we have. */
static void test_410_on_a_watch_lists_not_older(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("a", "7")));
	fake_answer(&world.fake, 410, text_error(410, "Expired", "too old"));
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=100");
	assert_string_equal(world_told(&world), "begin item:a commit begin ");
	world_free(&world);
}

/* 410 as an ERROR event, the usual form: the same. */
static void test_410_event_lists_not_older(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "120")));
	error_event(&world, text_error(410, "Expired", "too old resource version: 120 (900)"));
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=120");
	world_free(&world);
}

/* Our version is from the server's future: at once a list without any version. */
static void test_504_too_large_on_a_list(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	error_event(&world, text_error(410, "Expired", "too old"));
	world_pass(&world, world_pause_ms(&world));
	fake_answer(&world.fake, 504, text_too_large());
	assert_int_equal(world_pause_ms(&world), 0);
	reflector_tick(&world.reflector);
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&limit=500");
	fake_answer(&world.fake, 200, LIST("50", NULL, SLICE("a", "40")));
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=50&"));
	world_free(&world);
}

/* The same as an ERROR event of a watch. */
static void test_504_too_large_event(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	error_event(&world, text_too_large());
	assert_in_range(world_pause_ms(&world), 1000, 2 * FIRST_PAUSE_MS);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&limit=500");
	world_free(&world);
}

/* ---- the server refuses ---- */

/* 401: the token is read again and tried once at once; only then comes the backoff. */
static void test_401_rereads_the_token_once_at_once(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 401, text_error(401, "Unauthorized", "Unauthorized"));
	assert_int_equal(world.fake.unauthorized, 1);
	assert_int_equal(world_pause_ms(&world), 0);
	reflector_tick(&world.reflector);
	fake_answer(&world.fake, 401, text_error(401, "Unauthorized", "Unauthorized"));
	assert_int_equal(world.fake.unauthorized, 2);
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_free(&world);
}

/* 401 on a watch: the watch is tried again, not the list. */
static void test_401_on_a_watch_watches_again(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("a", "7")));
	fake_answer(&world.fake, 401, text_error(401, "Unauthorized", "Unauthorized"));
	assert_int_equal(world_pause_ms(&world), 0);
	reflector_tick(&world.reflector);
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100&"));
	fake_status(&world.fake, 200, -1);
	/* A watch that was accepted earns the free second try again. */
	world.fake.now_ms += 5000;
	fake_end(&world.fake, 0, "");
	fake_answer(&world.fake, 401, text_error(401, "Unauthorized", "Unauthorized"));
	assert_int_equal(world_pause_ms(&world), 0);
	assert_int_equal(world_lists(&world), 1);
	world_free(&world);
}

/* 403 and 404 of a list: only a person can mend that, so the longest pause, and nothing is lost. */
static void test_403_and_404_wait_longest(void **state)
{
	static const int refusals[] = {403, 404};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world world;

		world_init(&world);
		fake_answer(&world.fake, refusals[i], text_error(refusals[i], "No", "not for you"));
		assert_in_range(world_pause_ms(&world), LONGEST_PAUSE_MS, 2 * LONGEST_PAUSE_MS);
		assert_int_equal(world.reflector.contact, REFLECTOR_DENIED);
		assert_int_not_equal(world.reflector.contact, REFLECTOR_NEW);
		assert_false(world.reflector.synced);
		assert_string_equal(world_told(&world), "begin abort ");
		assert_non_null(strstr(world.reflector.problem, "not for you"));
		world_free(&world);
	}
}

/* A watch that is forbidden: the lists go on at the pace of a poll. */
static void test_polls_where_no_watch_is_allowed(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	for (unsigned round = 1; round <= 5; round++) {
		fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("a", "7")));
		fake_answer(&world.fake, 403, text_error(403, "Forbidden", "cannot watch"));
		assert_int_equal(world_pause_ms(&world), SYNC_INTERVAL_MS);
		assert_int_equal(world.reflector.contact, REFLECTOR_HEARING);
		assert_int_not_equal(world.reflector.contact, REFLECTOR_DENIED);
		world_pass(&world, SYNC_INTERVAL_MS);
		assert_int_equal(world_lists(&world), round + 1);
	}
	world_free(&world);
}

/* 429 and 503 with Retry-After: that long, or the backoff if it is longer, and 5 min at most. */
static void test_retry_after_is_obeyed_within_bounds(void **state)
{
	static const struct {
		int status;
		long retry_after_s;
		uint64_t least_ms, most_ms;
	} cases[] = {
		{429, 7, 7000, 7000},
		{503, 7, 7000, 7000},
		{503, 300, 300000, 300000},
		{429, 86400, 300000, 300000},
		{429, 0, FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS},
		{429, -1, FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS},
		{500, -1, FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;

		world_init(&world);
		fake_answer_retry_after(&world.fake, cases[i].status, cases[i].retry_after_s,
					"Too many requests, please try again later.\n");
		assert_in_range(world_pause_ms(&world), cases[i].least_ms, cases[i].most_ms);
		world_free(&world);
	}
}

/* An ERROR event may carry a pause too; the watch goes on from its version. */
static void test_retry_after_of_an_error_event(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	error_event(&world,
		    "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":429,\"message\":\"slow\","
		    "\"reason\":\"TooManyRequests\",\"details\":{\"retryAfterSeconds\":9}}");
	assert_int_equal(world_pause_ms(&world), 9000);
	world_pass(&world, 9000);
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100&"));
	assert_int_equal(world_lists(&world), 1);
	world_free(&world);
}

/* A body of an error that never ends is cut off, and its message is still told. */
static void test_an_endless_error_body_is_cut(void **state)
{
	struct world world;
	int rc = 0;

	(void)state;
	world_init(&world);
	fake_status(&world.fake, 500, -1);
	for (unsigned i = 0; i < 1000 && rc == 0; i++)
		rc = fake_data(&world.fake, "nothing but noise, over and over and over and over. ");
	assert_op(rc, !=, 0);
	assert_in_range(world.reflector.error_body.length, 1, REFLECTOR_ERROR_BODY_LIMIT);
	fake_end(&world.fake, -ECANCELED, "");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	assert_non_null(strstr(world.reflector.problem, "500 nothing but noise"));
	world_free(&world);
}

/* The request cannot even be made: as any other failure. */
static void test_a_request_that_cannot_start(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.fake.start_error = -ENOMEM;
	world.fake.now_ms += 5000;
	fake_end(&world.fake, 0, "");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world.fake.start_error = 0;
	world_pass(&world, world_pause_ms(&world));
	assert_int_equal(world.fake.count, 3);
	world_free(&world);
}

/* ---- the connection breaks ---- */

/* A reset in mid event: a probe for the server's version, then a watch from the same one. Never a
 * list for that alone. */
static void test_reset_probes_then_watches(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, "{\"type\":\"MODIF");
	world.fake.now_ms += 2000;
	fake_end(&world.fake, -EIO, "Connection reset by peer");
	assert_string_equal(fake_path(&world.fake), SLICES_PATH "?limit=1");
	fake_answer(&world.fake, 200, LIST("250", "next", SLICE("other", "3")));
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100&"));
	assert_string_equal(world_told(&world), "");
	fake_status(&world.fake, 200, -1);
	world.fake.now_ms += 2000;
	fake_end(&world.fake, 0, "");
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100&"));
	world_free(&world);
}

/* The same within the first second: a watch at a version of the future would be silent for ever. */
static void test_reset_of_a_young_watch_probes_too(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "120")));
	fake_end(&world.fake, -EIO, "Connection reset by peer");
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), SLICES_PATH "?limit=1");
	world_free(&world);
}

/* The server was restored from a backup: its version is lower, so a list without any version. */
static void test_a_lower_version_is_found_by_the_probe(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.fake.now_ms += 2000;
	fake_end(&world.fake, -EIO, "Connection reset by peer");
	fake_answer(&world.fake, 200, LIST("99", NULL, ""));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&limit=500");
	fake_answer(&world.fake, 200, LIST("99", NULL, SLICE("b", "50")));
	assert_string_equal(world_told(&world), "begin item:b commit ");
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=99&"));
	world_free(&world);
}

/* Versions are compared as numbers of any length, not as text or in 32 or 64 bits. */
static void test_versions_are_compared_as_numbers(void **state)
{
	static const struct {
		const char *server;
		bool lower;
	} cases[] = {
		{"100", false}, {"101", false}, {"1000", false},
		{"99", true},	{"9", true},	{"18446744073709551617", false},
		{"x9", false},	{"1", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;

		world_init_watching(&world);
		world.fake.now_ms += 2000;
		fake_end(&world.fake, -EIO, "reset");
		fake_answer(&world.fake, 200, LIST(cases[i].server, NULL, ""));
		assert_string_equal(fake_last(&world.fake)->is_watch ? "watch" : "list",
				    cases[i].lower ? "list" : "watch");
		world_free(&world);
	}
}

/* A probe that is forbidden makes way for the list that is allowed, after a usual pause. */
static void test_a_forbidden_probe_makes_way_for_the_list(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.fake.now_ms += 2000;
	fake_end(&world.fake, -EIO, "reset");
	fake_answer(&world.fake, 403, text_error(403, "Forbidden", "only that selector"));
	assert_in_range(world_pause_ms(&world), 0, 2 * FIRST_PAUSE_MS);
	assert_int_not_equal(world.reflector.contact, REFLECTOR_DENIED);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=100");
	world_free(&world);
}

/* Nobody listens: the watch waits, then probes, and never lists. */
static void test_connection_refused_waits(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("a", "7")));
	fake_end(&world.fake, -ECONNREFUSED, "nobody listens");
	assert_int_equal(world.reflector.contact, REFLECTOR_LOST);
	assert_string_equal(world.reflector.problem, "nobody listens");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), SLICES_PATH "?limit=1");
	assert_string_equal(world_told(&world), "begin item:a commit ");
	world_free(&world);
}

/* A watch that ends within a second without an event is a failure, whatever its end. */
static void test_a_very_short_watch_backs_off(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.fake.now_ms += REFLECTOR_WATCH_SHORT_MS - 1;
	fake_end(&world.fake, 0, "");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=100");
	world_free(&world);
}

/* ---- silence ---- */

/* A list from which no byte comes for 30 s is given up. */
static void test_a_silent_list_is_given_up(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world_pass(&world, REFLECTOR_LIST_IDLE_MS - 1);
	fake_status(&world.fake, 200, -1);
	fake_data(&world.fake, "{\"kind\":");
	world_pass(&world, REFLECTOR_LIST_IDLE_MS - 1);
	assert_int_equal(world.fake.cancelled, 0);
	world_pass(&world, 1);
	assert_int_equal(world.fake.cancelled, 1);
	assert_string_equal(world_told(&world), "begin abort ");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_free(&world);
}

/* A watch that is silent for 150 s, although bookmarks were asked for, is half-open. */
static void test_a_silent_watch_is_given_up(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world_pass(&world, REFLECTOR_WATCH_IDLE_MS - 1);
	fake_data(&world.fake, text_bookmark("110"));
	world_pass(&world, REFLECTOR_WATCH_IDLE_MS - 1);
	assert_int_equal(world.fake.cancelled, 0);
	world_pass(&world, 1);
	assert_int_equal(world.fake.cancelled, 1);
	assert_string_equal(fake_path(&world.fake), SLICES_PATH "?limit=1");
	fake_answer(&world.fake, 200, LIST("110", NULL, ""));
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=110&"));
	world_free(&world);
}

/* Before its header a watch is as any request: 30 s. */
static void test_a_watch_without_a_header_is_given_up(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("a", "7")));
	world_pass(&world, REFLECTOR_LIST_IDLE_MS);
	assert_int_equal(world.fake.cancelled, 1);
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_410_on_a_page_lists_whole),
		cmocka_unit_test(test_410_on_a_list_asks_without_a_version),
		cmocka_unit_test(test_410_on_a_watch_lists_not_older),
		cmocka_unit_test(test_410_event_lists_not_older),
		cmocka_unit_test(test_504_too_large_on_a_list),
		cmocka_unit_test(test_504_too_large_event),
		cmocka_unit_test(test_401_rereads_the_token_once_at_once),
		cmocka_unit_test(test_401_on_a_watch_watches_again),
		cmocka_unit_test(test_403_and_404_wait_longest),
		cmocka_unit_test(test_polls_where_no_watch_is_allowed),
		cmocka_unit_test(test_retry_after_is_obeyed_within_bounds),
		cmocka_unit_test(test_retry_after_of_an_error_event),
		cmocka_unit_test(test_an_endless_error_body_is_cut),
		cmocka_unit_test(test_a_request_that_cannot_start),
		cmocka_unit_test(test_reset_probes_then_watches),
		cmocka_unit_test(test_reset_of_a_young_watch_probes_too),
		cmocka_unit_test(test_a_lower_version_is_found_by_the_probe),
		cmocka_unit_test(test_versions_are_compared_as_numbers),
		cmocka_unit_test(test_a_forbidden_probe_makes_way_for_the_list),
		cmocka_unit_test(test_connection_refused_waits),
		cmocka_unit_test(test_a_very_short_watch_backs_off),
		cmocka_unit_test(test_a_silent_list_is_given_up),
		cmocka_unit_test(test_a_silent_watch_is_given_up),
		cmocka_unit_test(test_a_watch_without_a_header_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
