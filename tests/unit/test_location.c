// SPDX-License-Identifier: Apache-2.0
#include "pipeline/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "support/objects.h"

static const struct select_location nothing_given = {.node = "", .zone = ""};

/* A Pod with the address 10.1.0.7 and nothing set. */
static void init_pod(struct location *place)
{
	location_init(place, &nothing_given);
	place->own_count = 0;
	place->own[place->own_count++] = ip_of("10.1.0.7");
	strcpy(place->hostname, "web-7");
	place->zone[0] = '\0';
	place->zone_given = false;
}

static bool observe(struct location *place, const char *ip, const char *node, const char *zone)
{
	struct test_slice slice;
	const struct endpoint_slice *slices[] = {&slice.slice};
	struct service_state state = {
		.namespace = "demo", .name = "web", .slices = slices, .slice_count = 1};
	struct slice_endpoint *endpoint;

	test_slice_init(&slice);
	endpoint = test_slice_endpoint(&slice, ip);
	endpoint->node_name = node;
	endpoint->zone = zone;
	return location_observe(place, &state);
}

static void test_settings_are_not_questioned(void **state)
{
	struct select_location given = {.node = "n1", .zone = "z1"};
	struct location place;

	(void)state;
	location_init(&place, &given);
	assert_false(observe(&place, "10.1.0.7", "n2", "z2"));
	assert_string_equal(place.where.node, "n1");
	assert_string_equal(place.where.zone, "z1");
}

static void test_an_endpoint_of_our_own_tells_node_and_zone(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	assert_false(observe(&place, "10.1.0.8", "n1", "z1"));
	assert_true(observe(&place, "10.1.0.7", "n2", "z2"));
	assert_string_equal(place.where.node, "n2");
	assert_string_equal(place.where.zone, "z2");
	assert_false(observe(&place, "10.1.0.7", "n2", "z2"));
}

static void test_a_node_of_our_host_name_is_ours(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	strcpy(place.hostname, "n3");
	assert_true(observe(&place, "192.0.2.1", "n3", ""));
	assert_string_equal(place.where.node, "n3");
	assert_string_equal(place.where.zone, "");
}

static void test_any_endpoint_on_our_node_tells_the_zone(void **state)
{
	struct select_location given = {.node = "n1", .zone = ""};
	struct location place;

	(void)state;
	location_init(&place, &given);
	place.zone[0] = '\0';
	place.zone_given = false;
	assert_false(observe(&place, "10.1.0.8", "n2", "z2"));
	assert_true(observe(&place, "10.1.0.9", "n1", "z1"));
	assert_string_equal(place.where.zone, "z1");
}

static void test_two_nodes_that_fit_give_none(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	place.own[place.own_count++] = ip_of("10.1.0.9");
	assert_true(observe(&place, "10.1.0.7", "n1", "z1"));
	assert_true(observe(&place, "10.1.0.9", "n2", "z2"));
	assert_string_equal(place.where.node, "");
	assert_string_equal(place.where.zone, "");
	assert_false(observe(&place, "10.1.0.7", "n1", "z1"));
	assert_string_equal(place.where.node, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings_are_not_questioned),
		cmocka_unit_test(test_an_endpoint_of_our_own_tells_node_and_zone),
		cmocka_unit_test(test_a_node_of_our_host_name_is_ours),
		cmocka_unit_test(test_any_endpoint_on_our_node_tells_the_zone),
		cmocka_unit_test(test_two_nodes_that_fit_give_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
