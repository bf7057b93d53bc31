/* reflector: list and watch on a server that behaves well. The failures have their own file. */
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

#include "support/objects.h"
#include "support/reflector_world.h"
#include "support/assert_op.h"

#define LIST(version, next, items) text_list("EndpointSliceList", version, next, items)
#define SLICE(name, version)	   text_slice(name, "web", version, "10.1.0.1")

/* The first list asks for version 0, in pages, and the watch starts from the list's version. */
static void test_lists_then_watches(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_string_equal(fake_path(&world.fake),
			    SLICES_PATH "?labelSelector=app%3Dweb&limit=500&resourceVersion=0");
	assert_int_equal(fake_last(&world.fake)->total_timeout_ms, REFLECTOR_LIST_TOTAL_MS);
	assert_false(world.reflector.synced);
	fake_answer(&world.fake, 200,
		    LIST("100", NULL, text_join(SLICE("a", "7"), SLICE("b", "9"))));
	assert_string_equal(world_told(&world), "begin item:a item:b commit ");
	assert_true(world.reflector.synced);
	assert_int_not_equal(world.reflector.contact, REFLECTOR_NEW);
	assert_int_equal(world.reflector.contact, REFLECTOR_HEARING);
	assert_ptr_equal(strstr(fake_path(&world.fake),
				SLICES_PATH "?labelSelector=app%3Dweb&watch=true"
					    "&resourceVersion=100&allowWatchBookmarks=true"
					    "&timeoutSeconds="),
			 fake_path(&world.fake));
	assert_int_equal(world.fake.count, 2);
	world_free(&world);
}

/* Nothing is committed before the last page; each page has the token of the one before. */
static void test_follows_pages(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", "to=ken/1", SLICE("a", "7")));
	assert_string_equal(world_told(&world), "begin item:a ");
	assert_string_equal(fake_path(&world.fake),
			    SLICES_PATH "?labelSelector=app%3Dweb&limit=500&continue=to%3Dken%2F1");
	fake_answer(&world.fake, 200, LIST("100", "second", SLICE("b", "8")));
	assert_string_equal(fake_path(&world.fake),
			    SLICES_PATH "?labelSelector=app%3Dweb&limit=500&continue=second");
	assert_false(world.reflector.synced);
	fake_answer(&world.fake, 200, LIST("100", NULL, SLICE("c", "9")));
	assert_string_equal(world_told(&world), "item:b item:c commit ");
	assert_int_equal(world_lists(&world), 3);
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100"));
	world_free(&world);
}

/* A list may be empty: the collection then is. */
static void test_an_empty_list_is_a_list(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", NULL, ""));
	assert_string_equal(world_told(&world), "begin commit ");
	assert_true(world.reflector.synced);
	world_free(&world);
}

/* The server is asked to end a watch after 300 to 600 s, and the request may take 30 s longer. */
static void test_watch_time_is_in_its_range(void **state)
{
	static const uint32_t random_bits[] = {0, 1, 299, 300, 301, 0x7fffffff, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < sizeof(random_bits) / sizeof(random_bits[0]); i++) {
		struct world world;
		const char *text;
		unsigned seconds;

		world_init(&world);
		world.fake.random_is_fixed = true;
		world.fake.fixed_random = random_bits[i];
		fake_answer(&world.fake, 200, LIST("100", NULL, ""));
		text = strstr(fake_path(&world.fake), "timeoutSeconds=");
		assert_non_null(text);
		seconds = (unsigned)strtoul(text + strlen("timeoutSeconds="), NULL, 10);
		assert_in_range(seconds, 300, 600);
		assert_int_equal(fake_last(&world.fake)->total_timeout_ms, seconds * 1000 + 30000);
		world_free(&world);
	}
}

/* ADDED and MODIFIED put the object, DELETED removes it, each as it arrives. */
static void test_events_are_applied(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, text_event("ADDED", SLICE("b", "101")));
	assert_string_equal(world_told(&world), "upsert:b ");
	fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "102")));
	assert_string_equal(world_told(&world), "upsert:a ");
	fake_data(&world.fake, text_event("DELETED", SLICE("b", "103")));
	assert_string_equal(world_told(&world), "remove:b ");
	assert_string_equal(world.reflector.resource_version, "103");
	world_free(&world);
}

/* An event may be cut anywhere; it counts when it is whole. */
static void test_events_cut_into_bytes(void **state)
{
	const char *event = text_event("MODIFIED", SLICE("a", "102"));
	struct world world;

	(void)state;
	world_init_watching(&world);
	for (const char *c = event; *c; c++)
		assert_int_equal(reflector_on_data(&world.reflector, c, 1), 0);
	assert_string_equal(world_told(&world), "upsert:a ");
	world_free(&world);
}

/* A bookmark moves the version and nothing else. */
static void test_bookmarks_move_only_the_version(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, text_bookmark("500"));
	assert_string_equal(world_told(&world), "");
	world.fake.now_ms += 300000;
	fake_end(&world.fake, 0, "");
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=500&"));
	world_free(&world);
}

