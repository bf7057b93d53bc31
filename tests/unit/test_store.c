/* store: objects kept one by one, grouped by Service, and which Services changed. */
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

#include "kube/json.h"
#include "support/objects.h"
#include "sync/store.h"

struct fixture {
	struct store *store;
	struct store_scope *scope;
	struct reflector_sink sink;
};

static void setup(struct fixture *fixture)
{
	assert_int_equal(store_new(&fixture->store), 0);
	assert_int_equal(store_scope_open(fixture->store, NULL, NULL, &fixture->scope), 0);
	fixture->sink = store_scope_sink(fixture->scope);
}

static void decode(const char *json, struct object *object)
{
	enum object_kind kind = strstr(json, "\"spec\"")      ? OBJECT_SERVICE
				: strstr(json, "\"subsets\"") ? OBJECT_ENDPOINTS
							      : OBJECT_ENDPOINT_SLICE;
	char error[200];

	memset(object, 0, sizeof(*object));
	if (json_decode_object(kind, json, strlen(json), object, NULL, error, sizeof(error)) < 0)
		fail_msg("%s", error);
}

static void upsert(const struct reflector_sink *sink, const char *json)
{
	struct object object;

	decode(json, &object);
	assert_int_equal(sink->upsert(sink->ctx, &object), 0);
	object_clear(&object);
}

static void item(const struct reflector_sink *sink, const char *json)
{
	struct object object;

	decode(json, &object);
	assert_int_equal(sink->replace_item(sink->ctx, &object), 0);
	object_clear(&object);
}

static void replace(const struct reflector_sink *sink, const char *const *jsons)
{
	assert_int_equal(sink->replace_begin(sink->ctx), 0);
	for (; *jsons; jsons++)
		item(sink, *jsons);
	sink->replace_commit(sink->ctx);
}

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_address));
}

/* "web: service 10.1.0.1 10.1.0.2; db: gone; ": what changed, in order, addresses sorted. */
static const char *changes(struct store *store)
{
	static char text[4096];
	struct service_state state;
	size_t length = 0;

	text[0] = '\0';
	while (store_take_changed(store, &state)) {
		struct ip_address addresses[256];
		unsigned count = 0;

		assert_string_equal(state.namespace, "demo");
		for (unsigned s = 0; s < state.slice_count; s++) {
			for (unsigned e = 0; e < state.slices[s]->endpoint_count; e++)
				addresses[count++] = state.slices[s]->endpoints[e].address;
		}
		qsort(addresses, count, sizeof(addresses[0]), compare_addresses);
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s:%s",
					   state.name, state.service ? " service" : "");
		for (unsigned i = 0; i < count; i++) {
			char ip[INET6_ADDRSTRLEN];

			ip_format(&addresses[i], ip, sizeof(ip));
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %s", ip);
		}
		if (!state.service && state.slice_count == 0)
			length += (size_t)snprintf(text + length, sizeof(text) - length, " gone");
		length += (size_t)snprintf(text + length, sizeof(text) - length, "; ");
		assert_in_range(length, 0, sizeof(text) - 1);
	}
	return text;
}

/* Services, gone ones not counted. */
static unsigned known(struct store *store)
{
	struct service_state state;
	unsigned count = 0;

	store_touch_all(store);
	while (store_take_changed(store, &state))
		count += state.service || state.slice_count;
	return count;
}

/* Two slices of a Service are its endpoints together, and each changes on its own. */
static void test_slices_are_kept_one_by_one(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("web-a", "web", "1", "10.1.0.1"));
	upsert(&f.sink, text_slice("web-b", "web", "2", "10.1.0.2"));
	assert_string_equal(changes(f.store), "web: 10.1.0.1 10.1.0.2; ");
	upsert(&f.sink, text_slice("web-a", "web", "3", "10.1.0.9"));
	assert_string_equal(changes(f.store), "web: 10.1.0.2 10.1.0.9; ");
	f.sink.remove(f.sink.ctx, "demo", "web-b");
	assert_string_equal(changes(f.store), "web: 10.1.0.9; ");
	f.sink.remove(f.sink.ctx, "demo", "web-a");
	assert_string_equal(changes(f.store), "web: gone; ");
	assert_string_equal(changes(f.store), "");
	store_free(f.store);
}

