/* select: endpoints with one address and port, and what else kube-proxy's trackers decide by order.
 */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"

static struct test_service web;
static struct test_slice slices[2];
static struct select_location place;

static int setup(void **state)
{
	(void)state;
	test_service_init(&web, "10.96.0.1");
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	for (unsigned i = 0; i < 2; i++) {
		test_slice_init(&slices[i]);
		test_slice_port(&slices[i], "http", PROTOCOL_TCP, 8080);
	}
	place = (struct select_location){.node = "", .zone = ""};
	return 0;
}

/* Of the only port, slices in this order; the caller clears. */
static const struct selected_port *select_port(unsigned first, unsigned second,
					       struct selection *selection)
{
	const struct endpoint_slice *list[] = {&slices[first].slice, &slices[second].slice};
	struct service_state state = {
		.namespace = "demo",
		.name = "web",
		.service = &web.service,
		.slices = list,
		.slice_count = 2,
	};

	assert_int_equal(select_endpoints(&state, &place, selection), 0);
	return &selection->ports[0];
}

/* The one endpoint's reason, in whichever order the slices became known. */
static void expect_one(enum select_reason reason)
{
	for (unsigned first = 0; first < 2; first++) {
		struct selection selection;
		const struct selected_port *port = select_port(first, 1 - first, &selection);

		assert_int_equal(port->endpoint_count, 1);
		assert_int_equal(port->endpoints[0].reason, reason);
		selection_clear(&selection);
	}
}

static struct slice_endpoint *add(unsigned slice, bool ready, bool terminating)
{
	struct slice_endpoint *endpoint = test_slice_endpoint(&slices[slice], "10.1.0.1");

	endpoint->ready = ready;
	endpoint->serving = ready;
	endpoint->terminating = terminating;
	return endpoint;
}

/* endpointslicecache.go, addEndpoints: a later one that does not terminate takes the place. */
static void test_in_one_slice_the_last_counts(void **state)
{
	(void)state;
	add(0, true, false);
	add(0, false, false);
	expect_one(SELECT_NOT_READY);
	add(0, true, false);
	expect_one(SELECT_READY);
	add(0, false, true);
	expect_one(SELECT_READY);
}

static void test_in_one_slice_the_first_of_those_that_terminate_counts(void **state)
{
	(void)state;
	add(0, false, true)->serving = true;
	add(0, false, true);
	expect_one(SELECT_SERVING_TERMINATING);
}

/* The last of its own slice is what meets the other slice's. */
static void test_between_slices_the_winners_meet(void **state)
{
	(void)state;
	add(0, true, false);
	add(0, false, false);
	add(1, false, true);
	expect_one(SELECT_NOT_READY);
}

/* Nothing but the order of the slices could tell these apart, so it must not. */
static void test_equal_ranks_are_told_apart_by_content(void **state)
{
	static const char *const here[] = {"a"};
	static const char *const there[] = {"b"};
	enum select_topology topology[2];

	(void)state;
	place.zone = "a";
	for (unsigned slice = 0; slice < 2; slice++) {
		struct slice_endpoint *endpoint = add(slice, true, false);

		endpoint->zone_hints = slice ? there : here;
		endpoint->zone_hint_count = 1;
	}
	for (unsigned first = 0; first < 2; first++) {
		struct selection selection;

		topology[first] = select_port(first, 1 - first, &selection)->topology;
		selection_clear(&selection);
	}
	assert_int_equal(topology[0], topology[1]);
}

/* The API server refuses them, kube-proxy would take both. */
static void test_two_ports_of_one_name(void **state)
{
	struct selection selection;
	const struct selected_port *port;

	(void)state;
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 9090);
	add(0, true, false);
	port = select_port(0, 1, &selection);
	assert_int_equal(port->endpoint_count, 2);
	assert_int_equal(port->endpoints[0].port, 8080);
	assert_int_equal(port->endpoints[1].port, 9090);
	selection_clear(&selection);
}

/* DNS looks at no hints and knows no fallback. */
static void test_headless_answers_with_all_ready(void **state)
{
	static const char *const elsewhere[] = {"b"};
	static const char *const here[] = {"a"};
	struct slice_endpoint *endpoint;
	struct selection selection;
	const struct selected_port *port;

	(void)state;
	place.zone = "a";
	test_service_init(&web, NULL);
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	endpoint = add(0, true, false);
	endpoint->zone_hints = here;
	endpoint->zone_hint_count = 1;
	endpoint = test_slice_endpoint(&slices[0], "10.1.0.2");
	endpoint->zone_hints = elsewhere;
	endpoint->zone_hint_count = 1;
	port = select_port(0, 1, &selection);
	assert_int_equal(port->used_count, 2);
	assert_int_equal(port->topology, SELECT_TOPOLOGY_NONE);
	selection_clear(&selection);

	for (unsigned i = 0; i < 2; i++) {
		slices[0].endpoints[i].ready = false;
		slices[0].endpoints[i].terminating = true;
	}
	assert_int_equal(select_port(0, 1, &selection)->used_count, 0);
	selection_clear(&selection);
}

int main(void)
{
#define clause(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		clause(test_in_one_slice_the_last_counts),
		clause(test_in_one_slice_the_first_of_those_that_terminate_counts),
		clause(test_between_slices_the_winners_meet),
		clause(test_equal_ranks_are_told_apart_by_content),
		clause(test_two_ports_of_one_name),
		clause(test_headless_answers_with_all_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
