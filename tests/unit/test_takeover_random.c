// SPDX-License-Identifier: Apache-2.0
/*
 * takeover: writers that are killed at random instants, also in the midst of a write. Each begins
 * with exactly what the last one had saved, lists nothing that the server still has the history of,
 * and in the end has the same selection as one that lists all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "select/select.h"
#include "support/fake_io.h"
#include "support/memory_journal.h"
#include "support/objects.h"
#include "sync/syncer.h"

#define SLICES	  6u
#define STEPS	  80u
#define TEXT_SIZE 16384

struct event {
	unsigned version;
	char text[2048];
};

struct content {
	bool there[SLICES];
	char slices[SLICES][1024];
};

#define FIRST_VERSION 10u

/* The API server: slices and their history. */
struct server {
	uint64_t random;
	unsigned version;
	unsigned floor; /* history before it is gone */
	struct content now;
	struct content past[STEPS + 1]; /* by version, from FIRST_VERSION on */
	struct event events[STEPS];
	unsigned event_count;
};

/* One process. */
struct writer {
	struct fake_io fake;
	struct journal_options journal;
	struct syncer *syncer;
	bool resumed;  /* it began with slices */
	bool was_gone; /* the server had no history for it */
};

static struct server server;
static struct service_ref refs[2];
static struct syncer_options options = {
	.refs = refs,
	.ref_count = 2,
	.follow_services = true,
	.retry_delay_ms = 5000,
	.poll_interval_ms = 20000,
};

static unsigned chance(unsigned of)
{
	return test_random(&server.random) % of;
}

/* ---- the server ---- */

static void change_slice(void)
{
	unsigned index = chance(SLICES);
	struct event *event = &server.events[server.event_count++];
	char name[16], version[16], ips[256] = "";
	size_t used = 0;
	bool was_there = server.now.there[index];

	snprintf(name, sizeof(name), "slice-%u", index);
	snprintf(version, sizeof(version), "%u", ++server.version);
	for (unsigned i = 0, count = chance(5); i < count; i++)
		used += (size_t)snprintf(ips + used, sizeof(ips) - used, "%s10.0.0.%u",
					 i ? " " : "", 1 + chance(12));
	server.now.there[index] = !was_there || chance(4) != 0;
	snprintf(server.now.slices[index], sizeof(server.now.slices[index]), "%s",
		 text_slice(name, chance(2) ? "web" : "db", version, ips));
	event->version = server.version;
	snprintf(event->text, sizeof(event->text), "%s",
		 text_event(!server.now.there[index] ? "DELETED"
			    : was_there		     ? "MODIFIED"
						     : "ADDED",
			    server.now.slices[index]));
	server.past[server.version - FIRST_VERSION] = server.now;
}

static const char *slice_list(void)
{
	static char items[SLICES * 1024];
	char version[16];
	size_t used = 0;

	items[0] = '\0';
	for (unsigned i = 0; i < SLICES; i++) {
		if (server.now.there[i])
			used += (size_t)snprintf(items + used, sizeof(items) - used, "%s%s",
						 used ? "," : "", server.now.slices[i]);
	}
	snprintf(version, sizeof(version), "%u", server.version);
	return text_list("EndpointSliceList", version, NULL, items);
}

static bool is_of_slices(const struct fake_request *request)
{
	return strstr(request->path, "endpointslices") != NULL;
}

static void serve_watch(struct writer *writer, struct fake_request *request)
{
	struct reflector *reflector = request->reflector;
	unsigned from = (unsigned)atoi(strstr(request->path, "resourceVersion=") + 16);

	if (from < server.floor) {
		writer->was_gone |= is_of_slices(request);
		fake_serve_answer(request, 410, -1, text_error(410, "Expired", "too old"));
		return;
	}
	fake_serve_open(request, "");
	for (unsigned i = 0; is_of_slices(request) && i < server.event_count; i++) {
		const struct event *event = &server.events[i];

		if (event->version > from)
			assert_int_equal(
				reflector_on_data(reflector, event->text, strlen(event->text)), 0);
	}
}

