// SPDX-License-Identifier: Apache-2.0
#include "sync/dump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "support/objects.h"

struct world {
	struct store *store;
	struct dump dump;
	struct dump_counts counts;
	char error[200];
};

static bool wants_all_but_secret(void *ctx, const char *namespace, const char *service)
{
	(void)ctx;
	(void)namespace;
	return strcmp(service, "secret") != 0;
}

static int setup(void **state)
{
	static struct world world;
	struct logger silent = {.level = LOG_LEVEL_OFF};

	memset(&world, 0, sizeof(world));
	assert_int_equal(store_new(&world.store), 0);
	assert_int_equal(dump_init(&world.dump, world.store, wants_all_but_secret, NULL, &silent),
			 0);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	store_free(world->store);
	return 0;
}

static int read_items(struct world *world, const char *items)
{
	char text[16384];
	int length = snprintf(text, sizeof(text), "{\"kind\":\"List\",\"items\":[%s]}", items);

	assert_in_range(length, 0, sizeof(text) - 1);
	return dump_read(&world->dump, text, (size_t)length, &world->counts, world->error,
			 sizeof(world->error));
}

static const char *with_kind(const char *kind, const char *object)
{
	static char texts[8][4096];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "{\"kind\":\"%s\",%s", kind, object + 1);
	return text;
}

static const char *service(const char *name, const char *vip)
{
	return with_kind("Service", text_service(name, "1", vip));
}

static const char *slice(const char *name, const char *of, const char *ips)
{
	return with_kind("EndpointSlice", text_slice(name, of, "1", ips));
}

static const char *endpoints(const char *name, const char *ips)
{
	return with_kind("Endpoints", text_endpoints(name, "1", ips));
}

/* Endpoints of the Service in all its slices, or -1 when it is not there. */
static int endpoint_count(struct world *world, const char *name)
{
	struct service_state state;
	int count = -1;

	store_touch_all(world->store);
	while (store_take_changed(world->store, &state)) {
		if (strcmp(state.name, name) != 0 || (!state.service && !state.slice_count))
			continue;
		count = 0;
		for (unsigned i = 0; i < state.slice_count; i++)
			count += (int)state.slices[i]->endpoint_count;
	}
	return count;
}

static void test_services_and_slices_come_together(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, text_join(service("web", "10.96.0.1"),
						     slice("web-a", "web", "10.1.0.1 10.1.0.2"))),
			 0);
	assert_int_equal(world->counts.services, 1);
	assert_int_equal(world->counts.slices, 1);
	assert_int_equal(endpoint_count(world, "web"), 2);
}

static void test_objects_of_one_name_and_several_kinds_do_not_collide(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, text_join(service("web", "10.96.0.1"),
						     slice("web", "web", "10.1.0.1"))),
			 0);
	assert_int_equal(endpoint_count(world, "web"), 1);
}

static void test_endpoints_count_only_without_slices(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, text_join(slice("web-a", "web", "10.1.0.1"),
						     endpoints("web", "10.1.0.1 10.1.0.2"))),
			 0);
	assert_int_equal(endpoint_count(world, "web"), 1);
	assert_int_equal(read_items(world, endpoints("web", "10.1.0.1 10.1.0.2")), 0);
	assert_int_equal(world->counts.endpoints, 1);
	assert_int_equal(endpoint_count(world, "web"), 2);
}

static void test_a_new_document_replaces_the_old_one(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, slice("web-a", "web", "10.1.0.1")), 0);
	assert_int_equal(read_items(world, slice("db-a", "db", "10.1.0.2")), 0);
	assert_int_equal(endpoint_count(world, "web"), -1);
	assert_int_equal(endpoint_count(world, "db"), 1);
}

static void test_other_kinds_are_counted_and_left(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, "{\"kind\":\"ConfigMap\"},{\"kind\":7},{}"), 0);
	assert_int_equal(world->counts.others, 3);
}

static void test_unwanted_services_are_dropped(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_items(world, slice("secret-a", "secret", "10.1.0.1")), 0);
	assert_int_equal(endpoint_count(world, "secret"), -1);
}

static void test_a_bad_document_changes_nothing(void **state)
{
	static const char *const documents[] = {
		"",
		"{",
		"[]",
		"{\"items\":7}",
		"{\"kind\":\"List\"}",
		"{\"items\":[{]}",
		"{\"items\":[{\"kind\":\"Service\",\"metadata\":{}}]}",
	};
	struct world *world = *state;

	assert_int_equal(read_items(world, slice("web-a", "web", "10.1.0.1")), 0);
	for (unsigned i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		world->error[0] = '\0';
		assert_int_equal(dump_read(&world->dump, documents[i], strlen(documents[i]),
					   &world->counts, world->error, sizeof(world->error)),
				 -EBADMSG);
		assert_string_not_equal(world->error, "");
		assert_int_equal(endpoint_count(world, "web"), 1);
	}
}

static void test_a_bad_item_keeps_its_last_good_version(void **state)
{
	struct world *world = *state;
	const char *bad = "{\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"demo\","
			  "\"name\":\"web-a\",\"resourceVersion\":\"2\"},\"endpoints\":\"none\"}";

	assert_int_equal(read_items(world, slice("web-a", "web", "10.1.0.1")), 0);
	assert_int_equal(read_items(world, text_join(bad, slice("db-a", "db", "10.1.0.2"))), 0);
	assert_int_equal(endpoint_count(world, "web"), 1);
	assert_int_equal(endpoint_count(world, "db"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_services_and_slices_come_together, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_objects_of_one_name_and_several_kinds_do_not_collide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endpoints_count_only_without_slices, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_new_document_replaces_the_old_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_other_kinds_are_counted_and_left, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_unwanted_services_are_dropped, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_bad_document_changes_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_bad_item_keeps_its_last_good_version, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
