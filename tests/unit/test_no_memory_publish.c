// SPDX-License-Identifier: Apache-2.0
/* publish: without memory the last table stands, whole, and the next publish has all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "publish/writer.h"
#include "support/failing_memory.h"
#include "support/objects.h"

#define SERVICES 40u   /* so that the table of names is rehashed */
#define MANY	 6000u /* endpoints that no longer fit the first table */

/* One Service is headless with names of pods, one keeps its last endpoints. */
#define HEADLESS   5u
#define API_SERVER 6u

static const struct slice_endpoint named = {.hostname = "pod-0"};

/* What was put and is not published yet, and what readers must see: endpoints of each Service. */
static unsigned put[SERVICES];
static unsigned published[SERVICES];

static void name_of(unsigned number, char name[16])
{
	if (number == API_SERVER)
		strcpy(name, "kubernetes");
	else
		snprintf(name, 16, "svc-%u", number);
}

static const char *namespace_of(unsigned number)
{
	return number == API_SERVER ? "default" : "demo";
}

static void vip_of(unsigned number, char vip[16])
{
	snprintf(vip, 16, "10.96.0.%u", number + 1);
}

/* The whole table, by name and by VIP, is what was published last. */
static void look(const struct table_writer *writer)
{
	const struct table_view *view = table_writer_view(writer);

	for (unsigned i = 0; view && i < SERVICES; i++) {
		char name[16], vip[16];
		struct table_service service;
		struct table_endpoint endpoint;
		struct table_read read;
		struct table_port port;
		struct ip_address address;
		int found;

		name_of(i, name);
		vip_of(i, vip);
		address = ip_of(vip);
		assert_int_equal(table_read_begin(view, &read), 0);
		found = table_find_service(&read, namespace_of(i), name, &service);
		assert_int_equal(found, published[i] ? 0 : -ENOENT);
		if (i == HEADLESS)
			found = found == 0 ? table_service_port(&read, &service, 0, &port) : found;
		else
			found = table_find_vip(&read, &address, 80, PROTOCOL_TCP, &port);
		assert_int_equal(found, published[i] ? 0 : -ENOENT);
		if (!published[i])
			continue;
		assert_int_equal(port.endpoint_count, published[i]);
		assert_int_equal(table_port_endpoint(&read, &port, published[i] - 1, &endpoint), 0);
		address = ip_plus(ip_of("10.1.0.1"), published[i] - 1);
		assert_memory_equal(&endpoint.address, &address, sizeof(address));
		assert_int_equal(endpoint.hostname_at != 0, i == HEADLESS);
	}
}

/* Tried again when there is no memory, as the pipeline does. */
static void put_service(struct table_writer *writer, unsigned number, unsigned endpoints)
{
	struct selection selection;
	char name[16], vip[16];
	int rc;

	name_of(number, name);
	vip_of(number, vip);
	if (endpoints || number == API_SERVER)
		test_selection(&selection, number == HEADLESS ? NULL : vip, 80, "10.1.0.1",
			       endpoints, 8080);
	else
		memset(&selection, 0, sizeof(selection));
	for (unsigned i = 0; number == HEADLESS && i < endpoints; i++)
		selection.ports[0].endpoints[i].endpoint = &named;
	rc = table_writer_put(writer, namespace_of(number), name, &selection);
	look(writer);
	if (rc < 0) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(failing_memory_has_failed(), true);
		failing_memory_end();
		rc = table_writer_put(writer, namespace_of(number), name, &selection);
	}
	assert_in_range(rc, 0, 1);
	if (number != API_SERVER || endpoints)
		put[number] = endpoints;
	/* The test's own memory, not the library's. */
	if (selection.ports)
		free(selection.ports[0].endpoints);
	free(selection.ports);
}

static void publish(struct table_writer *writer)
{
	int rc = table_writer_publish(writer);

	if (rc < 0) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(failing_memory_has_failed(), true);
		look(writer);
		failing_memory_end();
		rc = table_writer_publish(writer);
	}
	assert_int_equal(rc, 0);
	memcpy(published, put, sizeof(published));
	look(writer);
}

/* Every way in which a table changes: Services come, change in place, grow, go, and it moves. */
static void scenario(void)
{
	struct table_writer *writer = NULL;
	int rc = table_writer_new(0, &writer);

	memset(put, 0, sizeof(put));
	memset(published, 0, sizeof(published));
	if (rc < 0) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(failing_memory_has_failed(), true);
		assert_null(writer);
		return;
	}
	table_writer_limit_namespaces(writer);
	for (unsigned i = 0; i < SERVICES; i++)
		put_service(writer, i, i % 3 + 1);
	publish(writer);
	put_service(writer, 1, 2);
	publish(writer);
	put_service(writer, 2, 9);
	put_service(writer, 3, 0);
	publish(writer);
	put_service(writer, 3, 1);
	put_service(writer, 4, MANY);
	publish(writer);
	put_service(writer, 4, 1);
	put_service(writer, HEADLESS, 7);
	put_service(writer, API_SERVER, 0);
	publish(writer);
	table_writer_free(writer);
}

static void the_last_table_stands(void **state)
{
	(void)state;
	failing_memory_try("publish", scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_last_table_stands, failing_memory_teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
