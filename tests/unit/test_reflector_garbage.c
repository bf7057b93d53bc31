/* reflector: answers that make no sense, and how often a broken server is asked in the long run. */
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

#include "base/limits.h"
#include "support/objects.h"
#include "support/reflector_world.h"
#include "support/assert_op.h"

#define LIST(version, next, items) text_list("EndpointSliceList", version, next, items)
#define SLICE(name, version)	   text_slice(name, "web", version, "10.1.0.1")
#define LIST_QUERY		   SLICES_PATH "?labelSelector=app%3Dweb"
/* Names itself, and its addressType is no text. */
#define BAD_SLICE(name)                                                                          \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"demo\",\"resourceVersion\":\"8\"," \
	"\"labels\":{\"kubernetes.io/service-name\":\"web\"}},\"addressType\":7,"                \
	"\"endpoints\":[],\"ports\":[]}"

/* An event that cannot be read costs only itself: the next one is applied. */
static void test_a_bad_event_costs_only_itself(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	assert_int_equal(fake_data(&world.fake, text_event("MODIFIED", BAD_SLICE("a"))), 0);
	assert_string_equal(world_told(&world), "");
	assert_string_equal(world.reflector.resource_version, "100");
	assert_non_null(strstr(world.logged.data, "an event cannot be used"));
	assert_int_equal(fake_data(&world.fake, text_event("MODIFIED", SLICE("b", "102"))), 0);
	assert_string_equal(world_told(&world), "upsert:b ");
	world_free(&world);
}

/* More values than are read: not even its name is. It costs only itself in a list and in a watch.
 */
static void test_an_object_of_too_many_values_costs_only_itself(void **state)
{
	static const char head[] =
		"{\"metadata\":{\"name\":\"b\",\"namespace\":\"demo\"},\"ports\":[";
	char *zeros = malloc(2 * (size_t)LIMIT_OBJECT_VALUES + 1);
	struct world world;

	(void)state;
	assert_non_null(zeros);
	for (size_t i = 0; i < LIMIT_OBJECT_VALUES; i++)
		memcpy(zeros + 2 * i, "0,", 2);
	zeros[2 * (size_t)LIMIT_OBJECT_VALUES] = '\0';
	world_init(&world);
	fake_status(&world.fake, 200, -1);
	assert_int_equal(fake_data(&world.fake, "{\"kind\":\"EndpointSliceList\",\"metadata\":"
						"{\"resourceVersion\":\"100\"},\"items\":["),
			 0);
	assert_int_equal(fake_data(&world.fake, head), 0);
	assert_int_equal(fake_data(&world.fake, zeros), 0);
	assert_int_equal(fake_data(&world.fake, "0]},"), 0);
	assert_int_equal(fake_data(&world.fake, SLICE("a", "90")), 0);
	assert_int_equal(fake_data(&world.fake, "]}"), 0);
	fake_end(&world.fake, 0, "");
	assert_string_equal(world_told(&world), "begin item:a commit ");
	assert_non_null(strstr(world.logged.data, "an item cannot be used: an object of more than "
						  "524288 values"));
	fake_status(&world.fake, 200, -1);
	assert_int_equal(fake_data(&world.fake, "{\"type\":\"MODIFIED\",\"object\":"), 0);
	assert_int_equal(fake_data(&world.fake, head), 0);
	assert_int_equal(fake_data(&world.fake, zeros), 0);
	assert_int_equal(fake_data(&world.fake, "0]}}\n"), 0);
	assert_int_equal(fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "102"))), 0);
	assert_string_equal(world_told(&world), "upsert:a ");
	free(zeros);
	world_free(&world);
}

/* An event that could not be kept is not passed over: its version is not taken, a list follows. */
static void test_an_event_that_the_sink_refuses_is_not_lost(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.refuse = -ENOMEM;
	assert_op(fake_data(&world.fake, text_event("MODIFIED", SLICE("a", "130"))), !=, 0);
	fake_end(&world.fake, -ECANCELED, "");
	assert_string_equal(world.reflector.resource_version, "100");
	world.refuse = 0;
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=100");
	world_free(&world);
}

