// SPDX-License-Identifier: Apache-2.0
/*
 * sync: without memory what was taken in stands, no Service is half there, and when memory is there
 * again it comes to what the server has. The server goes from state to state: lists in pages,
 * events, a watch whose version is gone and another list.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_memory.h"
#include "support/objects.h"
#include "support/reflector_world.h"
#include "sync/syncer.h"

/* What the server says of one collection. */
struct collection_state {
	const char *kind; /* of its lists */
	const char *path; /* without it it is refused */
	const char *first_page;
	const char *second_page; /* NULL: there is but one */
	const char
		*events[4]; /* what came since the last state; NULL: it cannot be told any more */
};

struct server_state {
	unsigned version;
	struct collection_state collections[2];
	const char *text; /* "SERVICE=IP,IP SERVICE=IP", sorted: what there is to know */
};

static struct {
	struct fake_io fake;
	struct syncer *syncer;
	struct service_ref refs[3];
	struct server_state now;
	/* What was taken of web, db and cache, as the text above has it; "" none. */
	char taken[3][64];
} f;

static const char *const names[] = {"web", "db", "cache"};

/* ---- what was taken ---- */

static void describe(const struct service_state *state, char text[64])
{
	uint64_t seen = 0; /* by their last byte */
	int length = snprintf(text, 64, "%s=", state->name);

	for (unsigned s = 0; s < state->slice_count; s++) {
		for (unsigned e = 0; e < state->slices[s]->endpoint_count; e++)
			seen |= 1ULL << (state->slices[s]->endpoints[e].address.bytes[15] & 63);
	}
	for (unsigned i = 0; i < 64; i++) {
		if (seen & 1ULL << i)
			length += snprintf(text + length, 64 - (size_t)length, "%u,", i);
	}
	if (!state->service || !seen)
		text[0] = '\0';
}

/* web never loses its first pod, and db always has exactly one: the server never said anything
 * else. */
static void check_taken(unsigned which, const char *before, const char *now)
{
	if (which == 0 && before[0] && !strstr(now, "=1,"))
		fail_msg("web was \"%s\" and became \"%s\"", before, now);
	if (which == 1 && before[0] && strcmp(now, "db=21,") != 0 && strcmp(now, "db=29,") != 0)
		fail_msg("db was \"%s\" and became \"%s\"", before, now);
}

static void take_changes(void)
{
	struct service_state state;

	while (f.syncer && syncer_take_changed(f.syncer, &state)) {
		char text[64];
		unsigned which = 0;

		while (strcmp(state.name, names[which]) != 0)
			which++;
		describe(&state, text);
		check_taken(which, f.taken[which], text);
		strcpy(f.taken[which], text);
	}
}

static void expect_all(void)
{
	char all[200];

	snprintf(all, sizeof(all), "%s %s %s", f.taken[0], f.taken[1], f.taken[2]);
	assert_string_equal(all, f.now.text);
}

/* ---- the server ---- */

static const struct collection_state *collection_of(const char *path)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct collection_state *collection = &f.now.collections[i];

		if (collection->path &&
		    strncmp(path, collection->path, strlen(collection->path)) == 0)
			return collection;
	}
	return NULL;
}

static void answer(size_t index, int status, const char *body)
{
	fake_serve_answer(&f.fake.requests[index], status, -1, body);
}

/* More bytes of a watch, which may want no more. */
static void send_text(size_t index, const char *text)
{
	struct reflector *reflector = f.fake.requests[index].reflector;

	if (f.fake.requests[index].open && reflector_on_data(reflector, text, strlen(text)) != 0)
		fake_serve_error(&f.fake.requests[index], -ECANCELED, "no more wanted");
	take_changes();
}

static void send_events(size_t index, const struct collection_state *collection)
{
	if (!collection->events[0]) {
		send_text(index, text_event("ERROR", text_error(410, "Expired", "too old")));
		return;
	}
	for (unsigned i = 0; i < 4 && collection->events[i]; i++)
		send_text(index, collection->events[i]);
	send_text(index, text_bookmark(f.now.version == 200 ? "200" : "300"));
}

