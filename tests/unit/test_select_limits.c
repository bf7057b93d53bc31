/* select: what one Service may make of its ports times its endpoints, whatever the slices say. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "support/objects.h"

static struct test_service web;

static int setup(void **state)
{
	(void)state;
	test_service_init(&web, "10.96.0.1");
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	test_service_port(&web, "admin", PROTOCOL_TCP, 81);
	return 0;
}

/* So many ready endpoints behind so many ports "http", 1 and up or all 1. */
static struct endpoint_slice make_slice(unsigned ports, bool equal, unsigned endpoints)
{
	struct endpoint_slice slice = {
		.service_name = "web",
		.family = IP_FAMILY_4,
		.ports = calloc(ports + 1, sizeof(slice.ports[0])),
		.port_count = ports,
		.endpoints = calloc(endpoints, sizeof(slice.endpoints[0])),
		.endpoint_count = endpoints,
	};

	assert_non_null(slice.ports);
	assert_non_null(slice.endpoints);
	for (unsigned i = 0; i < ports; i++)
		slice.ports[i] = (struct slice_port){
			.name = "http",
			.protocol = PROTOCOL_TCP,
			.port = equal ? 1 : (uint16_t)(i + 1),
		};
	for (unsigned i = 0; i < endpoints; i++)
		slice.endpoints[i] = (struct slice_endpoint){
			.address = ip_plus(ip_of("10.1.0.0"), i),
			.ready = true,
			.hostname = "",
			.node_name = "",
			.zone = "",
			.target_namespace = "",
			.target_name = "",
		};
	return slice;
}

static void free_slice(struct endpoint_slice *slice)
{
	free(slice->ports);
	free(slice->endpoints);
}

static void select_from(const struct endpoint_slice *slice, struct selection *selection)
{
	static const struct select_location nowhere = {.node = "", .zone = ""};
	const struct endpoint_slice *list[] = {slice};
	struct service_state state = {
		.namespace = "demo",
		.name = "web",
		.service = &web.service,
		.slices = list,
		.slice_count = 1,
	};

	assert_int_equal(select_endpoints(&state, &nowhere, selection), 0);
}

/* 100 000 equal ports times 42 950 addresses are 32 704 in 32 bits: the rest was written past the
 * end of the heap. */
static void test_a_product_of_more_than_32_bits(void **state)
{
	struct endpoint_slice slice = make_slice(100000, true, 42950);
	struct selection selection;

	(void)state;
	select_from(&slice, &selection);
	assert_int_equal(selection.left_out, 0);
	assert_int_equal(selection.port_count, 2);
	assert_int_equal(selection.ports[0].endpoint_count, 42950);
	assert_int_equal(selection.ports[0].used_count, 42950);
	assert_int_equal(selection.ports[1].endpoint_count, 0);
	selection_clear(&selection);
	free_slice(&slice);
}

/* A port that would have too many endpoints is left out, and the other one stays. */
static void test_a_port_with_too_many_is_left_out(void **state)
{
	struct endpoint_slice slice = make_slice(9, false, LIMIT_SERVICE_ENDPOINTS / 8);
	struct selection selection;

	(void)state;
	snprintf(slice.ports[0].name, sizeof(slice.ports[0].name), "admin");
	select_from(&slice, &selection);
	assert_int_equal(selection.port_count, 1);
	assert_string_equal(selection.ports[0].name, "http");
	assert_int_equal(selection.ports[0].endpoint_count, LIMIT_SERVICE_ENDPOINTS);
	assert_int_equal(selection.left_out, 1);
	selection_clear(&selection);
	free_slice(&slice);
}

/* Each endpoint may stand in four ports, however many there are. */
static void test_a_large_service_has_its_ports(void **state)
{
	static const unsigned many = 20000;
	struct endpoint_slice slice = make_slice(5, false, many);
	struct selection selection;

	(void)state;
	snprintf(slice.ports[4].name, sizeof(slice.ports[4].name), "admin");
	select_from(&slice, &selection);
	assert_int_equal(selection.port_count, 1);
	assert_int_equal(selection.ports[0].endpoint_count, 4 * many);
	assert_int_equal(selection.left_out, 1);
	selection_clear(&selection);
	free_slice(&slice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_product_of_more_than_32_bits, setup),
		cmocka_unit_test_setup(test_a_port_with_too_many_is_left_out, setup),
		cmocka_unit_test_setup(test_a_large_service_has_its_ports, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
