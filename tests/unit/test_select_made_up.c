/* select: headless Services, and Services that were made up because they may not be read. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/objects.h"

static struct test_service web;
static struct test_slice slices[2];
static unsigned slice_count;

static int setup(void **state)
{
	(void)state;
	test_slice_init(&slices[0]);
	test_slice_init(&slices[1]);
	slice_count = 1;
	return 0;
}

static void select_all(struct selection *selection)
{
	static const struct select_location nowhere = {.node = "", .zone = ""};
	const struct endpoint_slice *list[] = {&slices[0].slice, &slices[1].slice};
	struct service_state state = {
		.namespace = "demo",
		.name = "web",
		.service = &web.service,
		.slices = list,
		.slice_count = slice_count,
	};

	assert_int_equal(select_endpoints(&state, &nowhere, selection), 0);
}

/* "http/80: 10.1.0.1:8080; " of every port that has endpoints. */
static const char *describe(const struct selection *selection)
{
	static char text[1024];
	size_t length = 0;

	text[0] = '\0';
	for (unsigned p = 0; p < selection->port_count; p++) {
		const struct selected_port *port = &selection->ports[p];

		if (!port->endpoint_count)
			continue;
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%s/%u:", port->name, port->port);
		for (unsigned i = 0; i < port->endpoint_count; i++) {
			char ip[INET6_ADDRSTRLEN];

			ip_format(&port->endpoints[i].address, ip, sizeof(ip));
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %s:%u",
						   ip, port->endpoints[i].port);
		}
		length += (size_t)snprintf(text + length, sizeof(text) - length, "; ");
	}
	return text;
}

static void expect(const char *expected)
{
	struct selection selection;

	select_all(&selection);
	assert_string_equal(describe(&selection), expected);
	selection_clear(&selection);
}

static void make_up(const char *vip)
{
	test_service_init(&web, vip);
	web.service.made_up = true;
}

/* ---- headless ---- */

/* No VIP: names answer with the endpoints, whose slices are labelled headless. */
static void test_headless(void **state)
{
	struct selection selection;

	(void)state;
	test_service_init(&web, NULL);
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	slices[0].slice.headless = true;
	test_slice_endpoint(&slices[0], "10.1.0.1");
	select_all(&selection);
	assert_true(selection.headless);
	assert_int_equal(selection.vip_count, 0);
	assert_false(selection.ports[0].has_vip);
	assert_string_equal(describe(&selection), "/0: 10.1.0.1:0; http/80: 10.1.0.1:8080; ");
	assert_true(selection.ports[0].addresses);
	selection_clear(&selection);
	/* What a slice's port is called does not matter to DNS. */
	strcpy(slices[0].slice.ports[0].name, "grpc");
	select_all(&selection);
	assert_string_equal(describe(&selection), "/0: 10.1.0.1:0; ");
	selection_clear(&selection);
}

/* Without any port the addresses are what counts. */
static void test_headless_without_ports(void **state)
{
	(void)state;
	test_service_init(&web, NULL);
	slices[0].slice.headless = true;
	test_slice_endpoint(&slices[0], "10.1.0.1");
	expect("/0: 10.1.0.1:0; ");
}

/* internalTrafficPolicy says nothing about names. */
static void test_headless_has_no_local_policy(void **state)
{
	struct selection selection;

	(void)state;
	test_service_init(&web, NULL);
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	web.service.internal_traffic_local = true;
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	select_all(&selection);
	assert_false(selection.ports[0].local_only);
	assert_int_equal(selection.ports[0].used_count, 1);
	selection_clear(&selection);
}

/* ---- made up ---- */

/* A number without a name means the slice's only TCP port. */
static void test_made_up_number_takes_the_only_port(void **state)
{
	(void)state;
	make_up("10.96.0.1");
	test_service_port(&web, "", PROTOCOL_TCP, 80);
	test_slice_port(&slices[0], "dns", PROTOCOL_UDP, 5353);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	expect("/80: 10.1.0.1:8080; ");
}

/* Of several TCP ports the one with that number. */
static void test_made_up_number_takes_that_number(void **state)
{
	(void)state;
	make_up("10.96.0.1");
	test_service_port(&web, "", PROTOCOL_TCP, 8080);
	test_slice_port(&slices[0], "metrics", PROTOCOL_TCP, 9090);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	expect("/8080: 10.1.0.1:8080; ");
}

/* A name means that name, whatever the number. */
static void test_made_up_name(void **state)
{
	(void)state;
	make_up("10.96.0.1");
	test_service_port(&web, "http", PROTOCOL_TCP, 80);
	test_slice_port(&slices[0], "metrics", PROTOCOL_TCP, 80);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	expect("http/80: 10.1.0.1:8080; ");
}

/* No port given: what the slices offer, each once. */
static void test_made_up_without_ports(void **state)
{
	(void)state;
	make_up(NULL);
	slice_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		test_slice_port(&slices[i], "http", PROTOCOL_TCP, 8080);
		test_slice_port(&slices[i], "metrics", PROTOCOL_TCP, 9090);
	}
	test_slice_endpoint(&slices[0], "10.1.0.1");
	test_slice_endpoint(&slices[1], "10.1.0.2");
	expect("http/8080: 10.1.0.1:8080 10.1.0.2:8080; "
	       "metrics/9090: 10.1.0.1:9090 10.1.0.2:9090; ");
}

/* A name without a number and without a VIP: the number is the endpoints'. A slice that does not
 * have that port has no endpoint for it. */
static void test_made_up_name_without_number(void **state)
{
	(void)state;
	make_up(NULL);
	test_service_port(&web, "http", PROTOCOL_TCP, 0);
	slice_count = 2;
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	test_slice_port(&slices[1], "metrics", PROTOCOL_TCP, 9090);
	test_slice_endpoint(&slices[1], "10.1.0.2");
	expect("http/8080: 10.1.0.1:8080; ");
}

/* The port is a guess. */
static void test_made_up_port_that_matches_nothing(void **state)
{
	struct selection selection;

	(void)state;
	make_up("10.96.0.1");
	test_service_port(&web, "", PROTOCOL_TCP, 80);
	test_slice_port(&slices[0], "metrics", PROTOCOL_TCP, 9090);
	test_slice_port(&slices[0], "http", PROTOCOL_TCP, 8080);
	test_slice_endpoint(&slices[0], "10.1.0.1");
	select_all(&selection);
	assert_int_equal(selection.port_count, 1);
	assert_int_equal(selection.ports[0].endpoint_count, 0);
	selection_clear(&selection);
}

#define clause(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		clause(test_headless),
		clause(test_headless_without_ports),
		clause(test_headless_has_no_local_policy),
		clause(test_made_up_number_takes_the_only_port),
		clause(test_made_up_number_takes_that_number),
		clause(test_made_up_name),
		clause(test_made_up_without_ports),
		clause(test_made_up_name_without_number),
		clause(test_made_up_port_that_matches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
