/* syncer: which collections are followed for which entries, and what stands in for what is refused.
 */
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
#include "sync/syncer.h"
#include "support/assert_op.h"

#define SERVICES_PATH	    "/api/v1/namespaces/demo/services"
#define OTHER_SERVICES_PATH "/api/v1/namespaces/other/services"
#define MAX_REFS	    64
#define MAX_ROUTES	    8

/* What the server says to a list of a path that begins like this; watches stay open. */
struct route {
	const char *path;
	int status;
	const char *body;
};

struct fixture {
	struct fake_io fake;
	struct syncer_options options;
	struct service_ref refs[MAX_REFS];
	struct syncer *syncer;
	struct route routes[MAX_ROUTES]; /* the first one that fits counts */
	unsigned route_count;
};

static struct fixture f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	fake_io_init(&f.fake);
	f.options = (struct syncer_options){
		.refs = f.refs,
		.follow_services = true,
		.retry_delay_ms = RETRY_DELAY_MS,
		.sync_interval_ms = SYNC_INTERVAL_MS,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	syncer_free(f.syncer);
	fake_io_free(&f.fake);
	return 0;
}

static void ask_for(const char *entry)
{
	char error[200];

	if (service_ref_parse(entry, strlen(entry), "demo", &f.refs[f.options.ref_count++], error,
			      sizeof(error)) < 0)
		fail_msg("%s: %s", entry, error);
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
	route(path, 403, text_error(403, "Forbidden", path));
}

static void serve(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	(void)fake;
	(void)ctx;
	for (unsigned i = 0; i < f.route_count; i++) {
		size_t length = strlen(f.routes[i].path);

		if (strncmp(request->path, f.routes[i].path, length) != 0)
			continue;
		if (request->is_watch)
			fake_serve_open(request, "");
		else
			fake_serve_answer(request, f.routes[i].status, -1, f.routes[i].body);
		return;
	}
	fake_serve_answer(request, 404, -1, text_error(404, "NotFound", "no such thing"));
}

static void tick(void *subject)
{
	syncer_tick(subject);
}

static uint64_t deadline_ms(void *subject)
{
	return syncer_state(subject).due_ms;
}

static void run(uint64_t duration_ms)
{
	struct fake_subject subject = {tick, deadline_ms, f.syncer};

	fake_io_run(&f.fake, &subject, serve, NULL, duration_ms);
}

static void start(void)
{
	static const struct logger silent;

	assert_int_equal(syncer_new(&f.options, &f.fake.io, &silent, &f.syncer), 0);
	syncer_tick(f.syncer);
}

static size_t lists(void)
{
	return f.fake.count - fake_count(&f.fake, "watch=true");
}

static void expect_request(const char *path)
{
	for (size_t i = 0; i < f.fake.count; i++) {
		if (strcmp(f.fake.requests[i].path, path) == 0)
			return;
	}
	for (size_t i = 0; i < f.fake.count; i++)
		print_error("asked: %s\n", f.fake.requests[i].path);
	fail_msg("never asked: %s", path);
}

/* "demo/web 10.96.0.1 :80 10.1.0.1; " of all that changed. */
static const char *changes(void)
{
	static char text[4096];
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
		for (unsigned i = 0; state.service && i < state.service->port_count; i++)
			APPEND(" %s:%u", state.service->ports[i].name,
			       state.service->ports[i].port);
		for (unsigned s = 0; s < state.slice_count; s++) {
			for (unsigned e = 0; e < state.slices[s]->endpoint_count; e++) {
				ip_format(&state.slices[s]->endpoints[e].address, ip, sizeof(ip));
				APPEND(" %s", ip);
			}
		}
		if (!state.service && !state.slice_count)
			APPEND(" gone");
		APPEND("; ");
	}
#undef APPEND
	return text;
}

/* ---- which collections ---- */

/* One name: both collections are narrowed to it. */
static void test_one_name(void **state)
{
	(void)state;
	ask_for("web");
	start();
	assert_int_equal(f.fake.count, 2);
	expect_request(SERVICES_PATH
		       "?fieldSelector=metadata.name%3Dweb&limit=500&resourceVersion=0");
	expect_request(SLICES_PATH "?labelSelector=kubernetes.io%2Fservice-name%3Dweb"
				   "&limit=500&resourceVersion=0");
}

/* Several names: one collection of their slices. A field selector takes no set of names, so all
 * Services are listed and those not asked for are dropped. */