static void serve(struct fake_io *fake, struct fake_request *request, void *ctx)
{
	char version[16];

	(void)fake;
	snprintf(version, sizeof(version), "%u", server.version);
	if (request->is_watch)
		serve_watch(ctx, request);
	else if (is_of_slices(request))
		fake_serve_answer(request, 200, -1, slice_list());
	else
		fake_serve_answer(request, 200, -1,
				  text_list("ServiceList", version, NULL,
					    text_join(text_service("web", "1", "10.96.0.1"),
						      text_service("db", "2", "10.96.0.2"))));
}

/* To every watch of slices that is open and up to date: those of the last process. */
static void tell_watch(struct writer *writer, const char *text)
{
	for (size_t i = 0; i < writer->fake.count; i++) {
		struct fake_request *request = &writer->fake.requests[i];

		if (request->open && request->is_watch && is_of_slices(request) && request->seen)
			assert_int_equal(reflector_on_data(request->reflector, text, strlen(text)),
					 0);
	}
}

/* ---- the processes ---- */

static void tick(void *subject)
{
	syncer_tick(subject);
}

static uint64_t deadline_ms(void *subject)
{
	return syncer_deadline_ms(subject);
}

static void run(struct writer *writer, uint64_t duration_ms)
{
	struct fake_subject subject = {tick, deadline_ms, writer->syncer};

	fake_io_run(&writer->fake, &subject, serve, writer, duration_ms);
}

static void start(struct writer *writer, struct memory_journal *memory)
{
	static const struct logger silent;

	memset(writer, 0, sizeof(*writer));
	fake_io_init(&writer->fake);
	writer->fake.random_state = server.random;
	options.journal = NULL;
	if (memory) {
		writer->journal = memory_journal_open(memory, 0);
		options.journal = &writer->journal;
	}
	assert_int_equal(syncer_new(&options, &writer->fake.io, &silent, &writer->syncer), 0);
	writer->resumed = syncer_synced(writer->syncer);
}

static void stop(struct writer *writer)
{
	syncer_free(writer->syncer);
	fake_io_free(&writer->fake);
}

/* All that select says of all Services. */
static void describe(struct syncer *syncer, char *text)
{
	static const struct select_place place = {.node = "", .zone = ""};
	char parts[2][TEXT_SIZE / 2] = {"", ""};
	struct service_state state;

	syncer_touch_all(syncer);
	while (syncer_take_changed(syncer, &state)) {
		unsigned which = strcmp(state.name, "web") == 0;
		struct selection selection;
		size_t used = 0;

		assert_int_equal(select_endpoints(&state, &place, &selection), 0);
		for (unsigned p = 0; p < selection.port_count; p++) {
			for (unsigned e = 0; e < selection.ports[p].endpoint_count; e++) {
				const struct selected_endpoint *endpoint =
					&selection.ports[p].endpoints[e];
				char address[IP_TEXT_SIZE];

				ip_port_format(&endpoint->address, endpoint->port, address,
					       sizeof(address));
				used += (size_t)snprintf(parts[which] + used,
							 sizeof(parts[which]) - used, "%s %s\n",
							 state.name, address);
			}
		}
		selection_clear(&selection);
	}
	snprintf(text, TEXT_SIZE, "%s%s", parts[0], parts[1]);
}

static size_t lists_of_slices(const struct writer *writer)
{
	size_t count = 0;

	for (size_t i = 0; i < writer->fake.count; i++) {
		const struct fake_request *request = &writer->fake.requests[i];

		count += is_of_slices(request) && !request->is_watch &&
			 !strstr(request->path, "?limit=1");
	}
	return count;
}

static char saved[TEXT_SIZE];
static char saved_before[TEXT_SIZE];

static void save(struct writer *writer)
{
	syncer_save(writer->syncer);
	strcpy(saved_before, saved);
	describe(writer->syncer, saved);
}