/* A type of the future is ignored, and its version is not taken: nothing was applied. */
static void test_unknown_event_types_are_ignored(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	assert_int_equal(fake_data(&world.fake, text_event("RENAMED", SLICE("a", "150"))), 0);
	assert_string_equal(world_told(&world), "");
	assert_string_equal(world.reflector.resource_version, "100");
	fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "151")));
	assert_string_equal(world_told(&world), "upsert:a ");
	world_free(&world);
}

/* The server ends a watch every few minutes: the next one follows at once, without a list. */
static void test_watches_again_after_a_clean_end(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "160")));
	world.fake.now_ms += REFLECTOR_WATCH_SHORT_MS;
	fake_end(&world.fake, 0, "");
	assert_int_equal(world.fake.count, 3);
	assert_int_equal(world_lists(&world), 1);
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=160&"));
	assert_int_equal(fake_last(&world.fake)->at_ms, world.fake.now_ms);
	assert_int_equal(world.reflector.contact, REFLECTOR_HEARING);
	world_free(&world);
}

/* A line that was cut off by the end of the watch is dropped; the next watch brings it again. */
static void test_a_partial_event_is_dropped(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	fake_data(&world.fake, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\"");
	world.fake.now_ms += 2000;
	fake_end(&world.fake, 0, "");
	assert_string_equal(world_told(&world), "");
	assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=100&"));
	world_free(&world);
}

/* ---- long runs ---- */

static void serve_well(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	(void)fake;
	(void)ctx;
	if (request->is_watch)
		fake_serve_open(request, text_bookmark("800"));
	else
		fake_serve_answer(request, 200, -1, LIST("700", NULL, SLICE("a", "7")));
}

/* A minute on a good server costs one list and one watch. */
static void test_a_minute_is_one_list_and_one_watch(void **state)
{
	struct fake_subject subject;
	struct world world;

	(void)state;
	world_init(&world);
	subject = fake_subject_of_reflector(&world.reflector);
	fake_io_run(&world.fake, &subject, serve_well, NULL, 60000);
	assert_int_equal(world.fake.count, 2);
	assert_int_equal(fake_count(&world.fake, "watch=true"), 1);
	world_free(&world);
}

/* An hour with a bookmark a minute: one list, and a watch each time the server ended one. */
static void test_an_hour_with_bookmarks_lists_once(void **state)
{
	struct fake_subject subject;
	struct world world;
	uint64_t watch_end_ms = 0;
	size_t watches = 0;

	(void)state;
	world_init(&world);
	subject = fake_subject_of_reflector(&world.reflector);
	for (unsigned minute = 0; minute < 60; minute++) {
		fake_io_run(&world.fake, &subject, serve_well, NULL, 60000);
		if (fake_count(&world.fake, "watch=true") != watches) {
			watches = fake_count(&world.fake, "watch=true");
			watch_end_ms = world.fake.now_ms + 300000;
		} else if (world.fake.now_ms >= watch_end_ms) {
			fake_end(&world.fake, 0, "");
		} else {
			fake_data(&world.fake, text_bookmark("900"));
		}
	}
	assert_int_equal(world_lists(&world), 1);
	assert_in_range(fake_count(&world.fake, "watch=true"), 6, 12);
	assert_int_equal(world.fake.cancelled, 0);
	world_free(&world);
}

/* Stopping ends the request that runs and makes no other. */
static void test_stop_cancels(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	reflector_stop(&world.reflector);
	assert_int_equal(world.fake.cancelled, 1);
	assert_op(reflector_deadline_ms(&world.reflector), ==, UINT64_MAX);
	world_pass(&world, 3600 * 1000);
	assert_int_equal(world.fake.count, 2);
	assert_string_equal(world_told(&world), "");
	world_free(&world);
}

/* Stopping between two pages forgets the pages. */
static void test_stop_aborts_a_replacement(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", "more", SLICE("a", "7")));
	reflector_stop(&world.reflector);
	assert_string_equal(world_told(&world), "begin item:a abort ");
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_then_watches),
		cmocka_unit_test(test_follows_pages),
		cmocka_unit_test(test_an_empty_list_is_a_list),
		cmocka_unit_test(test_watch_time_is_in_its_range),
		cmocka_unit_test(test_events_are_applied),
		cmocka_unit_test(test_events_cut_into_bytes),
		cmocka_unit_test(test_bookmarks_move_only_the_version),
		cmocka_unit_test(test_unknown_event_types_are_ignored),
		cmocka_unit_test(test_watches_again_after_a_clean_end),
		cmocka_unit_test(test_a_partial_event_is_dropped),
		cmocka_unit_test(test_a_minute_is_one_list_and_one_watch),
		cmocka_unit_test(test_an_hour_with_bookmarks_lists_once),
		cmocka_unit_test(test_stop_cancels),
		cmocka_unit_test(test_stop_aborts_a_replacement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