static void test_several_names(void **state)
{
	(void)state;
	ask_for("web:80");
	ask_for("db");
	ask_for("web:443");
	start();
	assert_int_equal(f.fake.count, 2);
	expect_request(SERVICES_PATH "?limit=500&resourceVersion=0");
	expect_request(SLICES_PATH
		       "?labelSelector=kubernetes.io%2Fservice-name%20in%20%28web%2Cdb%29"
		       "&limit=500&resourceVersion=0");
	route_list(SERVICES_PATH, "ServiceList",
		   text_join(text_service("web", "1", "10.96.0.1"),
			     text_service("other", "2", "10.96.0.2")));
	route_list(SLICES_PATH, "EndpointSliceList", "");
	run(0);
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80; ");
}

/* Too many names for a URL: all slices, and those not asked for are dropped. */
static void test_many_names_are_filtered_here(void **state)
{
	char entry[32];

	(void)state;
	for (unsigned i = 0; i < 51; i++) {
		snprintf(entry, sizeof(entry), "web-%u", i);
		ask_for(entry);
	}
	start();
	expect_request(SLICES_PATH "?limit=500&resourceVersion=0");
	route_list(SERVICES_PATH, "ServiceList", "");
	route_list(SLICES_PATH, "EndpointSliceList",
		   text_join(text_slice("a", "web-50", "1", "10.1.0.1"),
			     text_slice("b", "web-51", "2", "10.1.0.2")));
	run(0);
	assert_string_equal(changes(), "demo/web-50 10.1.0.1; ");
}

/* Fifty names still fit. */
static void test_fifty_names_are_a_selector(void **state)
{
	char entry[32];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(entry, sizeof(entry), "web-%u", i);
		ask_for(entry);
	}
	start();
	assert_int_equal(fake_count(&f.fake, "labelSelector="), 1);
}

/* "*": everything of the namespace. */
static void test_a_whole_namespace(void **state)
{
	(void)state;
	ask_for("*");
	ask_for("web");
	start();
	assert_int_equal(f.fake.count, 2);
	expect_request(SERVICES_PATH "?limit=500&resourceVersion=0");
	expect_request(SLICES_PATH "?limit=500&resourceVersion=0");
}

/* Everything of all namespaces makes collections of single ones superfluous. */
static void test_all_namespaces(void **state)
{
	(void)state;
	ask_for("web");
	ask_for("*/*");
	start();
	assert_int_equal(f.fake.count, 2);
	expect_request("/api/v1/services?limit=500&resourceVersion=0");
	expect_request("/apis/discovery.k8s.io/v1/endpointslices?limit=500&resourceVersion=0");
}

/* Each namespace has its own collections. */
static void test_two_namespaces(void **state)
{
	(void)state;
	ask_for("web");
	ask_for("other/web");
	start();
	assert_int_equal(f.fake.count, 4);
	assert_int_equal(fake_count(&f.fake, "/namespaces/demo/"), 2);
	assert_int_equal(fake_count(&f.fake, "/namespaces/other/"), 2);
}

/* By setting: the Endpoints of each name, and no slices. */
static void test_endpoints_by_setting(void **state)
{
	(void)state;
	f.options.discovery = SYNCER_ENDPOINTS;
	ask_for("web");
	ask_for("db");
	start();
	assert_int_equal(f.fake.count, 3);
	expect_request(ENDPOINTS_PATH
		       "?fieldSelector=metadata.name%3Dweb&limit=500&resourceVersion=0");
	expect_request(ENDPOINTS_PATH
		       "?fieldSelector=metadata.name%3Ddb&limit=500&resourceVersion=0");
	assert_int_equal(fake_count(&f.fake, "endpointslices"), 0);
}

/* All Endpoints of a namespace are one list. */
static void test_endpoints_of_a_whole_namespace(void **state)
{
	(void)state;
	f.options.discovery = SYNCER_ENDPOINTS;
	f.options.follow_services = false;
	ask_for("*");
	start();
	assert_int_equal(f.fake.count, 1);
	expect_request(ENDPOINTS_PATH "?limit=500&resourceVersion=0");
}

/* A caller who needs endpoints only is spared the Services. */
static void test_without_services(void **state)
{
	(void)state;
	f.options.follow_services = false;
	ask_for("web");
	start();
	assert_int_equal(f.fake.count, 1);
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "1", "10.1.0.1"));
	run(0);
	assert_true(syncer_state(f.syncer).synced);
	assert_string_equal(changes(), "demo/web 10.1.0.1; ");
}