/* A slice that changes its label leaves one Service for another; both have changed. */
static void test_a_slice_may_change_its_service(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("a", "web", "1", "10.1.0.1"));
	upsert(&f.sink, text_slice("b", "web", "2", "10.1.0.2"));
	changes(f.store);
	upsert(&f.sink, text_slice("a", "db", "3", "10.1.0.1"));
	assert_string_equal(changes(f.store), "db: 10.1.0.1; web: 10.1.0.2; ");
	upsert(&f.sink, text_slice("b", "", "4", "10.1.0.2"));
	assert_string_equal(changes(f.store), "web: gone; ");
	assert_int_equal(known(f.store), 1);
	store_free(f.store);
}

/* A list is compared with what there is: what it does not name goes, the rest stays or is new. */
static void test_a_list_replaces_its_collection(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("a", "web", "1", "10.1.0.1"));
	upsert(&f.sink, text_slice("b", "db", "2", "10.1.0.2"));
	changes(f.store);
	replace(&f.sink, (const char *const[]){text_slice("a", "web", "3", "10.1.0.7"),
					       text_slice("c", "new", "4", "10.1.0.3"), NULL});
	assert_string_equal(changes(f.store), "web: 10.1.0.7; new: 10.1.0.3; db: gone; ");
	replace(&f.sink, (const char *const[]){NULL});
	assert_string_equal(changes(f.store), "web: gone; new: gone; ");
	assert_int_equal(known(f.store), 0);
	store_free(f.store);
}

/* An object that comes twice in one list counts once: its last form. */
static void test_twins_in_a_list_count_once(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	replace(&f.sink, (const char *const[]){text_slice("a", "web", "3", "10.1.0.7"),
					       text_slice("a", "web", "4", "10.1.0.8"), NULL});
	assert_string_equal(changes(f.store), "web: 10.1.0.8; ");
	store_free(f.store);
}

/* Nothing of a list is seen before its commit. */
static void test_a_list_is_invisible_until_its_commit(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("a", "web", "1", "10.1.0.1"));
	changes(f.store);
	assert_int_equal(f.sink.replace_begin(f.sink.ctx), 0);
	item(&f.sink, text_slice("b", "web", "2", "10.1.0.2"));
	assert_string_equal(changes(f.store), "");
	f.sink.replace_abort(f.sink.ctx);
	assert_string_equal(changes(f.store), "");
	replace(&f.sink, (const char *const[]){text_slice("a", "web", "3", "10.1.0.3"), NULL});
	assert_string_equal(changes(f.store), "web: 10.1.0.3; ");
	store_free(f.store);
}

/* An item that cannot be decoded keeps its last good version; an unknown one is no object. */
static void test_a_kept_item_stays(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("a", "web", "1", "10.1.0.1"));
	upsert(&f.sink, text_slice("b", "web", "2", "10.1.0.2"));
	changes(f.store);
	assert_int_equal(f.sink.replace_begin(f.sink.ctx), 0);
	assert_int_equal(f.sink.replace_keep(f.sink.ctx, "demo", "a"), 0);
	assert_int_equal(f.sink.replace_keep(f.sink.ctx, "demo", "unknown"), 0);
	f.sink.replace_commit(f.sink.ctx);
	assert_string_equal(changes(f.store), "web: 10.1.0.1; ");
	store_free(f.store);
}

/* Scopes are apart: a list of one does not touch what another one said of the same Service. */
static void test_scopes_are_apart(void **state)
{
	struct store_scope *services;
	struct reflector_sink service_sink;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(store_scope_open(f.store, NULL, NULL, &services), 0);
	service_sink = store_scope_sink(services);
	upsert(&service_sink, text_service("web", "1", "10.96.0.1"));
	upsert(&f.sink, text_slice("a", "web", "2", "10.1.0.1"));
	assert_string_equal(changes(f.store), "web: service 10.1.0.1; ");
	replace(&service_sink, (const char *const[]){NULL});
	assert_string_equal(changes(f.store), "web: 10.1.0.1; ");
	upsert(&service_sink, text_service("web", "3", "10.96.0.1"));
	changes(f.store);
	store_scope_close(f.scope);
	assert_string_equal(changes(f.store), "web: service; ");
	store_scope_close(services);
	assert_string_equal(changes(f.store), "web: gone; ");
	store_free(f.store);
}

/* Two scopes that name one Service: the newer one counts, and the end of the older one is no end
 * of the Service. */