/* The same bad event a hundred times is one line. */
static void test_a_bad_event_is_told_once(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	assert_int_equal(fake_data(&world.fake, text_event("MODIFIED", BAD_SLICE("a"))), 0);
	buffer_clear(&world.logged);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(fake_data(&world.fake, text_event("MODIFIED", BAD_SLICE("a"))), 0);
	assert_int_equal(world.logged.length, 0);
	world_free(&world);
}

/* The end of a flood: the rest counts as come already, as all of it takes a minute under valgrind.
 */
#define LAST_EVENTS 1000u
#define LAST_BYTES  (4u * 1024 * 1024)

/* How often @event is taken until the watch is ended by us; none of them is lost. */
static unsigned flood(struct world *world, const char *event, unsigned pass_ms)
{
	unsigned count = 0;

	world->reflector.stream.objects += LIMIT_WATCH_EVENTS - LAST_EVENTS;
	world->reflector.watch_bytes += LIMIT_WATCH_BYTES - LAST_BYTES;
	do {
		assert_int_equal(world->reflector.state, REFLECTOR_RUNNING);
		world->fake.now_ms += count == 0 ? pass_ms : 0;
		count++;
	} while (fake_data(&world->fake, event) == 0);
	fake_end(&world->fake, -ECANCELED, "");
	return count;
}

/* A server that sends without end is heard again when half a minute is over, from where it was, and
 * that is said once. One that had so much to tell in that time is heard on at once. */
static void test_a_flood(void **state)
{
	const char *event;
	struct world world;

	(void)state;
	world_init_watching(&world);
	event = text_bookmark("101");
	assert_int_equal(flood(&world, event, 0), LAST_EVENTS + 1);
	assert_int_equal(world_pause_ms(&world), LIMIT_WATCH_MS);
	assert_non_null(strstr(world.logged.data, "bytes or 262144 events in less than 30 s"));
	buffer_clear(&world.logged);
	for (unsigned i = 0; i < 3; i++) {
		world_pass(&world, world_pause_ms(&world));
		assert_non_null(strstr(fake_path(&world.fake), "watch=true&resourceVersion=101&"));
		fake_status(&world.fake, 200, -1);
		flood(&world, event, 10000);
		assert_int_equal(world_pause_ms(&world), LIMIT_WATCH_MS - 10000);
	}
	world_pass(&world, world_pause_ms(&world));
	fake_status(&world.fake, 200, -1);
	flood(&world, event, LIMIT_WATCH_MS);
	assert_int_equal(world.reflector.state, REFLECTOR_RUNNING);
	assert_int_equal(world.logged.length, 0);
	world_free(&world);
}

/* The same for bytes: a text without end of which no event comes. */
static void test_a_flood_of_bytes(void **state)
{
	static char space[1024 * 1024 + 1];
	struct world world;

	(void)state;
	memset(space, ' ', sizeof(space) - 1);
	world_init_watching(&world);
	assert_int_equal(flood(&world, space, 0), LAST_BYTES / (sizeof(space) - 1) + 1);
	assert_int_equal(world_pause_ms(&world), LIMIT_WATCH_MS);
	world_free(&world);
}

/* An item that names itself keeps its last good version; the rest of the list counts. */
static void test_a_bad_item_keeps_its_last_version(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200,
		    LIST("100", NULL, text_join(SLICE("a", "7"), BAD_SLICE("b"))));
	assert_string_equal(world_told(&world), "begin item:a keep:b commit ");
	assert_true(world.reflector.synced);
	assert_non_null(strstr(world.logged.data, "demo/b cannot be used"));
	world_free(&world);
}

