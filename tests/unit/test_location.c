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

/* Pod web-7 with the address 10.1.0.7 and nothing set. */
static void init_pod(struct location *place)
{
	location_init(place, &nothing_given);
	place->own_count = 0;
	place->own[place->own_count++] = ip_of("10.1.0.7");
	strcpy(place->hostname, "web-7");
	place->pod_uid_hash = 0;
	place->host_network = false;
	place->zone[0] = '\0';
	place->zone_given = false;
}

static bool observe_endpoint(struct location *place, const struct slice_endpoint *seen)
{
	struct test_slice slice;
	const struct endpoint_slice *slices[] = {&slice.slice};
	struct service_state state = {
		.namespace = "demo", .name = "web", .slices = slices, .slice_count = 1};
	struct slice_endpoint *endpoint;

	test_slice_init(&slice);
	endpoint = test_slice_endpoint(&slice, "10.0.0.1");
	endpoint->address = seen->address;
	endpoint->node_name = seen->node_name;
	endpoint->zone = seen->zone;
	endpoint->target_namespace = "demo";
	endpoint->target_name = seen->target_name;
	endpoint->target_uid_hash = seen->target_uid_hash;
	endpoint->terminating = seen->terminating;
	return location_observe(place, &state);
}

static bool observe(struct location *place, const char *pod, const char *ip, const char *node,
		    const char *zone)
{
	return observe_endpoint(place, &(struct slice_endpoint){.address = ip_of(ip),
								.target_name = pod,
								.node_name = node,
								.zone = zone});
}

static void test_settings_are_not_questioned(void **state)
{
	struct select_location given = {.node = "n1", .zone = "z1"};
	struct location place;

	(void)state;
	location_init(&place, &given);
	assert_false(observe(&place, "web-7", "10.1.0.7", "n2", "z2"));
	assert_string_equal(place.where.node, "n1");
	assert_string_equal(place.where.zone, "z1");
	assert_string_equal(place.node_evidence, "as set");
	assert_string_equal(place.zone_evidence, "as set");
}

static void test_our_own_endpoint_tells_node_and_zone(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	/* Another pod; one that has our name elsewhere; one that had our address. */
	assert_false(observe(&place, "web-8", "10.1.0.8", "n1", "z1"));
	assert_false(observe(&place, "web-7", "10.1.0.8", "n1", "z1"));
	assert_false(observe(&place, "web-8", "10.1.0.7", "n1", "z1"));
	assert_true(observe(&place, "web-7", "10.1.0.7", "n2", "z2"));
	assert_string_equal(place.where.node, "n2");
	assert_string_equal(place.where.zone, "z2");
	assert_string_equal(place.node_evidence,
			    "endpoint 10.1.0.7 is Pod demo/web-7, this one by its name");
	assert_string_equal(place.zone_evidence, "endpoint 10.1.0.7 on this node has it");
	assert_false(observe(&place, "web-7", "10.1.0.7", "n2", "z2"));
}

/* The address of a pod that goes may already be another's, ours. */
static void test_an_endpoint_that_terminates_proves_nothing(void **state)
{
	struct slice_endpoint seen = {.address = ip_of("10.1.0.7"),
				      .target_name = "web-7",
				      .target_uid_hash = 42,
				      .node_name = "n1",
				      .zone = "z1",
				      .terminating = true};
	struct location place;

	(void)state;
	init_pod(&place);
	place.pod_uid_hash = 42;
	assert_false(observe_endpoint(&place, &seen));
	seen.terminating = false;
	assert_true(observe_endpoint(&place, &seen));
}

static void test_the_uid_proves_where_the_name_does_not(void **state)
{
	struct slice_endpoint seen = {.address = ip_of("10.1.0.7"),
				      .target_name = "web-abcde",
				      .target_uid_hash = 41,
				      .node_name = "n1",
				      .zone = ""};
	struct location place;

	(void)state;
	init_pod(&place);
	place.pod_uid_hash = 42;
	assert_false(observe_endpoint(&place, &seen));
	seen.target_uid_hash = 42;
	seen.address = ip_of("10.1.0.8");
	assert_false(observe_endpoint(&place, &seen));
	seen.address = ip_of("10.1.0.7");
	assert_true(observe_endpoint(&place, &seen));
	assert_string_equal(place.node_evidence,
			    "endpoint 10.1.0.7 is Pod demo/web-abcde, this one by its uid");
}

