/* takeover: a syncer that begins where the last one was killed, and what it asks the server for. */
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

#include "support/memory_journal.h"
#include "support/objects.h"
#include "support/reflector_world.h"
#include "sync/syncer.h"

#define SERVICES_PATH	  "/api/v1/namespaces/demo/services"
#define SERVICES_SELECTOR "fieldSelector=metadata.name%3Dweb"
#define SLICES_SELECTOR	  "labelSelector=kubernetes.io%2Fservice-name%3Dweb"
#define MAX_ROUTES	  8

struct route {
	const char *path;
	int status;
	const char *body;
};

struct fixture {
	struct fake_io fake;
	struct memory_journal memory;
	struct journal_options journal;
	struct syncer_options options;
	struct service_ref refs[4];
	struct syncer *syncer;
	struct route routes[MAX_ROUTES];
	unsigned route_count;
	uint64_t config_hash;
	uint32_t delay_ms;
};

static struct fixture f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	fake_io_init(&f.fake);
	memory_journal_init(&f.memory);
	f.options = (struct syncer_options){
		.refs = f.refs,
		.follow_services = true,
		.retry_delay_ms = RETRY_DELAY_MS,
		.poll_interval_ms = POLL_INTERVAL_MS,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	syncer_free(f.syncer);
	fake_io_free(&f.fake);
	memory_journal_free(&f.memory);
	return 0;
}

static void ask_for(const char *entry)
{
	char error[200];

	assert_int_equal(service_ref_parse(entry, strlen(entry), "demo",
					   &f.refs[f.options.ref_count++], error, sizeof(error)),
			 0);
}

static void route(const char *path, int status, const char *body)
{
	f.routes[f.route_count++] = (struct route){path, status, body};
}

static void route_list(const char *path, const char *kind, const char *items)
{
	route(path, 200, text_list(kind, "100", NULL, items));
}

static void forbid(const char *path)
{
	route(path, 403, text_error(403, "Forbidden", "no"));
}

/* The first route that begins like the path; watches stay open. */
static void serve(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	(void)fake;
	(void)ctx;
	for (unsigned i = 0; i < f.route_count; i++) {
		if (strncmp(request->path, f.routes[i].path, strlen(f.routes[i].path)) != 0)
			continue;
		if (request->is_watch && f.routes[i].status == 200)
			fake_serve_open(request, "");
		else
			fake_serve_answer(request, f.routes[i].status, -1, f.routes[i].body);
		return;
	}
	fail_msg("no route for %s", request->path);
}

static void tick(void *subject)
{
	syncer_tick(subject);
}

static uint64_t deadline_ms(void *subject)
{
	return syncer_deadline_ms(subject);
}

static void run(uint64_t duration_ms)
{
	struct fake_subject subject = {tick, deadline_ms, f.syncer};

	fake_io_run(&f.fake, &subject, serve, NULL, duration_ms);
	f.memory.realtime_s += duration_ms / 1000;
	syncer_save(f.syncer);
}

/* Another process: its clock goes on, its requests are counted from 0, its routes are new. */
static void start(void)
{
	static const struct logger silent;
	uint64_t now_ms = f.fake.now_ms;

	fake_io_free(&f.fake);
	fake_io_init(&f.fake);
	if (now_ms)
		f.fake.now_ms = now_ms;
	f.route_count = 0;
	f.journal = memory_journal_open(&f.memory, f.config_hash);
	f.journal.start_delay_ms = f.delay_ms;
	f.options.journal = &f.journal;
	assert_int_equal(syncer_new(&f.options, &f.fake.io, &silent, &f.syncer), 0);
	/* Copied: nothing of the caller's is used later. */
	f.options.journal = NULL;
	memset(&f.journal, 0xee, sizeof(f.journal));
}

/* kill -9: the syncer writes nothing more. @pause_ms later the next process begins. */
static void take_over(uint64_t pause_ms)
{
	syncer_free(f.syncer);
	f.syncer = NULL;
	f.fake.now_ms += pause_ms;
	f.memory.realtime_s += pause_ms / 1000;
	start();
}