/* A minute on a good server: one list and one watch of each kind. */
static void test_a_minute_costs_a_list_and_a_watch_a_kind(void **state)
{
	(void)state;
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "2", "10.1.0.1"));
	run(60000);
	assert_int_equal(f.fake.count, 4);
	assert_int_equal(fake_count(&f.fake, "watch=true"), 2);
	assert_true(syncer_state(f.syncer).live);
	assert_string_equal(syncer_state(f.syncer).problem, "");
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.1; ");
}

/* ---- Endpoints instead of slices ---- */

static void fall_back_to_endpoints(int status)
{
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route(SLICES_PATH, status, text_error(status, "No", "no slices"));
	route_list(ENDPOINTS_PATH "?fieldSelector=metadata.name%3Dweb&", "EndpointsList",
		   text_endpoints("web", "3", "10.1.0.1"));
	run(0);
	assert_true(syncer_state(f.syncer).synced);
	assert_true(syncer_state(f.syncer).attempted);
	assert_true(syncer_state(f.syncer).live);
	assert_string_equal(syncer_state(f.syncer).problem, "");
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.1; ");
}

/* Slices are forbidden: the Endpoints serve. */
static void test_endpoints_where_slices_are_forbidden(void **state)
{
	(void)state;
	fall_back_to_endpoints(403);
}

/* The server has no slices: the same. */
static void test_endpoints_where_slices_are_absent(void **state)
{
	(void)state;
	fall_back_to_endpoints(404);
}

/* Slices are asked for again, rarely; once they may be read the Endpoints are let go. */
static void test_the_way_back_to_slices(void **state)
{
	(void)state;
	fall_back_to_endpoints(403);
	run(60000);
	assert_in_range(fake_count(&f.fake, SLICES_PATH), 2, 3);
	f.routes[1] = (struct route){SLICES_PATH, 200,
				     text_list("EndpointSliceList", "200", NULL,
					       text_slice("a", "web", "2", "10.1.0.2"))};
	run(60000);
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.2; ");
	assert_int_equal(f.fake.cancelled, 1);
	assert_true(syncer_state(f.syncer).live);
}

/* By setting slices only: no fallback, and no table that would lie. */
static void test_no_fallback_where_slices_are_demanded(void **state)
{
	(void)state;
	f.options.discovery = SYNCER_ENDPOINT_SLICES;
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	forbid(SLICES_PATH);
	run(60000);
	assert_int_equal(fake_count(&f.fake, ENDPOINTS_PATH), 0);
	assert_false(syncer_state(f.syncer).synced);
	assert_true(syncer_state(f.syncer).attempted);
	assert_string_equal(changes(), "");
	assert_non_null(strstr(syncer_state(f.syncer).problem, "403"));
}

/* ---- Services that may not be read ---- */

/* All entries of one Service make one stand-in with their addresses and ports. */
static void test_services_are_made_up_from_their_entries(void **state)
{
	(void)state;
	ask_for("web:80@10.96.0.8");
	ask_for("web:https@10.96.0.8:443");
	ask_for("web:80@fd00::8");
	start();
	forbid(SERVICES_PATH);
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "1", "10.1.0.1"));
	run(0);
	assert_true(syncer_state(f.syncer).synced);
	assert_true(syncer_state(f.syncer).live);
	assert_string_equal(syncer_state(f.syncer).problem, "");
	assert_string_equal(changes(), "demo/web 10.96.0.8 fd00::8 :80 https:443 :80 10.1.0.1; ");
}

/* A bare name gives a stand-in without address; one that is not asked for gives none. */
static void test_a_made_up_service_without_vip_is_headless(void **state)
{
	struct service_state taken;

	(void)state;
	ask_for("web");
	start();
	forbid(SERVICES_PATH);
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "1", "10.1.0.1"));
	run(0);
	assert_true(syncer_take_changed(f.syncer, &taken));
	assert_non_null(taken.service);
	assert_true(taken.service->headless);
	assert_true(taken.service->made_up);
	assert_false(syncer_take_changed(f.syncer, &taken));
}

/* Services that may be read after all take the place of their stand-ins. */
static void test_the_way_back_to_services(void **state)
{
	(void)state;
	ask_for("web:80@10.96.0.8");
	start();
	forbid(SERVICES_PATH);
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "1", "10.1.0.1"));
	run(0);
	assert_string_equal(changes(), "demo/web 10.96.0.8 :80 10.1.0.1; ");
	f.routes[0] = (struct route){SERVICES_PATH, 200,
				     text_list("ServiceList", "200", NULL,
					       text_service("web", "2", "10.96.0.1"))};
	run(60000);
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.1; ");
}

/* ---- how well it goes ---- */

