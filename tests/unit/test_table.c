/* table: what was put is what is read, over growth, removal and republishing. */
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

#include "base/limits.h"
#include "publish/writer.h"
#include "support/objects.h"
#include "table/reader.h"
#include "support/assert_op.h"

static struct table_writer *writer;
static struct table_read reading;

static int setup(void **state)
{
	(void)state;
	return table_writer_new(0, &writer);
}

static int teardown(void **state)
{
	(void)state;
	table_writer_free(writer);
	return 0;
}

/* Puts and frees the selection. */
static int put(const char *name, struct selection *selection)
{
	int rc = table_writer_put(writer, "demo", name, selection);

	selection_clear(selection);
	return rc;
}

static int put_plain(const char *name, const char *vip, unsigned endpoints)
{
	struct selection selection;

	test_selection(&selection, vip, 80, "10.1.0.1", endpoints, 8080);
	return put(name, &selection);
}

static void begin(void)
{
	assert_int_equal(table_read_begin(table_writer_view(writer), &reading), 0);
}

static void publish(void)
{
	assert_int_equal(table_writer_publish(writer), 0);
	begin();
}

static int find(const char *vip, uint16_t port, uint8_t protocol, struct table_port *found)
{
	struct ip_address ip = ip_of(vip);

	return table_find_vip(&reading, &ip, port, protocol, found);
}

/* "10.1.0.1:8080 10.1.0.2:8080 " */
static const char *endpoints_of(const struct table_port *port)
{
	static char text[1024];
	struct table_endpoint endpoint;
	size_t length = 0;

	text[0] = '\0';
	for (unsigned i = 0; table_port_endpoint(&reading, port, i, &endpoint) == 0; i++) {
		char ip[IP_TEXT_SIZE];

		ip_port_format(&endpoint.address, endpoint.port, ip, sizeof(ip));
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s ", ip);
	}
	return text;
}

static void expect(const char *vip, const char *endpoints)
{
	struct table_port port;

	assert_int_equal(find(vip, 80, PROTOCOL_TCP, &port), 0);
	assert_string_equal(endpoints_of(&port), endpoints);
}

/* ---- what is put is read ---- */

