// SPDX-License-Identifier: Apache-2.0
/* select: a selection without memory is an error, and none is half made. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_memory.h"
#include "support/objects.h"

#define SLICES 3u

static struct test_service service;
static struct test_slice slices[SLICES];
static const struct endpoint_slice *pointers[SLICES];

/* Two ports on each of three slices, two of which have an address in common. */
static struct service_state world(const char *vip)
{
	test_service_init(&service, vip);
	test_service_port(&service, "http", PROTOCOL_TCP, 80);
	test_service_port(&service, "pg", PROTOCOL_TCP, 5432);
	for (unsigned i = 0; i < SLICES; i++) {
		char ip[16];

		test_slice_init(&slices[i]);
		test_slice_port(&slices[i], "http", PROTOCOL_TCP, 8080);
		test_slice_port(&slices[i], "pg", PROTOCOL_TCP, 5432);
		snprintf(ip, sizeof(ip), "10.1.0.%u", i / 2 + 1);
		test_slice_endpoint(&slices[i], ip)->node_name = "n1";
		pointers[i] = &slices[i].slice;
	}
	return (struct service_state){
		.namespace = "demo",
		.name = "web",
		.service = &service.service,
		.slices = pointers,
		.slice_count = SLICES,
	};
}

static void select_all(const char *vip, unsigned ports)
{
	static const struct select_location place = {.node = "n1", .zone = "z1"};
	struct service_state state = world(vip);
	struct selection selection = {.port_count = 77};
	int rc = select_endpoints(&state, &place, &selection);

	if (rc < 0) {
		assert_int_equal(failing_memory_has_failed(), true);
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(selection.port_count, 77);
		failing_memory_end();
		rc = select_endpoints(&state, &place, &selection);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(selection.port_count, ports);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(selection.ports[i].used_count, 2);
	selection_clear(&selection);
}

static void scenario(void)
{
	select_all("10.96.0.1", 2);
	select_all(NULL, 6); /* headless: in both families, and all addresses */
}

static void all_or_nothing(void **state)
{
	(void)state;
	failing_memory_try("select", scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_or_nothing, failing_memory_teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
