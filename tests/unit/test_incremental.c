// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever way the objects came in, the selection is the same: random sequences of watch events and
 * relists against one list of what is left in the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "kube/json.h"
#include "select/select.h"
#include "support/objects.h"
#include "sync/store.h"

#define SLICES	  6u
#define ADDRESSES 12u
#define STEPS	  60u

/* The truth: what the API server has. */
struct cluster {
	bool there[SLICES];
	char text[SLICES][2048];
};

struct sequence {
	uint64_t random;
	struct cluster cluster;
	struct store *store;
	struct store_scope *services;
	struct store_scope *slices;
};

static const char *const services[] = {"web", "db"};

static void random_slice(struct sequence *sequence, unsigned index)
{
	char *text = sequence->cluster.text[index];
	const char *service = services[test_random(&sequence->random) % 2];
	size_t size = sizeof(sequence->cluster.text[index]);
	size_t used;

	used = (size_t)snprintf(
		text, size,
		"{\"metadata\":{\"namespace\":\"demo\",\"name\":\"slice-%u\",\"resourceVersion\":"
		"\"1\","
		"\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\","
		"\"ports\":[{\"name\":\"\",\"port\":%u,\"protocol\":\"TCP\"}],\"endpoints\":[",
		index, service, 8080 + test_random(&sequence->random) % 2);
	for (unsigned i = 0, count = test_random(&sequence->random) % 5; i < count; i++)
		used += (size_t)snprintf(
			text + used, size - used,
			"%s{\"addresses\":[\"10.0.0.%u\"],\"nodeName\":\"n%u\",\"conditions\":{"
			"\"ready\":%s,\"serving\":%s,\"terminating\":%s}}",
			i ? "," : "", 1 + test_random(&sequence->random) % ADDRESSES,
			test_random(&sequence->random) % 3,
			test_random(&sequence->random) % 2 ? "true" : "false",
			test_random(&sequence->random) % 2 ? "true" : "false",
			test_random(&sequence->random) % 2 ? "true" : "false");
	snprintf(text + used, size - used, "]}");
	sequence->cluster.there[index] = true;
}

static struct object decode(enum object_kind kind, const char *text)
{
	struct object object;
	char error[200];

	if (json_decode_object(kind, text, strlen(text), &object, NULL, error, sizeof(error)) < 0)
		fail_msg("%s: %s", text, error);
	return object;
}

static void put(struct store_scope *scope, const char *text)
{
	struct reflector_sink sink = store_scope_sink(scope);
	struct object object = decode(OBJECT_ENDPOINT_SLICE, text);

	assert_int_equal(sink.upsert(sink.ctx, &object), 0);
	object_clear(&object);
}

static void list_all(struct store_scope *scope, const struct cluster *cluster)
{
	struct reflector_sink sink = store_scope_sink(scope);

	assert_int_equal(sink.replace_begin(sink.ctx), 0);
	for (unsigned i = 0; i < SLICES; i++) {
		struct object object;

		if (!cluster->there[i])
			continue;
		object = decode(OBJECT_ENDPOINT_SLICE, cluster->text[i]);
		assert_int_equal(sink.replace_item(sink.ctx, &object), 0);
		object_clear(&object);
	}
	sink.replace_commit(sink.ctx);
}

static void open_store(struct store **store, struct store_scope **service_scope,
		       struct store_scope **slice_scope)
{
	struct reflector_sink sink;

	assert_int_equal(store_new(store), 0);
	assert_int_equal(store_scope_open(*store, NULL, NULL, service_scope), 0);
	assert_int_equal(store_scope_open(*store, NULL, NULL, slice_scope), 0);
	sink = store_scope_sink(*service_scope);
	for (unsigned i = 0; i < 2; i++) {
		struct object object =
			decode(OBJECT_SERVICE,
			       text_service(services[i], "1", i ? "10.96.0.2" : "10.96.0.1"));

		assert_int_equal(sink.upsert(sink.ctx, &object), 0);
		object_clear(&object);
	}
}

/* One event of the API server, told to the store as a watch would or by a list. */
static void step(struct sequence *sequence)
{
	struct reflector_sink sink = store_scope_sink(sequence->slices);
	unsigned index = test_random(&sequence->random) % SLICES;
	char name[32];

	switch (test_random(&sequence->random) % 8) {
	case 0:
	case 1:
		sequence->cluster.there[index] = false;
		snprintf(name, sizeof(name), "slice-%u", index);
		sink.remove(sink.ctx, "demo", name);
		break;
	case 2:
		/* Changes that a broken watch missed, found by the list. */
		random_slice(sequence, index);
		sequence->cluster.there[test_random(&sequence->random) % SLICES] = false;
		list_all(sequence->slices, &sequence->cluster);
		break;
	default:
		random_slice(sequence, index);
		put(sequence->slices, sequence->cluster.text[index]);
	}
}

/* All that select says of all Services, in the order of their names. */
static void describe(struct store *store, char *text, size_t size)
{
	static const struct select_location place = {.node = "n1", .zone = ""};
	char parts[2][8192] = {"", ""};
	struct service_state state;

	store_touch_all(store);
	while (store_take_changed(store, &state)) {
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
							 sizeof(parts[which]) - used,
							 "%s %s %s %s\n", state.name, address,
							 endpoint->used ? "used" : "not",
							 select_reason_word(endpoint->reason));
			}
		}
		selection_clear(&selection);
	}
	snprintf(text, size, "%s%s", parts[0], parts[1]);
}

static void take_some(struct store *store, unsigned count)
{
	struct service_state state;

	while (count-- > 0 && store_take_changed(store, &state))
		;
}

static void run_sequence(uint64_t seed)
{
	static char incremental[16384], fresh[16384];
	struct sequence sequence = {.random = seed};
	struct store_scope *fresh_services, *fresh_slices;
	struct store *fresh_store;

	open_store(&sequence.store, &sequence.services, &sequence.slices);
	for (unsigned i = 0; i < STEPS; i++) {
		step(&sequence);
		/* Whether somebody has taken changes in between must not matter. */
		if (test_random(&sequence.random) % 8 == 0)
			take_some(sequence.store, test_random(&sequence.random) % 3);
	}
	describe(sequence.store, incremental, sizeof(incremental));

	open_store(&fresh_store, &fresh_services, &fresh_slices);
	list_all(fresh_slices, &sequence.cluster);
	describe(fresh_store, fresh, sizeof(fresh));
	if (strcmp(incremental, fresh) != 0)
		fail_msg("seed %llu:\nafter events:\n%safter a list:\n%s", (unsigned long long)seed,
			 incremental, fresh);
	store_free(sequence.store);
	store_free(fresh_store);
}

static void test_events_and_a_fresh_list_select_the_same(void **state)
{
	unsigned count = test_count(100, 3000);

	(void)state;
	for (unsigned seed = 1; seed <= count; seed++)
		run_sequence(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_and_a_fresh_list_select_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