/* "demo/web 10.96.0.1 10.1.0.1; " of all that changed. */
static const char *changes(void)
{
	static char text[1024];
	struct service_state state;
	char ip[INET6_ADDRSTRLEN];
	size_t length = 0;

	text[0] = '\0';
#define APPEND(...) length += (size_t)snprintf(text + length, sizeof(text) - length, __VA_ARGS__)
	while (syncer_take_changed(f.syncer, &state)) {
		APPEND("%s/%s", state.namespace, state.name);
		for (unsigned i = 0; state.service && i < state.service->cluster_ip_count; i++) {
			ip_format(&state.service->cluster_ips[i], ip, sizeof(ip));
			APPEND(" %s", ip);
		}
		for (unsigned s = 0; s < state.slice_count; s++) {
			for (unsigned e = 0; e < state.slices[s]->endpoint_count; e++) {
				ip_format(&state.slices[s]->endpoints[e].address, ip, sizeof(ip));
				APPEND(" %s", ip);
			}
		}
		APPEND("; ");
	}
#undef APPEND
	return text;
}

static void expect_requests(const char *const *paths)
{
	size_t count = 0;

	for (; paths[count]; count++) {
		bool found = false;

		for (size_t i = 0; i < f.fake.count; i++)
			found |= strncmp(f.fake.requests[i].path, paths[count],
					 strlen(paths[count])) == 0;
		if (!found)
			print_error("not asked for: %s\n", paths[count]);
		assert_true(found);
	}
	for (size_t i = 0; f.fake.count != count && i < f.fake.count; i++)
		print_error("asked for: %s\n", f.fake.requests[i].path);
	assert_int_equal(f.fake.count, count);
}

static void route_web(void)
{
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route_list(SLICES_PATH, "EndpointSliceList",
		   text_slice("a", "web", "2", "10.1.0.1 10.1.0.2"));
}

/* A writer that is in sync at version 100. */
static void first_writer(void)
{
	ask_for("web");
	start();
	route_web();
	run(1000);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1 10.1.0.2; ");
	assert_true(syncer_live(f.syncer));
	assert_false(syncer_restored(f.syncer));
}

static const char *const resume_requests[] = {
	SERVICES_PATH "?limit=1",
	SERVICES_PATH "?" SERVICES_SELECTOR "&watch=true&resourceVersion=100&",
	SLICES_PATH "?limit=1",
	SLICES_PATH "?" SLICES_SELECTOR "&watch=true&resourceVersion=100&",
	NULL,
};

static void test_the_state_is_there_before_any_request(void **state)
{
	(void)state;
	first_writer();
	take_over(5000);
	assert_true(syncer_restored(f.syncer));
	assert_true(syncer_synced(f.syncer));
	assert_true(syncer_attempted(f.syncer));
	assert_false(syncer_live(f.syncer));
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1 10.1.0.2; ");
	assert_int_equal(f.fake.count, 0);
}

static void test_it_goes_on_with_a_watch(void **state)
{
	(void)state;
	first_writer();
	take_over(5000);
	route_web();
	run(1000);
	expect_requests(resume_requests);
	assert_true(syncer_live(f.syncer));
	assert_string_equal(syncer_problem(f.syncer), "");
}