static void test_a_stand_in_makes_way(void **state)
{
	struct ip_address newer = ip_of("10.96.0.2");
	struct store_scope *stand_ins;
	struct reflector_sink stand_in_sink;
	struct service_state taken;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(store_scope_open(f.store, NULL, NULL, &stand_ins), 0);
	stand_in_sink = store_scope_sink(stand_ins);
	upsert(&stand_in_sink, text_service("web", "1", "10.96.0.1"));
	upsert(&f.sink, text_service("web", "2", "10.96.0.2"));
	store_scope_close(stand_ins);
	assert_true(store_take_changed(f.store, &taken));
	assert_non_null(taken.service);
	assert_memory_equal(&taken.service->cluster_ips[0], &newer, sizeof(newer));
	assert_false(store_take_changed(f.store, &taken));
	store_free(f.store);
}

static bool wants_web(void *ctx, const char *namespace, const char *service)
{
	(void)ctx;
	assert_string_equal(namespace, "demo");
	return strcmp(service, "web") == 0;
}

/* A collection that the server cannot narrow down is narrowed here. */
static void test_only_wanted_objects_are_kept(void **state)
{
	struct store_scope *scope;
	struct reflector_sink sink;
	struct store *store;

	(void)state;
	assert_int_equal(store_new(&store), 0);
	assert_int_equal(store_scope_open(store, wants_web, NULL, &scope), 0);
	sink = store_scope_sink(scope);
	replace(&sink, (const char *const[]){text_slice("a", "web", "1", "10.1.0.1"),
					     text_slice("b", "db", "2", "10.1.0.2"),
					     text_slice("c", "", "3", "10.1.0.3"), NULL});
	assert_string_equal(changes(store), "web: 10.1.0.1; ");
	upsert(&sink, text_slice("b", "db", "4", "10.1.0.2"));
	assert_string_equal(changes(store), "");
	upsert(&sink, text_slice("a", "db", "5", "10.1.0.1"));
	assert_string_equal(changes(store), "web: gone; ");
	store_free(store);
}

/* Changed Services come in the order of their first change, each once. */
static void test_changes_come_in_order_and_once(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("c", "cc", "1", "10.1.0.3"));
	upsert(&f.sink, text_slice("a", "aa", "2", "10.1.0.1"));
	upsert(&f.sink, text_slice("b", "bb", "3", "10.1.0.2"));
	upsert(&f.sink, text_slice("c", "cc", "4", "10.1.0.4"));
	assert_string_equal(changes(f.store), "cc: 10.1.0.4; aa: 10.1.0.1; bb: 10.1.0.2; ");
	store_free(f.store);
}

/* A Service that comes back while its end was being told is told again. */
static void test_a_service_may_come_back(void **state)
{
	struct service_state taken;
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_slice("a", "web", "1", "10.1.0.1"));
	f.sink.remove(f.sink.ctx, "demo", "a");
	assert_true(store_take_changed(f.store, &taken));
	assert_int_equal(taken.slice_count, 0);
	upsert(&f.sink, text_slice("a", "web", "2", "10.1.0.2"));
	assert_string_equal(changes(f.store), "web: 10.1.0.2; ");
	f.sink.remove(f.sink.ctx, "demo", "a");
	assert_string_equal(changes(f.store), "web: gone; ");
	upsert(&f.sink, text_slice("a", "web", "3", "10.1.0.3"));
	assert_string_equal(changes(f.store), "web: 10.1.0.3; ");
	store_free(f.store);
}

/* One Endpoints object with two subsets is two slices of the Service of its name. */
static void test_endpoints_are_slices(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	upsert(&f.sink, text_endpoints("web", "1", "10.1.0.1 10.1.0.2"));
	assert_string_equal(changes(f.store), "web: 10.1.0.1 10.1.0.2; ");
	upsert(&f.sink, text_endpoints("web", "2", ""));
	changes(f.store);
	f.sink.remove(f.sink.ctx, "demo", "web");
	changes(f.store);
	assert_int_equal(known(f.store), 0);
	store_free(f.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices_are_kept_one_by_one),
		cmocka_unit_test(test_a_slice_may_change_its_service),
		cmocka_unit_test(test_a_list_replaces_its_collection),
		cmocka_unit_test(test_twins_in_a_list_count_once),
		cmocka_unit_test(test_a_list_is_invisible_until_its_commit),
		cmocka_unit_test(test_a_kept_item_stays),
		cmocka_unit_test(test_scopes_are_apart),
		cmocka_unit_test(test_a_stand_in_makes_way),
		cmocka_unit_test(test_only_wanted_objects_are_kept),
		cmocka_unit_test(test_changes_come_in_order_and_once),
		cmocka_unit_test(test_a_service_may_come_back),
		cmocka_unit_test(test_endpoints_are_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