static void serve_watch(size_t index, const struct collection_state *collection)
{
	const char *from = strstr(f.fake.requests[index].path, "resourceVersion=");

	assert_non_null(from);
	reflector_on_status(f.fake.requests[index].reflector, 200, -1);
	if (strtoul(from + strlen("resourceVersion="), NULL, 10) < f.now.version)
		send_events(index, collection);
}

static void serve(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	size_t index = (size_t)(request - fake->requests);
	const struct collection_state *collection = collection_of(request->path);
	char version[16];

	(void)ctx;
	snprintf(version, sizeof(version), "%u", f.now.version);
	if (!collection)
		answer(index, 403, text_error(403, "Forbidden", "not for you"));
	else if (request->is_watch)
		serve_watch(index, collection);
	else if (!collection->second_page)
		answer(index, 200,
		       text_list(collection->kind, version, NULL, collection->first_page));
	else if (!strstr(request->path, "continue="))
		answer(index, 200,
		       text_list(collection->kind, version, "next", collection->first_page));
	else
		answer(index, 200,
		       text_list(collection->kind, version, NULL, collection->second_page));
	take_changes();
}

/* The watches that are open hear of the new state. */
static void go_to(const struct server_state *state)
{
	size_t count = f.fake.count;

	f.now = *state;
	for (size_t i = 0; i < count; i++) {
		const struct fake_request *request = &f.fake.requests[i];

		if (request->open && request->is_watch && collection_of(request->path))
			send_events(i, collection_of(request->path));
	}
}

static void tick(void *subject)
{
	syncer_tick(subject);
}

static uint64_t deadline_ms(void *subject)
{
	return syncer_state(subject).due_ms;
}

/* Time for all that may have gone wrong to be tried again; with and then without the failures. */
static void settle(void)
{
	struct fake_subject subject = {tick, deadline_ms, f.syncer};

	fake_io_run(&f.fake, &subject, serve, NULL, 3 * LONGEST_PAUSE_MS);
	take_changes();
	failing_memory_end();
	fake_io_run(&f.fake, &subject, serve, NULL, 8 * LONGEST_PAUSE_MS);
	take_changes();
	expect_all();
}

/* ---- scenarios ---- */

static int start(enum syncer_discovery discovery)
{
	static const char *const entries[] = {"web:80@10.96.0.1", "db:80@10.96.0.2", "cache"};
	static const struct logger silent;
	struct syncer_options options = {
		.refs = f.refs,
		.ref_count = 3,
		.discovery = discovery,
		.follow_services = true,
		.retry_delay_ms = RETRY_DELAY_MS,
		.sync_interval_ms = SYNC_INTERVAL_MS,
	};
	char error[200];

	memset(&f, 0, sizeof(f));
	fake_io_init(&f.fake);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(service_ref_parse(entries[i], strlen(entries[i]), "demo",
						   &f.refs[i], error, sizeof(error)),
				 0);
	return syncer_new(&options, &f.fake.io, &silent, &f.syncer);
}

static void end(void)
{
	syncer_free(f.syncer);
	fake_io_free(&f.fake);
}

static bool started(enum syncer_discovery discovery)
{
	int rc = start(discovery);

	if (rc == 0)
		return true;
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(failing_memory_has_failed(), true);
	assert_null(f.syncer);
	end();
	return false;
}

static const char services_path[] = "/api/v1/namespaces/demo/services";

static struct collection_state slices(const char *first_page, const char *second_page)
{
	return (struct collection_state){
		.kind = "EndpointSliceList",
		.path = SLICES_PATH,
		.first_page = first_page,
		.second_page = second_page,
	};
}

static struct collection_state services(const char *items)
{
	return (struct collection_state){
		.kind = "ServiceList",
		.path = services_path,
		.first_page = items,
	};
}