/* A table without any Service can be published and read. */
static void test_an_empty_table(void **state)
{
	struct table_service service;
	struct table_port port;

	(void)state;
	assert_null(table_writer_view(writer));
	publish();
	assert_int_equal(reading.generation, 1);
	assert_int_equal(find("10.96.0.1", 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(table_find_service(&reading, "demo", "web", &service), -ENOENT);
	assert_int_equal(table_service_at(&reading, 0, &service), -ENOENT);
	assert_true(table_read_valid(&reading));
}

static void fill_port(struct selected_port *port, const char *name, enum protocol protocol,
		      uint16_t number, const char *vip, const struct slice_endpoint *endpoint)
{
	snprintf(port->name, sizeof(port->name), "%s", name);
	port->protocol = protocol;
	port->port = number;
	port->has_vip = true;
	port->vip = ip_of(vip);
	port->family = ip_family_of(&port->vip);
	port->endpoints = calloc(2, sizeof(port->endpoints[0]));
	assert_non_null(port->endpoints);
	port->endpoint_count = 2;
	port->used_count = 1;
	port->endpoints[1].used = true;
	for (unsigned i = 0; i < 2; i++) {
		port->endpoints[i].address = endpoint->address;
		port->endpoints[i].port = (uint16_t)(number + 1000 + i);
		port->endpoints[i].endpoint = endpoint;
	}
}

/* Every field comes out as it went in, and only the endpoints that are used. */
static void test_round_trip_of_everything(void **state)
{
	struct test_slice slice;
	struct slice_endpoint *pod;
	struct selection selection = {.affinity_timeout_s = 10800,
				      .one_attempt = true,
				      .vip_count = 2,
				      .port_count = 3};
	struct table_service service;
	struct table_endpoint endpoint;
	struct table_port port;
	char text[64];

	(void)state;
	test_slice_init(&slice);
	pod = test_slice_endpoint(&slice, "10.1.0.7");
	pod->target_uid_hash = 0x1234567890abcdef;
	selection.vips[0] = ip_of("10.96.0.1");
	selection.vips[1] = ip_of("fd00:96::1");
	selection.ports = calloc(3, sizeof(selection.ports[0]));
	assert_non_null(selection.ports);
	fill_port(&selection.ports[0], "http", PROTOCOL_TCP, 80, "10.96.0.1", pod);
	fill_port(&selection.ports[1], "dns", PROTOCOL_UDP, 53, "10.96.0.1", pod);
	fill_port(&selection.ports[2], "http", PROTOCOL_TCP, 80, "fd00:96::1", pod);
	assert_int_equal(put("web", &selection), 1);
	publish();

	assert_int_equal(table_find_service(&reading, "demo", "web", &service), 0);
	assert_int_equal(service.port_count, 3);
	assert_int_equal(service.flags, 0);
	assert_memory_equal(&service.vips[0], ip_of("10.96.0.1").bytes, 16);
	assert_memory_equal(&service.vips[1], ip_of("fd00:96::1").bytes, 16);
	assert_int_equal(table_text(&reading, service.name_at, text, sizeof(text)), 0);
	assert_string_equal(text, "web");
	assert_int_equal(table_text(&reading, service.namespace_at, text, sizeof(text)), 0);
	assert_string_equal(text, "demo");
	assert_int_equal(table_service_port(&reading, &service, 3, &port), -ENOENT);

	assert_int_equal(table_service_port(&reading, &service, 1, &port), 0);
	assert_int_equal(port.port, 53);
	assert_int_equal(port.protocol, PROTOCOL_UDP);
	assert_int_equal(port.family, IP_FAMILY_4);
	assert_int_equal(port.endpoint_count, 1);
	assert_int_equal(port.affinity_timeout_s, 10800);
	assert_int_equal(port.flags, TABLE_PORT_ONE_ATTEMPT);
	assert_int_equal(table_text(&reading, port.name_at, text, sizeof(text)), 0);
	assert_string_equal(text, "dns");

	assert_int_equal(find("fd00:96::1", 80, PROTOCOL_TCP, &port), 0);
	assert_int_equal(port.family, IP_FAMILY_6);
	assert_int_equal(table_port_endpoint(&reading, &port, 0, &endpoint), 0);
	assert_int_equal(endpoint.port, 1081);
	assert_op(endpoint.uid_hash, ==, 0x1234567890abcdefu);
	assert_memory_equal(&endpoint.address, &pod->address, 16);
	assert_int_equal(table_port_endpoint(&reading, &port, 1, &endpoint), -ENOENT);
}

/* The whole key counts: address, port and protocol; namespace and name. */
static void test_only_the_whole_key_is_found(void **state)
{
	struct table_service service;
	struct table_port port;

	(void)state;
	assert_int_equal(put_plain("web", "10.96.0.1", 2), 1);
	publish();
	expect("10.96.0.1", "10.1.0.1:8080 10.1.0.2:8080 ");
	assert_int_equal(find("10.96.0.2", 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(find("10.96.0.1", 81, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(find("10.96.0.1", 80, PROTOCOL_UDP, &port), -ENOENT);
	assert_int_equal(table_find_service(&reading, "demo", "we", &service), -ENOENT);
	assert_int_equal(table_find_service(&reading, "dem", "web", &service), -ENOENT);
	assert_int_equal(table_find_service(&reading, "web", "demo", &service), -ENOENT);
}

/* A headless Service is found by its name and has no address. */
static void test_headless(void **state)
{
	struct table_service service;
	struct table_port port;

	(void)state;
	assert_int_equal(put_plain("db", NULL, 2), 1);
	publish();
	assert_int_equal(table_find_service(&reading, "demo", "db", &service), 0);
	assert_int_equal(service.flags, TABLE_SERVICE_HEADLESS);
	assert_int_equal(table_service_port(&reading, &service, 0, &port), 0);
	assert_string_equal(endpoints_of(&port), "10.1.0.1:8080 10.1.0.2:8080 ");
	assert_int_equal(find("::ffff:0.0.0.0", 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(find("::", 80, PROTOCOL_TCP, &port), -ENOENT);
}

/* The pods of a headless Service have names of their own; those of others need none. */
static void test_hostnames(void **state)
{
	static const char *const vips[] = {NULL, "10.96.0.1"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct slice_endpoint named = {.hostname = "db-1"};
		struct selection selection;
		struct table_service service;
		struct table_endpoint endpoint;
		struct table_port port;
		char text[64];

		test_selection(&selection, vips[i], 80, "10.1.0.1", 2, 8080);
		selection.ports[0].endpoints[1].endpoint = &named;
		assert_int_equal(put("db", &selection), 1);
		publish();
		assert_int_equal(table_find_service(&reading, "demo", "db", &service), 0);
		assert_int_equal(table_service_port(&reading, &service, 0, &port), 0);
		assert_int_equal(table_port_endpoint(&reading, &port, 0, &endpoint), 0);
		assert_int_equal(endpoint.hostname_at, 0);
		assert_int_equal(table_port_endpoint(&reading, &port, 1, &endpoint), 0);
		assert_int_equal(endpoint.port, 8080);
		assert_int_equal(table_text(&reading, endpoint.hostname_at, text, sizeof(text)), 0);
		assert_string_equal(text, vips[i] ? "" : "db-1");
	}
}

/* Two Services with one address cannot be; if so, the first one keeps it. */
static void test_the_first_keeps_an_address(void **state)
{
	struct selection selection;

	(void)state;
	put_plain("first", "10.96.0.1", 1);
	test_selection(&selection, "10.96.0.1", 80, "10.2.0.1", 1, 8080);
	put("second", &selection);
	publish();
	expect("10.96.0.1", "10.1.0.1:8080 ");
}

/* A string that is longer than the caller's buffer is cut. */
static void test_text_is_cut(void **state)
{
	struct table_service service;
	char text[4];

	(void)state;
	put_plain("webshop", "10.96.0.1", 0);
	publish();
	assert_int_equal(table_find_service(&reading, "demo", "webshop", &service), 0);
	assert_int_equal(table_text(&reading, service.name_at, text, sizeof(text)), 0);
	assert_string_equal(text, "web");
	assert_int_equal(table_text(&reading, service.name_at, text, 0), -ENOENT);
	assert_int_equal(table_text(&reading, 0xffffffff, text, sizeof(text)), -ENOENT);
}

/* ---- changes ---- */

/* Nothing is seen before it is published. */
static void test_put_is_invisible_until_publish(void **state)
{
	struct table_port port;

	(void)state;
	publish();
	put_plain("web", "10.96.0.1", 1);
	begin();
	assert_int_equal(find("10.96.0.1", 80, PROTOCOL_TCP, &port), -ENOENT);
	publish();
	expect("10.96.0.1", "10.1.0.1:8080 ");
	assert_int_equal(reading.generation, 2);
}

/* The same again is no change; another endpoint, port or nothing at all is one. */
static void test_equal_put_is_no_change(void **state)
{
	struct selection nothing = {0};

	(void)state;
	assert_int_equal(put_plain("web", "10.96.0.1", 2), 1);
	assert_int_equal(put_plain("web", "10.96.0.1", 2), 0);
	publish();
	assert_int_equal(put_plain("web", "10.96.0.1", 2), 0);
	assert_int_equal(put_plain("web", "10.96.0.1", 3), 1);
	assert_int_equal(put_plain("web", "10.96.0.2", 3), 1);
	assert_int_equal(put("web", &nothing), 1);
	assert_int_equal(put("web", &nothing), 0);
	assert_int_equal(put("unknown", &nothing), 0);
}

/* What was taken out is gone, its address and its name, and the sums are right. */
static void test_removal(void **state)
{
	struct selection nothing = {0};
	struct table_service service;
	struct table_port port;

	(void)state;
	put_plain("web", "10.96.0.1", 2);
	put_plain("db", "10.96.0.2", 3);
	publish();
	put("web", &nothing);
	publish();
	assert_int_equal(find("10.96.0.1", 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(table_find_service(&reading, "demo", "web", &service), -ENOENT);
	expect("10.96.0.2", "10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 ");
	assert_int_equal(table_writer_size(writer).services, 1);
	assert_int_equal(table_writer_size(writer).ports, 1);
	assert_int_equal(table_writer_size(writer).endpoints, 3);
	assert_int_equal(table_writer_size(writer).generation, 2);
}

/* The API server is reached through default/kubernetes: it never loses its last endpoints. */
static void test_the_api_server_never_loses_its_endpoints(void **state)
{
	struct selection selection;

	(void)state;
	test_selection(&selection, "10.96.0.1", 80, "10.1.0.1", 2, 6443);
	assert_int_equal(table_writer_put(writer, "default", "kubernetes", &selection), 1);
	selection_clear(&selection);
	test_selection(&selection, "10.96.0.1", 80, "10.1.0.1", 0, 6443);
	assert_int_equal(table_writer_put(writer, "default", "kubernetes", &selection), 0);
	selection_clear(&selection);
	assert_int_equal(table_writer_put(writer, "default", "kubernetes", &selection), 0);
	publish();
	expect("10.96.0.1", "10.1.0.1:6443 10.1.0.2:6443 ");
	test_selection(&selection, "10.96.0.1", 80, "10.1.0.9", 1, 6443);
	assert_int_equal(table_writer_put(writer, "default", "kubernetes", &selection), 1);
	selection_clear(&selection);
	publish();
	expect("10.96.0.1", "10.1.0.9:6443 ");
}

/* A reader has the time of two publishes; after the third its snapshot is overwritten. */
static void test_a_slow_reader_finds_out(void **state)
{
	struct table_read slow;

	(void)state;
	put_plain("web", "10.96.0.1", 1);
	publish();
	slow = reading;
	publish();
	publish();
	assert_true(table_read_valid(&slow));
	publish();
	assert_false(table_read_valid(&slow));
	assert_true(table_read_valid(&reading));
}

/* The writer says whether it hears the API server, also before and over publishes. */
static void test_live_flag(void **state)
{
	(void)state;
	table_writer_set_heard(writer, 0, 1000);
	table_writer_beat(writer, TABLE_LIVE, 1);
	publish();
	assert_true(table_is_live(table_writer_view(writer)));
	assert_int_equal(table_writer_view(writer)->header->heard_ms, 1000);
	table_writer_beat(writer, TABLE_UNHEARD, 1);
	assert_false(table_is_live(table_writer_view(writer)));
	publish();
	assert_false(table_is_live(table_writer_view(writer)));
}

/* ---- size ---- */

static void put_many(unsigned services, unsigned endpoints)
{
	struct ip_address first = ip_of("10.96.0.0");

	for (unsigned i = 0; i < services; i++) {
		char name[32], vip[INET6_ADDRSTRLEN];
		struct ip_address ip = ip_plus(first, i);

		snprintf(name, sizeof(name), "service-%u", i);
		ip_format(&ip, vip, sizeof(vip));
		assert_int_equal(put_plain(name, vip, endpoints), 1);
	}
}

/* 10 000 Services with 100 000 endpoints cost less than 64 bytes an endpoint, and all are found. */
static void test_a_large_cluster(void **state)
{
	struct ip_address first = ip_of("10.96.0.0");
	struct table_writer_size size;

	(void)state;
	put_many(10000, 10);
	publish();
	size = table_writer_size(writer);
	assert_int_equal(size.services, 10000);
	assert_int_equal(size.endpoints, 100000);
	assert_in_range(size.bytes, 32 * 100000, 64 * 100000);
	for (unsigned i = 0; i < 10000; i++) {
		struct ip_address vip = ip_plus(first, i);
		struct table_service service;
		struct table_endpoint endpoint;
		struct table_port port;
		char name[32];

		snprintf(name, sizeof(name), "service-%u", i);
		assert_int_equal(table_find_service(&reading, "demo", name, &service), 0);
		assert_memory_equal(&service.vips[0], &vip, sizeof(vip));
		assert_int_equal(table_find_vip(&reading, &vip, 80, PROTOCOL_TCP, &port), 0);
		assert_int_equal(port.endpoint_count, 10);
		assert_int_equal(table_port_endpoint(&reading, &port, 9, &endpoint), 0);
		assert_memory_equal(&endpoint.address, ip_of("10.1.0.10").bytes, 16);
	}
	assert_true(table_read_valid(&reading));
}

/* A Service that is left alone has its name in the table and nothing else, until it is gone. */
static void test_a_name_that_is_taken(void **state)
{
	struct selection taken = {.name_taken = true};
	struct selection gone = {.port_count = 0};
	struct table_service service;
	struct table_port port;

	(void)state;
	put_plain("web", "10.96.0.1", 1);
	assert_int_equal(table_writer_put(writer, "demo", "web", &taken), 1);
	assert_int_equal(table_writer_put(writer, "demo", "web", &taken), 0);
	publish();
	assert_int_equal(table_find_service(&reading, "demo", "web", &service), 0);
	assert_true(ip_is_unset(&service.vips[0]) && !(service.flags & TABLE_SERVICE_HEADLESS));
	assert_int_equal(table_service_port(&reading, &service, 0, &port), -ENOENT);
	assert_int_equal(table_writer_put(writer, "demo", "web", &gone), 1);
	publish();
	assert_int_equal(table_find_service(&reading, "demo", "web", &service), -ENOENT);
}

/* A full table takes no further Service; those that are in it, and room that comes free, are not
 * touched by that. */
static void test_a_full_table(void **state)
{
	struct selected_port *ports = calloc(LIMIT_TABLE_PORTS, sizeof(*ports));
	struct selection many = {.ports = ports, .port_count = LIMIT_TABLE_PORTS};
	struct selection one = {.ports = ports, .port_count = 1};
	struct selection none = {.port_count = 0};

	(void)state;
	assert_non_null(ports);
	for (unsigned i = 0; i < LIMIT_TABLE_PORTS; i++)
		ports[i].port = (uint16_t)(i + 1);
	assert_int_equal(table_writer_put(writer, "demo", "many", &many), 1);
	assert_int_equal(table_writer_put(writer, "demo", "one", &one), -E2BIG);
	assert_int_equal(table_writer_size(writer).services, 1);
	assert_int_equal(table_writer_publish(writer), 0);
	many.port_count--;
	many.ports++; /* another first port: nothing is compared with a quarter of a million */
	assert_int_equal(table_writer_put(writer, "demo", "many", &none), 1);
	assert_int_equal(table_writer_put(writer, "demo", "one", &one), 1);
	assert_int_equal(table_writer_put(writer, "demo", "many", &many), 1);
	assert_int_equal(table_writer_size(writer).ports, LIMIT_TABLE_PORTS);
	/* One that grows beyond it goes. */
	one.port_count = 2;
	assert_int_equal(table_writer_put(writer, "demo", "one", &one), -E2BIG);
	assert_int_equal(table_writer_size(writer).services, 1);
	free(ports);
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_an_empty_table),
		case_of(test_round_trip_of_everything),
		case_of(test_only_the_whole_key_is_found),
		case_of(test_headless),
		case_of(test_hostnames),
		case_of(test_the_first_keeps_an_address),
		case_of(test_text_is_cut),
		case_of(test_put_is_invisible_until_publish),
		case_of(test_equal_put_is_no_change),
		case_of(test_removal),
		case_of(test_the_api_server_never_loses_its_endpoints),
		case_of(test_a_slow_reader_finds_out),
		case_of(test_live_flag),
		case_of(test_a_large_cluster),
		case_of(test_a_name_that_is_taken),
		case_of(test_a_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