/* Slices without their Services, or the other way round, are half the truth: nothing comes out. */
static void test_nothing_comes_out_before_both_are_known(void **state)
{
	(void)state;
	ask_for("web");
	start();
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "1", "10.1.0.1"));
	route(SERVICES_PATH, 500, "oops");
	run(0);
	assert_false(syncer_state(f.syncer).synced);
	assert_false(syncer_state(f.syncer).live);
	assert_true(syncer_state(f.syncer).attempted);
	assert_string_equal(changes(), "");
	f.routes[1] = (struct route){SERVICES_PATH, 200,
				     text_list("ServiceList", "200", NULL,
					       text_service("web", "2", "10.96.0.1"))};
	run(5000);
	assert_true(syncer_state(f.syncer).synced);
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.1; ");
}

/* A namespace that cannot be read holds up no other, and gives no Services. */
static void test_a_broken_namespace_holds_up_no_other(void **state)
{
	(void)state;
	ask_for("web");
	ask_for("other/db");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "2", "10.1.0.1"));
	route(OTHER_SERVICES_PATH, 500, "oops");
	run(60000);
	assert_true(syncer_state(f.syncer).synced);
	assert_true(syncer_state(f.syncer).live);
	assert_true(syncer_state(f.syncer).attempted);
	assert_non_null(strstr(syncer_state(f.syncer).problem, "500"));
	assert_string_equal(changes(), "demo/web 10.96.0.1 :80 10.1.0.1; ");
}

/* Nothing was attempted before the answers came. */
static void test_attempted_waits_for_the_first_answers(void **state)
{
	(void)state;
	ask_for("web");
	start();
	assert_false(syncer_state(f.syncer).attempted);
	assert_false(syncer_state(f.syncer).synced);
	assert_int_equal(syncer_state(f.syncer).heard_ms, 0);
	assert_int_equal(lists(), 2);
	fake_answer(&f.fake, 500, "oops");
	assert_false(syncer_state(f.syncer).attempted);
}

/* The server goes away: what was synced stays so, but it is not live, and back it is again. */
static void test_live_follows_the_server(void **state)
{
	uint64_t heard_ms;

	(void)state;
	ask_for("web");
	start();
	route_list(SERVICES_PATH, "ServiceList", text_service("web", "1", "10.96.0.1"));
	route_list(SLICES_PATH, "EndpointSliceList", text_slice("a", "web", "2", "10.1.0.1"));
	run(1500);
	changes();
	heard_ms = syncer_state(f.syncer).heard_ms;
	assert_int_equal(heard_ms, f.fake.now_ms - 1500);
	fake_end(&f.fake, -EIO, "reset");
	fake_end(&f.fake, -ECONNREFUSED, "nobody listens");
	assert_false(syncer_state(f.syncer).live);
	assert_true(syncer_state(f.syncer).synced);
	assert_string_equal(changes(), "");
	run(60000);
	assert_true(syncer_state(f.syncer).live);
	/* The other watch has been up all the time, and quiet: that is no word. */
	assert_int_equal(syncer_state(f.syncer).heard_ms, heard_ms);
	assert_string_equal(syncer_state(f.syncer).problem, "");
}

/* The end cancels every request. */
static void test_free_cancels_all(void **state)
{
	(void)state;
	ask_for("web");
	ask_for("other/web");
	start();
	syncer_free(f.syncer);
	f.syncer = NULL;
	assert_int_equal(f.fake.cancelled, 4);
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_one_name),
		case_of(test_several_names),
		case_of(test_many_names_are_filtered_here),
		case_of(test_fifty_names_are_a_selector),
		case_of(test_a_whole_namespace),
		case_of(test_all_namespaces),
		case_of(test_two_namespaces),
		case_of(test_endpoints_by_setting),
		case_of(test_endpoints_of_a_whole_namespace),
		case_of(test_without_services),
		case_of(test_a_minute_costs_a_list_and_a_watch_a_kind),
		case_of(test_endpoints_where_slices_are_forbidden),
		case_of(test_endpoints_where_slices_are_absent),
		case_of(test_the_way_back_to_slices),
		case_of(test_no_fallback_where_slices_are_demanded),
		case_of(test_services_are_made_up_from_their_entries),
		case_of(test_a_made_up_service_without_vip_is_headless),
		case_of(test_the_way_back_to_services),
		case_of(test_nothing_comes_out_before_both_are_known),
		case_of(test_a_broken_namespace_holds_up_no_other),
		case_of(test_attempted_waits_for_the_first_answers),
		case_of(test_live_follows_the_server),
		case_of(test_free_cancels_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