/* Made anew for each run: the texts live for a while only. */
static void slices_scenario(void)
{
	struct server_state state = {.version = 100, .text = "web=1,2,3, db=21, "};
	const char *web = text_service("web", "11", "10.96.0.1");
	const char *db = text_service("db", "12", "10.96.0.2");

	if (!started(SYNCER_AUTO))
		return;
	state.collections[0] = services(text_join(web, db));
	state.collections[1] =
		slices(text_join(text_slice("web-a", "web", "13", "10.1.0.1 10.1.0.2"),
				 text_slice("web-b", "web", "14", "10.1.0.3")),
		       text_slice("db-a", "db", "15", "10.1.0.21"));
	f.now = state;
	settle();

	state = (struct server_state){.version = 200, .text = "web=1,4,5, db=21, cache=40,"};
	state.collections[0] = services("");
	state.collections[0].events[0] =
		text_event("ADDED", text_service("cache", "110", "10.96.0.3"));
	state.collections[1] = slices("", NULL);
	state.collections[1].events[0] =
		text_event("MODIFIED", text_slice("web-a", "web", "111", "10.1.0.1 10.1.0.4"));
	state.collections[1].events[1] =
		text_event("DELETED", text_slice("web-b", "web", "112", "10.1.0.3"));
	state.collections[1].events[2] =
		text_event("ADDED", text_slice("web-c", "web", "113", "10.1.0.5"));
	state.collections[1].events[3] =
		text_event("ADDED", text_slice("cache-a", "cache", "114", "10.1.0.40"));
	/* Who lists now gets the same. */
	web = text_service("web", "11", "10.96.0.1");
	db = text_service("db", "12", "10.96.0.2");
	state.collections[0].first_page =
		text_join(text_join(web, db), text_service("cache", "110", "10.96.0.3"));
	state.collections[1].first_page =
		text_join(text_slice("web-a", "web", "111", "10.1.0.1 10.1.0.4"),
			  text_slice("web-c", "web", "113", "10.1.0.5"));
	state.collections[1].second_page =
		text_join(text_slice("db-a", "db", "15", "10.1.0.21"),
			  text_slice("cache-a", "cache", "114", "10.1.0.40"));
	go_to(&state);
	settle();

	state = (struct server_state){.version = 300, .text = "web=1, db=29, "};
	web = text_service("web", "11", "10.96.0.1");
	db = text_service("db", "12", "10.96.0.2");
	state.collections[0] = services(text_join(web, db));
	state.collections[1] = slices(text_slice("web-a", "web", "211", "10.1.0.1"),
				      text_slice("db-a", "db", "212", "10.1.0.29"));
	go_to(&state);
	settle();
	end();
}

/* Services and slices are forbidden: the entries' VIPs, and Endpoints by name in their place. */
static void serve_endpoints(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	/* Of cache and for a probe, which names none: no object. */
	static const char *const ips[] = {"10.1.0.1 10.1.0.2", "10.1.0.21", NULL, NULL};
	size_t index = (size_t)(request - fake->requests);
	unsigned i = 0;

	(void)ctx;
	if (strncmp(request->path, ENDPOINTS_PATH, strlen(ENDPOINTS_PATH)) != 0) {
		answer(index, 403, text_error(403, "Forbidden", "not for you"));
	} else if (request->is_watch) {
		fake_serve_open(request, "");
	} else {
		while (i < 3 && !strstr(request->path, names[i]))
			i++;
		answer(index, 200,
		       text_list("EndpointsList", "100", NULL,
				 ips[i] ? text_endpoints(names[i], "50", ips[i]) : ""));
	}
	take_changes();
}

static void stand_ins_scenario(void)
{
	struct fake_subject subject = {tick, deadline_ms, NULL};

	if (!started(SYNCER_AUTO))
		return;
	f.now.text = "web=1,2, db=21, ";
	subject.subject = f.syncer;
	fake_io_run(&f.fake, &subject, serve_endpoints, NULL, 3 * LONGEST_PAUSE_MS);
	failing_memory_end();
	fake_io_run(&f.fake, &subject, serve_endpoints, NULL, 8 * LONGEST_PAUSE_MS);
	take_changes();
	expect_all();
	end();
}

static void what_was_taken_stands(void **state)
{
	(void)state;
	failing_memory_try("sync", slices_scenario);
	failing_memory_try("sync, stand-ins", stand_ins_scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_was_taken_stands, failing_memory_teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