/* Whatever is wrong with a list as a whole, nothing has happened to the collection. */
static void test_a_garbled_list_changes_nothing(void **state)
{
	static const char *const bodies[] = {
		"",
		"<html>502 Bad Gateway</html>",
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"9\"},"
		"\"items\":[",
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"9\"},"
		"\"items\":[{}]}",
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"9\"},"
		"\"items\":[7]}",
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"9\"}}",
		"{\"kind\":\"EndpointSliceList\",\"metadata\":{},\"items\":[]}",
		"{\"kind\":\"EndpointSliceList\",\"items\":[]}",
		"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}",
		"{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Success\"}",
		"{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}}",
		"\x1f\x8b\x08",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct world world;
		const char *told;

		world_init(&world);
		fake_answer(&world.fake, 200, bodies[i]);
		told = world_told(&world);
		if (strcmp(told, "begin abort ") != 0)
			fail_msg("%s: %s", bodies[i], told);
		assert_false(world.reflector.synced);
		assert_int_not_equal(world.reflector.contact, REFLECTOR_NEW);
		assert_true(world.reflector.problem[0]);
		assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
		world_free(&world);
	}
}

/* A second page that is garbage takes the first one with it. */
static void test_a_garbled_page_aborts_the_list(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 200, LIST("100", "more", SLICE("a", "7")));
	fake_answer(&world.fake, 200, "garbage");
	assert_string_equal(world_told(&world), "begin item:a abort ");
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&limit=500&resourceVersion=0");
	world_free(&world);
}

/* A watch that is no JSON ends, and a list makes sure of the state. */
static void test_a_garbled_watch_lists(void **state)
{
	struct world world;

	(void)state;
	world_init_watching(&world);
	world.fake.now_ms += 5000;
	assert_op(fake_data(&world.fake, "]]]garbage"), !=, 0);
	fake_end(&world.fake, -ECANCELED, "");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS);
	assert_non_null(strstr(world.reflector.problem, "garbled"));
	world_pass(&world, world_pause_ms(&world));
	assert_string_equal(fake_path(&world.fake), LIST_QUERY "&resourceVersion=100");
	world_free(&world);
}

/* The same trouble is told once, its end too. */
static void test_the_same_problem_is_logged_once(void **state)
{
	struct world world;
	size_t length;

	(void)state;
	world_init(&world);
	fake_answer(&world.fake, 503, "down");
	length = world.logged.length;
	assert_op(length, >, 0u);
	for (unsigned i = 0; i < 5; i++) {
		world_pass(&world, world_pause_ms(&world));
		fake_answer(&world.fake, 503, "down");
	}
	assert_int_equal(world.logged.length, length);
	world_pass(&world, world_pause_ms(&world));
	fake_answer(&world.fake, 200, LIST("1", NULL, ""));
	assert_string_equal(world.reflector.problem, "");
	world_free(&world);
}

/* curl says how long each try lasted, which makes no problem of it that is new. */
static void test_a_problem_of_another_duration_is_logged_once(void **state)
{
	static const char *const same[] = {
		"Failed to connect to 10.0.0.1 after 1 ms: refused",
		"Failed to connect to 10.0.0.1 after 0 ms: refused",
		"Failed to connect to 10.0.0.1 after 123 ms: refused",
	};
	static const char *const others[] = {
		"Failed to connect to 10.0.0.1 after 123 ms: reset",
		"Failed to connect to 10.0.0.2 after 123 ms: reset",
		"Failed to connect to 10.0.0.2 after 123 ms",
		"Failed to connect to 10.0.0.2 after ",
		"Failed to connect to 10.0.0.2 after",
	};
	struct world world;
	size_t length;

	(void)state;
	world_init(&world);
	fake_end(&world.fake, -ECONNREFUSED, same[0]);
	length = world.logged.length;
	assert_op(length, >, 0u);
	for (unsigned i = 0; i < 6; i++) {
		world_pass(&world, world_pause_ms(&world));
		fake_end(&world.fake, -ECONNREFUSED, same[i % 3]);
	}
	assert_int_equal(world.logged.length, length);
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
		world_pass(&world, world_pause_ms(&world));
		fake_end(&world.fake, -ECONNREFUSED, others[i]);
		assert_op(world.logged.length, >, length);
		length = world.logged.length;
		assert_string_equal(world.reflector.problem, others[i]);
	}
	world_free(&world);
}