/* As the kubelet makes host names of Pods' names. */
static void test_host_names_of_pods(void **state)
{
	static const char long_name[] =
		"a123456789012345678901234567890123456789012345678901234567890-.with-more";
	static const struct {
		const char *hostname, *pod;
		bool is;
	} cases[] = {
		{"web-7", "web-7", true},
		{"web-7", "web-77", false},
		{"web-77", "web-7", false},
		{"web.v1", "web.v1", true},
		{"web.v1", "web", false},
		{"web-7.web.demo.svc.cluster.local", "web-7", true},
		{"a123456789012345678901234567890123456789012345678901234567890", long_name, true},
		{"a12345678901234567890123456789012345678901234567890123456789", long_name, false},
		{"web-7", "", false},
		{"", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct location place;

		init_pod(&place);
		strcpy(place.hostname, cases[i].hostname);
		assert_int_equal(observe(&place, cases[i].pod, "10.1.0.7", "n1", ""), cases[i].is);
	}
}

/* A StatefulSet's Pod worker-0 may run on node worker-1. */
static void test_the_host_name_counts_on_the_hosts_network_alone(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	strcpy(place.hostname, "n3");
	assert_false(observe(&place, "web-1", "192.0.2.1", "n3", ""));
	place.host_network = true;
	assert_false(observe(&place, "web-1", "192.0.2.1", "n4", ""));
	assert_true(observe(&place, "web-1", "192.0.2.1", "n3", ""));
	assert_string_equal(place.where.node, "n3");
	assert_string_equal(place.where.zone, "");
	assert_string_equal(place.node_evidence, "the host's name, on the host's network");
	assert_string_equal(place.zone_evidence, "");
}

static void test_any_endpoint_on_our_node_tells_the_zone(void **state)
{
	struct select_location given = {.node = "n1", .zone = ""};
	struct location place;

	(void)state;
	location_init(&place, &given);
	place.zone[0] = '\0';
	place.zone_given = false;
	assert_false(observe(&place, "web-1", "10.1.0.8", "n2", "z2"));
	assert_true(observe(&place, "web-1", "10.1.0.9", "n1", "z1"));
	assert_string_equal(place.where.zone, "z1");
	assert_string_equal(place.zone_evidence, "endpoint 10.1.0.9 on this node has it");
}

static void test_two_nodes_that_are_proved_give_none(void **state)
{
	struct location place;

	(void)state;
	init_pod(&place);
	place.own[place.own_count++] = ip_of("10.1.0.9");
	assert_true(observe(&place, "web-7", "10.1.0.7", "n1", "z1"));
	assert_true(observe(&place, "web-7", "10.1.0.9", "n2", "z2"));
	assert_string_equal(place.where.node, "");
	assert_string_equal(place.where.zone, "");
	assert_string_equal(place.node_evidence, "");
	assert_string_equal(place.zone_evidence, "");
	assert_false(observe(&place, "web-7", "10.1.0.7", "n1", "z1"));
	assert_string_equal(place.where.node, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings_are_not_questioned),
		cmocka_unit_test(test_our_own_endpoint_tells_node_and_zone),
		cmocka_unit_test(test_an_endpoint_that_terminates_proves_nothing),
		cmocka_unit_test(test_the_uid_proves_where_the_name_does_not),
		cmocka_unit_test(test_host_names_of_pods),
		cmocka_unit_test(test_the_host_name_counts_on_the_hosts_network_alone),
		cmocka_unit_test(test_any_endpoint_on_our_node_tells_the_zone),
		cmocka_unit_test(test_two_nodes_that_are_proved_give_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