/* Killed while it saves: within an append, or before a new file takes the place of the old one. */
static void save_and_die(struct writer *writer, struct memory_journal *memory)
{
	unsigned begins = memory->begins;
	size_t size = memory->bytes.length;

	save(writer);
	if (memory->begins != begins) {
		struct buffer old = memory->fresh;

		memory->fresh = memory->bytes;
		memory->bytes = old;
	} else if (memory->bytes.length > size) {
		memory->bytes.length = size + chance((unsigned)(memory->bytes.length - size));
	}
}

/* What a process that lists has. */
static void describe_fresh(char *text)
{
	struct writer fresh;

	start(&fresh, NULL);
	run(&fresh, 1000);
	describe(fresh.syncer, text);
	stop(&fresh);
}

/* One save may take in several events; cut in between, it is a state that the server had after
 * the save before. */
static bool is_between(const char *got)
{
	static char text[TEXT_SIZE];
	struct content now = server.now;
	bool after = saved_before[0] == '\0';
	bool found = false;

	for (unsigned v = FIRST_VERSION; v <= server.version && !found; v++) {
		server.now = server.past[v - FIRST_VERSION];
		describe_fresh(text);
		after |= strcmp(text, saved_before) == 0;
		found = after && strcmp(text, got) == 0;
	}
	server.now = now;
	return found;
}

/* Returns false when the selection is none that was saved. */
static bool take_over(struct writer *writer, struct memory_journal *memory, char *got)
{
	bool in_a_save = chance(2) == 0;

	assert_true(!writer->resumed || writer->was_gone || lists_of_slices(writer) == 0);
	if (in_a_save)
		save_and_die(writer, memory);
	stop(writer);
	memory->realtime_s++;
	start(writer, memory);
	describe(writer->syncer, got);
	if (strcmp(got, saved) == 0)
		return true;
	strcpy(saved, got);
	return in_a_save && (strcmp(got, saved_before) == 0 || is_between(got));
}

static void run_sequence(uint64_t seed)
{
	static char got[TEXT_SIZE], wanted[TEXT_SIZE];
	struct memory_journal memory;
	struct writer writer;

	memset(&server, 0, sizeof(server));
	server.random = seed << 20;
	server.version = FIRST_VERSION;
	saved[0] = saved_before[0] = '\0';
	memory_journal_init(&memory);
	start(&writer, &memory);
	for (unsigned i = 0; i < STEPS; i++) {
		switch (chance(10)) {
		case 0:
		case 1:
			if (!take_over(&writer, &memory, got))
				fail_msg("seed %llu: restored:\n%ssaved:\n%s",
					 (unsigned long long)seed, got, saved);
			break;
		case 2:
			run(&writer, chance(3) * 1000);
			save(&writer);
			break;
		case 3: {
			char version[16];

			snprintf(version, sizeof(version), "%u", server.version);
			tell_watch(&writer, text_bookmark(version));
			break;
		}
		case 4:
			if (chance(4) == 0)
				server.floor = server.version;
			break;
		default:
			change_slice();
			tell_watch(&writer, server.events[server.event_count - 1].text);
			if (chance(2) == 0)
				save(&writer);
		}
	}
	run(&writer, 5000);
	describe(writer.syncer, got);
	describe_fresh(wanted);
	if (strcmp(got, wanted) != 0)
		fail_msg("seed %llu: taken over:\n%slisted:\n%s", (unsigned long long)seed, got,
			 wanted);
	stop(&writer);
	memory_journal_free(&memory);
}

static void test_killed_writers_lose_nothing(void **state)
{
	unsigned count = test_count(300, 5000);
	char error[200];

	(void)state;
	assert_int_equal(service_ref_parse("web", 3, "demo", &refs[0], error, sizeof(error)), 0);
	assert_int_equal(service_ref_parse("db", 2, "demo", &refs[1], error, sizeof(error)), 0);
	for (unsigned seed = 1; seed <= count; seed++)
		run_sequence(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_writers_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