/* ---- no hot loop, whatever the server does ---- */

enum failure {
	FAIL_REFUSED,
	FAIL_SILENT,
	FAIL_500,
	FAIL_401,
	FAIL_403,
	FAIL_410,
	FAIL_TOO_LARGE,
	FAIL_429,
	FAIL_GARBAGE,
	FAIL_EXPIRED_PAGES,
	FAIL_ENDLESS_PAGES,
	FAIL_REPEATED_PAGE,
	FAIL_WATCH_REFUSED,
	FAIL_WATCH_SHORT,
	FAIL_WATCH_RESET_AT_ONCE,
	FAIL_WATCH_410_EVENT,
	FAIL_WATCH_500_EVENT,
	FAIL_WATCH_EVENT_THEN_RESET,
	FAIL_WATCH_GARBAGE,
	FAIL_WATCH_401,
	FAIL_COUNT,
};

static void serve_list_failure(struct fake_request *request, enum failure failure)
{
	switch (failure) {
	case FAIL_REFUSED:
		fake_serve_error(request, -ECONNREFUSED, "nobody listens");
		break;
	case FAIL_SILENT:
		break;
	case FAIL_500:
		fake_serve_answer(request, 500, -1, "oops");
		break;
	case FAIL_401:
		fake_serve_answer(request, 401, -1, "Unauthorized");
		break;
	case FAIL_403:
		fake_serve_answer(request, 403, -1, text_error(403, "Forbidden", "no"));
		break;
	case FAIL_410:
		fake_serve_answer(request, 410, -1, text_error(410, "Gone", "old"));
		break;
	case FAIL_TOO_LARGE:
		fake_serve_answer(request, 504, -1, text_too_large());
		break;
	case FAIL_429:
		fake_serve_answer(request, 429, -1, "Too many requests");
		break;
	case FAIL_GARBAGE:
		fake_serve_answer(request, 200, -1, "garbage");
		break;
	case FAIL_EXPIRED_PAGES:
		if (strstr(request->path, "continue="))
			fake_serve_answer(request, 410, -1, text_error(410, "Expired", "old"));
		else
			fake_serve_answer(request, 200, -1, LIST("100", "old", SLICE("a", "7")));
		break;
	case FAIL_ENDLESS_PAGES:
		fake_serve_answer(request, 200, -1, LIST("100", "again", ""));
		break;
	case FAIL_REPEATED_PAGE:
		fake_serve_answer(request, 200, -1, LIST("100", "again", SLICE("a", "7")));
		break;
	default:
		fake_serve_answer(request, 200, -1, LIST("100", NULL, SLICE("a", "7")));
	}
}

static void serve_watch_failure(struct fake_request *request, enum failure failure)
{
	switch (failure) {
	case FAIL_WATCH_REFUSED:
		fake_serve_error(request, -ECONNREFUSED, "nobody listens");
		break;
	case FAIL_WATCH_SHORT:
		fake_serve_answer(request, 200, -1, "");
		break;
	case FAIL_WATCH_RESET_AT_ONCE:
		fake_serve_open(request, "");
		fake_serve_error(request, -EIO, "reset");
		break;
	case FAIL_WATCH_410_EVENT:
		fake_serve_answer(request, 200, -1,
				  text_event("ERROR", text_error(410, "Expired", "old")));
		break;
	case FAIL_WATCH_500_EVENT:
		fake_serve_answer(request, 200, -1,
				  text_event("ERROR", text_error(500, "InternalError", "oops")));
		break;
	case FAIL_WATCH_EVENT_THEN_RESET:
		fake_serve_open(request, text_event("MODIFIED", SLICE("a", "120")));
		fake_serve_error(request, -EIO, "reset");
		break;
	case FAIL_WATCH_GARBAGE:
		fake_serve_answer(request, 200, -1, "garbage");
		break;
	case FAIL_WATCH_401:
		fake_serve_answer(request, 401, -1, "Unauthorized");
		break;
	default:
		fail_msg("no watch was expected: %s", request->path);
	}
}