/* The version of the last event counts, and that of a bookmark, not that of the list. */
static void test_it_goes_on_from_the_last_version(void **state)
{
	(void)state;
	first_writer();
	for (size_t i = 0; i < f.fake.count; i++) {
		struct fake_request *request = &f.fake.requests[i];
		bool slices = strstr(request->path, SLICES_PATH) != NULL;
		const char *text =
			slices ? text_event("MODIFIED", text_slice("a", "web", "140", "10.1.0.9"))
			       : text_bookmark("130");

		if (request->open)
			assert_int_equal(reflector_on_data(request->reflector, text, strlen(text)),
					 0);
	}
	syncer_save(f.syncer);
	take_over(0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.9; ");
	route(SERVICES_PATH, 200, text_list("ServiceList", "150", NULL, ""));
	route(SLICES_PATH, 200, text_list("EndpointSliceList", "150", NULL, ""));
	run(0);
	assert_int_equal(fake_count(&f.fake, "&watch=true&resourceVersion=130&"), 1);
	assert_int_equal(fake_count(&f.fake, "&watch=true&resourceVersion=140&"), 1);
	assert_int_equal(f.fake.count, 4);
}

/* A process that is killed before it heard anything changes nothing for the one after it. */
static void test_a_chain_of_processes_resumes(void **state)
{
	unsigned appends;

	(void)state;
	first_writer();
	appends = f.memory.appends;
	f.delay_ms = 200;
	for (unsigned i = 0; i < 1000; i++) {
		take_over(7);
		run(100);
		assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1 10.1.0.2; ");
		assert_int_equal(f.fake.count, 0);
	}
	assert_int_equal(f.memory.appends, appends);
	take_over(7);
	route_web();
	run(200);
	expect_requests(resume_requests);
}

static void test_the_first_request_waits_for_the_delay(void **state)
{
	(void)state;
	first_writer();
	f.delay_ms = 250;
	take_over(0);
	syncer_tick(f.syncer);
	assert_int_equal(syncer_deadline_ms(f.syncer), f.fake.now_ms + 250);
	route_web();
	run(249);
	assert_int_equal(f.fake.count, 0);
	run(1);
	expect_requests(resume_requests);
}

/* Nothing to show yet: no delay. */
static void test_without_a_journal_there_is_no_delay(void **state)
{
	(void)state;
	f.delay_ms = 250;
	first_writer();
	assert_int_equal(f.fake.requests[0].at_ms, f.fake.requests[f.fake.count - 1].at_ms);
}

static void test_another_configuration_lists(void **state)
{
	(void)state;
	first_writer();
	f.config_hash = 1;
	take_over(0);
	assert_false(syncer_restored(f.syncer));
	assert_false(syncer_synced(f.syncer));
	syncer_tick(f.syncer);
	assert_int_equal(fake_count(&f.fake, "resourceVersion=0"), 2);
}

static void test_a_version_that_is_gone_is_listed_again(void **state)
{
	char watch[256];

	(void)state;
	first_writer();
	take_over(600 * 1000);
	snprintf(watch, sizeof(watch), "%s?%s&watch", SLICES_PATH, SLICES_SELECTOR);
	route(watch, 410, text_error(410, "Expired", "too old"));
	route(SERVICES_PATH, 200, text_list("ServiceList", "300", NULL, ""));
	route(SLICES_PATH, 200,
	      text_list("EndpointSliceList", "300", NULL,
			text_slice("a", "web", "290", "10.1.0.3")));
	run(0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1 10.1.0.2; ");
	f.routes[0].path = "-";
	run(2 * FIRST_PAUSE_MS);
	assert_int_equal(fake_count(&f.fake, SLICES_SELECTOR "&resourceVersion=100"), 1);
	assert_int_equal(fake_count(&f.fake, SERVICES_SELECTOR "&resourceVersion=100"), 0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.3; ");
	assert_true(syncer_live(f.syncer));
}

/* As after any lost connection: a watch from a version of the future would stay silent. */
static void test_a_server_from_a_backup_is_listed(void **state)
{
	(void)state;
	first_writer();
	take_over(0);
	route(SERVICES_PATH, 200,
	      text_list("ServiceList", "50", NULL, text_service("web", "1", "10.96.0.1")));
	route(SLICES_PATH, 200,
	      text_list("EndpointSliceList", "50", NULL, text_slice("a", "web", "40", "10.1.0.5")));
	run(0);
	assert_int_equal(fake_count(&f.fake, SLICES_SELECTOR "&limit=500"), 1);
	assert_int_equal(fake_count(&f.fake, "watch=true&resourceVersion=50&"), 2);
	assert_int_equal(fake_count(&f.fake, "resourceVersion=100"), 0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.5; ");
	/* And the next one from there. */
	take_over(0);
	route_web();
	run(0);
	assert_int_equal(fake_count(&f.fake, "watch=true&resourceVersion=50&"), 2);
}

/* The first one never got its slices: only they are listed, and at once. */
static void test_what_is_not_in_the_journal_is_listed(void **state)
{
	(void)state;
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route(SLICES_PATH, 500, "broken");
	run(0);
	f.delay_ms = 300;
	take_over(0);
	assert_true(syncer_restored(f.syncer));
	assert_false(syncer_synced(f.syncer));
	assert_false(syncer_attempted(f.syncer));
	route_web();
	run(0);
	assert_int_equal(f.fake.count, 2);
	assert_int_equal(fake_count(&f.fake, SLICES_SELECTOR "&limit=500&resourceVersion=0"), 1);
	assert_true(syncer_synced(f.syncer));
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1 10.1.0.2; ");
}

static void test_forbidden_services_stay_made_up(void **state)
{
	(void)state;
	ask_for("web:80@10.96.0.8");
	start();
	forbid(SERVICES_PATH);
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "2", "10.1.0.1"));
	run(0);
	assert_string_equal(changes(), "demo/web 10.96.0.8 10.1.0.1; ");
	take_over(0);
	assert_true(syncer_synced(f.syncer));
	assert_true(syncer_attempted(f.syncer));
	assert_string_equal(changes(), "demo/web 10.96.0.8 10.1.0.1; ");
	forbid(SERVICES_PATH);
	route_list(SLICES_PATH, "EndpointSliceList", "");
	run(1000);
	assert_int_equal(fake_count(&f.fake, SERVICES_PATH), 0);
	assert_true(syncer_live(f.syncer));
	/* Asked for again as rarely as before. */
	run(2 * LONGEST_PAUSE_MS);
	assert_in_range(fake_count(&f.fake, SERVICES_PATH), 1, 2);
	/* And once it is allowed, the stand-in goes. */
	take_over(0);
	route_web();
	run(2 * LONGEST_PAUSE_MS);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1; ");
}

static void test_the_endpoints_fallback_stays(void **state)
{
	static const char *const wanted[] = {
		SERVICES_PATH "?limit=1",
		SERVICES_PATH "?" SERVICES_SELECTOR "&watch=true&resourceVersion=100&",
		ENDPOINTS_PATH "?limit=1",
		ENDPOINTS_PATH "?" SERVICES_SELECTOR "&watch=true&resourceVersion=77&",
		NULL,
	};

	(void)state;
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	forbid(SLICES_PATH);
	route(ENDPOINTS_PATH "/web", 200, text_endpoints("web", "77", "10.1.0.1"));
	route_list(ENDPOINTS_PATH, "EndpointsList", "");
	run(0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1; ");
	/* Twice: from the events, and from the snapshot that the second one writes. */
	for (unsigned i = 0; i < 2; i++) {
		take_over(1000);
		assert_true(syncer_synced(f.syncer));
		assert_true(syncer_attempted(f.syncer));
		assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.1; ");
		route_list(SERVICES_PATH, "ServiceList", "");
		forbid(SLICES_PATH);
		route_list(ENDPOINTS_PATH, "EndpointsList", "");
		run(1000);
		expect_requests(wanted);
		assert_true(syncer_live(f.syncer));
	}
	/* Slices may be read at last: the Endpoints are not needed any more, nor restored. */
	f.routes[1] = (struct route){SLICES_PATH, 200,
				     text_list("EndpointSliceList", "100", NULL,
					       text_slice("a", "web", "2", "10.1.0.6"))};
	run(2 * LONGEST_PAUSE_MS);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.6; ");
	take_over(0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 10.1.0.6; ");
	route_web();
	run(0);
	expect_requests(resume_requests);
}

/* Read by name only, and absent: that is its state, without a version to watch from. */
static void test_an_absent_endpoints_object_stays_absent(void **state)
{
	(void)state;
	f.options.discovery = SYNCER_ENDPOINTS;
	f.options.follow_services = false;
	ask_for("web");
	start();
	route(ENDPOINTS_PATH "/web", 404, text_error(404, "NotFound", "no"));
	forbid(ENDPOINTS_PATH);
	run(0);
	assert_true(syncer_synced(f.syncer));
	f.delay_ms = 50;
	take_over(0);
	assert_true(syncer_synced(f.syncer));
	assert_string_equal(changes(), "demo/web; ");
	route(ENDPOINTS_PATH "/web", 200, text_endpoints("web", "7", "10.1.0.1"));
	route(ENDPOINTS_PATH, 200, text_list("EndpointsList", "9", NULL, ""));
	run(50);
	assert_string_equal(f.fake.requests[0].path, ENDPOINTS_PATH "/web");
	assert_string_equal(changes(), "demo/web 10.1.0.1; ");
}

static void test_each_namespace_is_resumed(void **state)
{
	(void)state;
	ask_for("web");
	ask_for("other/*");
	start();
	route_web();
	route("/api/v1/namespaces/other/", 200, text_list("ServiceList", "200", NULL, ""));
	route("/apis/discovery.k8s.io/v1/namespaces/other/", 200,
	      text_list("EndpointSliceList", "201", NULL, ""));
	run(0);
	take_over(0);
	route("/api/", 200, text_list("ServiceList", "300", NULL, ""));
	route("/apis/", 200, text_list("EndpointSliceList", "300", NULL, ""));
	run(0);
	assert_int_equal(f.fake.count, 8);
	assert_int_equal(fake_count(&f.fake, "limit=1"), 4);
	assert_int_equal(fake_count(&f.fake, "other/services?watch=true&resourceVersion=200&"), 1);
	assert_int_equal(
		fake_count(&f.fake, "other/endpointslices?watch=true&resourceVersion=201&"), 1);
	assert_int_equal(fake_count(&f.fake, "watch=true&resourceVersion=100&"), 2);
}

/* A table may say how old it is, whoever heard the server last. */
static void test_the_last_contact_is_known(void **state)
{
	uint64_t heard_ms;

	(void)state;
	first_writer();
	heard_ms = syncer_last_heard_ms(f.syncer);
	take_over(3600 * 1000);
	assert_in_range(syncer_last_heard_ms(f.syncer), heard_ms - 1000, heard_ms + 1000);
	/* Before this machine was started. */
	take_over(0);
	syncer_free(f.syncer);
	f.syncer = NULL;
	f.memory.realtime_s += 30 * 86400;
	start();
	assert_int_equal(syncer_last_heard_ms(f.syncer), 1);
}

static void test_an_idle_writer_writes_nothing(void **state)
{
	unsigned appends;

	(void)state;
	first_writer();
	appends = f.memory.appends;
	run(60 * 1000);
	assert_int_equal(f.memory.appends, appends);
	assert_true(syncer_live(f.syncer));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_state_is_there_before_any_request),
		TEST(test_it_goes_on_with_a_watch),
		TEST(test_it_goes_on_from_the_last_version),
		TEST(test_a_chain_of_processes_resumes),
		TEST(test_the_first_request_waits_for_the_delay),
		TEST(test_without_a_journal_there_is_no_delay),
		TEST(test_another_configuration_lists),
		TEST(test_a_version_that_is_gone_is_listed_again),
		TEST(test_a_server_from_a_backup_is_listed),
		TEST(test_what_is_not_in_the_journal_is_listed),
		TEST(test_forbidden_services_stay_made_up),
		TEST(test_the_endpoints_fallback_stays),
		TEST(test_an_absent_endpoints_object_stays_absent),
		TEST(test_each_namespace_is_resumed),
		TEST(test_the_last_contact_is_known),
		TEST(test_an_idle_writer_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
