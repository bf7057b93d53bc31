/* first lists: when a writer that takes over asks, and when what it has heard is the whole. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"
#include "support/reflector_world.h"
#include "sync/syncer.h"
#include "support/assert_op.h"

#define DEMO_SERVICES  "/api/v1/namespaces/demo/services"
#define DEMO_SLICES    "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
#define OTHER_SERVICES "/api/v1/namespaces/other/services"
#define OTHER_SLICES   "/apis/discovery.k8s.io/v1/namespaces/other/endpointslices"
#define DELAY_MS       700

static struct fake_io fake;
static struct service_ref refs[2];
static struct syncer *syncer;

static int teardown(void **state)
{
	(void)state;
	syncer_free(syncer);
	fake_io_free(&fake);
	return 0;
}

/* Follows demo/web and other/db. */
static void start(uint32_t delay_ms)
{
	static const struct logger silent;
	struct syncer_options options = {
		.refs = refs,
		.ref_count = 2,
		.follow_services = true,
		.retry_delay_ms = RETRY_DELAY_MS,
		.sync_interval_ms = SYNC_INTERVAL_MS,
		.start_delay_ms = delay_ms,
	};
	char error[200];

	fake_io_init(&fake);
	assert_int_equal(service_ref_parse("web", 3, "demo", &refs[0], error, sizeof(error)), 0);
	assert_int_equal(service_ref_parse("other/db", 8, "demo", &refs[1], error, sizeof(error)),
			 0);
	assert_int_equal(syncer_new(&options, &fake.io, &silent, &syncer), 0);
	syncer_tick(syncer);
}

/* Answers the open list of the path; a watch that follows stays open. */
static void answer(const char *path, int status, const char *body)
{
	for (size_t i = 0; i < fake.count; i++) {
		struct fake_request *request = &fake.requests[i];

		if (request->open && !request->is_watch &&
		    strncmp(request->path, path, strlen(path)) == 0) {
			fake_serve_answer(request, status, -1, body);
			return;
		}
	}
	fail_msg("no list of %s is open", path);
}

static void answer_demo(void)
{
	answer(DEMO_SERVICES, 200,
	       text_list("ServiceList", "100", NULL, text_service("web", "1", "10.96.0.1")));
	answer(DEMO_SLICES, 200,
	       text_list("EndpointSliceList", "100", NULL,
			 text_slice("a", "web", "2", "10.1.0.1")));
}

static void answer_other(void)
{
	answer(OTHER_SERVICES, 200, text_list("ServiceList", "100", NULL, ""));
	answer(OTHER_SLICES, 200, text_list("EndpointSliceList", "100", NULL, ""));
}

static void pass(uint64_t ms)
{
	fake.now_ms += ms;
	syncer_tick(syncer);
}

static void test_a_first_table_is_listed_at_once(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(fake.count, 4);
}

static void test_no_list_before_the_delay(void **state)
{
	(void)state;
	start(DELAY_MS);
	assert_int_equal(syncer_state(syncer).due_ms, fake.now_ms + DELAY_MS);
	pass(DELAY_MS - 1);
	assert_int_equal(fake.count, 0);
	pass(1);
	assert_int_equal(fake.count, 4);
}

/* It is for what is served already, not for what the lists show to be needed. */
static void test_a_stand_in_is_not_delayed(void **state)
{
	(void)state;
	start(DELAY_MS);
	pass(DELAY_MS);
	answer_demo();
	answer(OTHER_SERVICES, 200, text_list("ServiceList", "100", NULL, ""));
	answer(OTHER_SLICES, 403, text_error(403, "Forbidden", "no"));
	syncer_tick(syncer);
	assert_false(syncer_state(syncer).settled);
	assert_int_equal(
		fake_count(&fake,
			   "/api/v1/namespaces/other/endpoints?fieldSelector=metadata.name%3Ddb"),
		1);
	answer("/api/v1/namespaces/other/endpoints?fieldSelector=metadata.name%3Ddb", 200,
	       text_list("EndpointsList", "100", NULL, text_endpoints("db", "7", "10.1.0.1")));
	assert_true(syncer_state(syncer).settled);
}

static void test_the_whole_is_what_all_lists_say(void **state)
{
	(void)state;
	start(0);
	assert_false(syncer_state(syncer).settled);
	answer_demo();
	assert_true(syncer_state(syncer).synced);
	assert_false(syncer_state(syncer).settled);
	answer_other();
	assert_true(syncer_state(syncer).settled);
}

static void test_a_list_that_fails_is_left_out(void **state)
{
	struct service_state service;

	(void)state;
	start(0);
	answer_demo();
	answer(OTHER_SERVICES, 200, text_list("ServiceList", "100", NULL, ""));
	answer(OTHER_SLICES, 500, text_error(500, "InternalError", "no"));
	assert_true(syncer_state(syncer).settled);
	assert_true(syncer_take_changed(syncer, &service));
	assert_string_equal(service.name, "web");
	assert_false(syncer_take_changed(syncer, &service));
}

static void test_a_list_of_more_than_ten_seconds_is_left_out(void **state)
{
	struct service_state service;

	(void)state;
	start(DELAY_MS);
	pass(DELAY_MS);
	answer_demo();
	answer(OTHER_SERVICES, 200,
	       text_list("ServiceList", "100", NULL,
			 "{\"metadata\":{\"name\":\"db\",\"namespace\":\"other\"},"
			 "\"spec\":{\"clusterIP\":\"10.96.0.2\",\"ports\":[{\"port\":80}]}}"));
	assert_int_equal(syncer_state(syncer).due_ms, fake.now_ms + SYNCER_LONGEST_LIST_MS);
	pass(SYNCER_LONGEST_LIST_MS - 1);
	assert_false(syncer_state(syncer).settled);
	pass(1);
	assert_true(syncer_state(syncer).settled);
	assert_false(syncer_state(syncer).attempted);
	/* Nothing is due for that any more. */
	assert_op(syncer_state(syncer).due_ms, >, fake.now_ms);
	assert_true(syncer_take_changed(syncer, &service));
	assert_string_equal(service.name, "web");
	assert_false(syncer_take_changed(syncer, &service));

	/* And it is in as soon as it has come. */
	answer(OTHER_SLICES, 200, text_list("EndpointSliceList", "100", NULL, ""));
	assert_true(syncer_take_changed(syncer, &service));
	assert_string_equal(service.name, "db");
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_first_table_is_listed_at_once),
		TEST(test_no_list_before_the_delay),
		TEST(test_a_stand_in_is_not_delayed),
		TEST(test_the_whole_is_what_all_lists_say),
		TEST(test_a_list_that_fails_is_left_out),
		TEST(test_a_list_of_more_than_ten_seconds_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