static void serve_failure(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	const enum failure *failure = ctx;

	(void)fake;
	if (request->is_watch)
		serve_watch_failure(request, *failure);
	else
		serve_list_failure(request, *failure);
}

/* One round of the backoff costs at most a list, a second try at once and a watch, or the pages. */
#define REQUESTS_A_ROUND 4

static void run_failures(uint64_t duration_ms, unsigned rounds)
{
	for (enum failure failure = FAIL_REFUSED; failure < FAIL_COUNT; failure++) {
		struct fake_subject subject;
		struct world world;

		world_init(&world);
		subject = fake_subject_of_reflector(&world.reflector);
		fake_io_run(&world.fake, &subject, serve_failure, &failure, duration_ms);
		if (world.fake.count > (size_t)rounds * REQUESTS_A_ROUND)
			fail_msg("failure %d: %zu requests in %u s", failure, world.fake.count,
				 (unsigned)(duration_ms / 1000));
		if (world.fake.count < 2)
			fail_msg("failure %d: never tried again", failure);
		world_free(&world);
	}
}

/* A minute of each failure: pauses of at least 0.8, 1.7, 3.3, 6.7, 13.3, 26.7 s are 7 rounds. */
static void test_a_minute_of_each_failure_is_no_hot_loop(void **state)
{
	(void)state;
	run_failures(60000, 7);
}

/* An hour of each failure: 7 rounds in the first minute, then one every 30 s at most. */
static void test_an_hour_of_each_failure_is_no_hot_loop(void **state)
{
	(void)state;
	run_failures(3600000, 7 + 3600 / 30);
}

/* The server is asked in ever longer intervals until the cap, each pause in [d, 2d). */
static void test_pauses_double_up_to_the_cap(void **state)
{
	uint64_t expected_ms = FIRST_PAUSE_MS;
	struct world world;

	(void)state;
	world_init(&world);
	for (unsigned i = 0; i < 12; i++) {
		fake_answer(&world.fake, 500, "oops");
		assert_in_range(world_pause_ms(&world), expected_ms, 2 * expected_ms - 1);
		expected_ms *= 2;
		if (expected_ms > LONGEST_PAUSE_MS)
			expected_ms = LONGEST_PAUSE_MS;
		world_pass(&world, world_pause_ms(&world));
	}
	/* Two good minutes, and it begins again. */
	fake_answer(&world.fake, 200, LIST("100", NULL, ""));
	fake_status(&world.fake, 200, -1);
	world.fake.now_ms += 120001;
	fake_end(&world.fake, 0, "");
	fake_answer(&world.fake, 500, "oops");
	assert_in_range(world_pause_ms(&world), FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS - 1);
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bad_event_costs_only_itself),
		cmocka_unit_test(test_a_bad_event_is_told_once),
		cmocka_unit_test(test_an_object_of_too_many_values_costs_only_itself),
		cmocka_unit_test(test_a_flood),
		cmocka_unit_test(test_a_flood_of_bytes),
		cmocka_unit_test(test_an_event_that_the_sink_refuses_is_not_lost),
		cmocka_unit_test(test_a_bad_item_keeps_its_last_version),
		cmocka_unit_test(test_a_garbled_list_changes_nothing),
		cmocka_unit_test(test_a_garbled_page_aborts_the_list),
		cmocka_unit_test(test_a_garbled_watch_lists),
		cmocka_unit_test(test_the_same_problem_is_logged_once),
		cmocka_unit_test(test_a_problem_of_another_duration_is_logged_once),
		cmocka_unit_test(test_a_minute_of_each_failure_is_no_hot_loop),
		cmocka_unit_test(test_an_hour_of_each_failure_is_no_hot_loop),
		cmocka_unit_test(test_pauses_double_up_to_the_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
