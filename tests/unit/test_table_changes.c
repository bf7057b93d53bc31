/* table: after any sequence of changes it says what a table says that was made in one go. */
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

#include "publish/writer.h"
#include "support/objects.h"
#include "table/reader.h"
#include "support/assert_op.h"

/*
 * A publish writes only what changed since the arena was written last, if it can. Here the changes
 * are random, and each snapshot is compared, as text, with that of a new table which never had
 * another content.
 */
#define SERVICES       16
#define PORTS_MAX      3
#define ENDPOINTS_MAX  12
#define ENDPOINTS_MANY 2500

struct model_port {
	unsigned count;	    /* endpoints */
	unsigned first_pod; /* number of the first one's address */
};

/* What a Service shall be. */
struct model {
	bool exists;
	bool headless;
	bool with_hostnames;
	unsigned port_count;
	struct model_port ports[PORTS_MAX];
};

static struct slice_endpoint pods[ENDPOINTS_MANY + ENDPOINTS_MAX];
static uint64_t seed;

static unsigned below(unsigned limit)
{
	return test_random(&seed) % limit;
}

static void make_pods(void)
{
	static char names[sizeof(pods) / sizeof(pods[0])][16];

	for (unsigned i = 0; i < sizeof(pods) / sizeof(pods[0]); i++) {
		pods[i].address = ip_plus(ip_of("10.1.0.0"), i);
		pods[i].target_uid_hash = i + 1;
		snprintf(names[i], sizeof(names[i]), "pod-%u", i);
		pods[i].hostname = i % 4 ? names[i] : "";
	}
}

/* ---- what a table says ---- */

struct text {
	char *bytes;
	size_t length, size;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	va_list args;

	if (text->size - text->length < 512) {
		text->size = text->size * 2 + 4096;
		text->bytes = realloc(text->bytes, text->size);
		assert_non_null(text->bytes);
	}
	va_start(args, format);
	text->length += (size_t)vsnprintf(text->bytes + text->length, 512, format, args);
	va_end(args);
}

static const char *string_at(const struct table_read *read, uint32_t at)
{
	static char text[64];

	return table_text(read, at, text, sizeof(text)) == 0 ? text : "?";
}

static void say_endpoints(struct text *text, const struct table_read *read,
			  const struct table_port *port)
{
	for (unsigned i = 0; i < port->endpoint_count; i++) {
		struct table_endpoint endpoint;
		char address[IP_TEXT_SIZE];

		assert_int_equal(table_port_endpoint(read, port, i, &endpoint), 0);
		ip_port_format(&endpoint.address, endpoint.port, address, sizeof(address));
		say(text, " %s/%llx/%s", address, (unsigned long long)endpoint.uid_hash,
		    string_at(read, endpoint.hostname_at));
	}
	say(text, "\n");
}

static void say_service(struct text *text, const struct table_read *read, const char *name)
{
	struct table_service service;
	struct table_port port;

	if (table_find_service(read, "demo", name, &service) < 0) {
		say(text, "no %s\n", name);
		return;
	}
	say(text, "%s", string_at(read, service.namespace_at));
	say(text, "/%s flags %u\n", string_at(read, service.name_at), service.flags);
	for (unsigned i = 0; table_service_port(read, &service, i, &port) == 0; i++) {
		struct ip_address *vip = &service.vips[0];
		struct table_port by_vip;
		char address[INET6_ADDRSTRLEN];

		ip_format(vip, address, sizeof(address));
		say(text, " %s %s:%u/%u", string_at(read, port.name_at), address, port.port,
		    port.protocol);
		say_endpoints(text, read, &port);
		/* The index leads to the same record. */
		if (service.flags & TABLE_SERVICE_HEADLESS) {
			assert_int_equal(table_find_vip(read, vip, port.port, port.protocol,
							&by_vip),
					 -ENOENT);
			continue;
		}
		assert_int_equal(table_find_vip(read, vip, port.port, port.protocol, &by_vip), 0);
		assert_memory_equal(&by_vip, &port, sizeof(port));
	}
}

/* All of the table, in the order of the names. Free it. */
static char *describe(const struct table_read *read)
{
	struct text text = {0};

	for (unsigned i = 0; i < SERVICES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web-%u", i);
		say_service(&text, read, name);
	}
	say(&text, "%u services", read->snapshot->service_count);
	return text.bytes;
}

/* ---- changing it ---- */

static void fill_port(struct selected_port *port, const struct model *model, unsigned service,
		      unsigned number)
{
	static const struct slice_endpoint unnamed = {.hostname = "", .target_uid_hash = 4711};
	const struct model_port *wanted = &model->ports[number];

	snprintf(port->name, sizeof(port->name), "port-%u", number);
	port->port = (uint16_t)(80 + number);
	port->protocol = PROTOCOL_TCP;
	port->family = IP_FAMILY_4;
	port->has_vip = !model->headless;
	port->vip = ip_plus(ip_of("10.96.0.0"), service);
	port->endpoint_count = wanted->count;
	port->used_count = wanted->count;
	port->endpoints = calloc(wanted->count ? wanted->count : 1, sizeof(port->endpoints[0]));
	assert_non_null(port->endpoints);
	for (unsigned i = 0; i < wanted->count; i++) {
		const struct slice_endpoint *pod = &pods[wanted->first_pod + i];

		port->endpoints[i] = (struct selected_endpoint){
			.address = pod->address,
			.port = 8080,
			.endpoint = model->with_hostnames ? pod : &unnamed,
			.used = true,
		};
	}
}

static void put(struct table_writer *writer, const struct model *model, unsigned service)
{
	struct selection selection = {0};
	char name[16];

	if (model->exists) {
		selection.headless = model->headless;
		selection.port_count = model->port_count;
		selection.ports = calloc(PORTS_MAX, sizeof(selection.ports[0]));
		assert_non_null(selection.ports);
		for (unsigned i = 0; i < model->port_count; i++)
			fill_port(&selection.ports[i], model, service, i);
	}
	if (model->exists && !model->headless) {
		selection.vip_count = 1;
		selection.vips[0] = selection.ports[0].vip;
	}
	snprintf(name, sizeof(name), "web-%u", service);
	assert_op(table_writer_put(writer, "demo", name, &selection), >=, 0);
	selection_clear(&selection);
}

static void change_endpoints(struct model_port *port)
{
	port->count = below(ENDPOINTS_MAX);
	port->first_pod = below(ENDPOINTS_MAX);
}

/* Mostly endpoints, as in a real cluster. */
static void change(struct model *model)
{
	unsigned what = below(40);

	if (!model->exists || what == 0) {
		*model = (struct model){
			.exists = !model->exists,
			.headless = below(3) == 0,
			.port_count = 1 + below(PORTS_MAX),
		};
		model->with_hostnames = model->headless && below(2);
		for (unsigned i = 0; i < PORTS_MAX; i++)
			change_endpoints(&model->ports[i]);
	} else if (what == 1) {
		model->port_count = 1 + below(PORTS_MAX);
	} else if (what == 2) {
		model->with_hostnames = model->headless && !model->with_hostnames;
	} else {
		change_endpoints(&model->ports[below(model->port_count)]);
	}
}

static char *describe_new_table(const struct model *models)
{
	struct table_writer *writer;
	struct table_read read;
	char *text;

	assert_int_equal(table_writer_new(0, &writer), 0);
	for (unsigned i = 0; i < SERVICES; i++)
		put(writer, &models[i], i);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(table_read_begin(table_writer_view(writer), &read), 0);
	text = describe(&read);
	table_writer_free(writer);
	return text;
}

/* Publishes @writer and compares it with @models, and the snapshot before with what it was. */
static void publish_and_compare(struct table_writer *writer, const struct model *models,
				struct table_read *before, char **before_text)
{
	char *wanted = describe_new_table(models);
	struct table_read read;
	char *text;

	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(table_read_begin(table_writer_view(writer), &read), 0);
	text = describe(&read);
	assert_string_equal(text, wanted);
	free(wanted);
	if (*before_text) {
		wanted = describe(before);
		assert_true(table_read_valid(before));
		assert_string_equal(wanted, *before_text);
		free(wanted);
		free(*before_text);
	}
	*before = read;
	*before_text = text;
}

/* Several Services change between two publishes, or none; some come and go. */
static void test_random_changes(void **state)
{
	struct model models[SERVICES] = {0};
	struct table_writer *writer;
	struct table_read before;
	char *before_text = NULL;

	(void)state;
	seed = 1;
	assert_int_equal(table_writer_new(0, &writer), 0);
	for (unsigned round = 0; round < test_count(1500, 30000); round++) {
		for (unsigned changes = below(4); changes > 0; changes--) {
			unsigned service = below(SERVICES);

			change(&models[service]);
			put(writer, &models[service], service);
		}
		publish_and_compare(writer, models, &before, &before_text);
	}
	free(before_text);
	table_writer_free(writer);
}

/* The same while one Service grows until the table has to move, and shrinks again. */
static void test_random_changes_over_growth(void **state)
{
	struct model models[SERVICES] = {0};
	struct table_writer *writer;
	const struct table_view *first = NULL;
	struct table_read before;
	char *before_text = NULL;

	(void)state;
	seed = 2;
	assert_int_equal(table_writer_new(0, &writer), 0);
	table_writer_beat(writer, TABLE_LIVE, 1);
	for (unsigned round = 0; round < 60; round++) {
		unsigned service = 1 + below(SERVICES - 1);

		models[0] = (struct model){.exists = true, .port_count = 2};
		models[0].ports[0].count = round % 30 * (ENDPOINTS_MANY / 30);
		models[0].ports[1].count = models[0].ports[0].count;
		put(writer, &models[0], 0);
		change(&models[service]);
		put(writer, &models[service], service);
		publish_and_compare(writer, models, &before, &before_text);
		first = first ? first : table_writer_view(writer);
	}
	assert_ptr_not_equal(table_writer_view(writer), first);
	assert_int_equal(first->header->moved, 1);
	assert_int_equal(table_writer_view(writer)->header->moved, 0);
	assert_true(table_is_live(table_writer_view(writer)));
	free(before_text);
	table_writer_free(writer);
}

static uint32_t place_of(struct table_writer *writer, unsigned service)
{
	struct ip_address vip = ip_plus(ip_of("10.96.0.0"), service);
	struct table_read read;
	struct table_port port;

	assert_int_equal(table_read_begin(table_writer_view(writer), &read), 0);
	assert_int_equal(table_find_vip(&read, &vip, 80, PROTOCOL_TCP, &port), 0);
	return port.first_endpoint;
}

static void put_plain(struct table_writer *writer, unsigned service, unsigned count)
{
	struct model model = {.exists = true, .port_count = 1, .ports[0].count = count};

	put(writer, &model, service);
}

/* Endpoints that come do not move those of other Services: that is what makes a publish cheap. */
static void test_a_change_moves_no_other_service(void **state)
{
	struct table_writer *writer;
	uint32_t places[3];

	(void)state;
	assert_int_equal(table_writer_new(0, &writer), 0);
	for (unsigned i = 0; i < 3; i++)
		put_plain(writer, i, 4);
	assert_int_equal(table_writer_publish(writer), 0);
	for (unsigned i = 0; i < 3; i++)
		places[i] = place_of(writer, i);
	for (unsigned count = 5; count > 0; count--) {
		put_plain(writer, 1, count);
		assert_int_equal(table_writer_publish(writer), 0);
		assert_int_equal(place_of(writer, 0), places[0]);
		assert_int_equal(place_of(writer, 2), places[2]);
		assert_op(place_of(writer, 1), >, places[2]);
	}
	/* Until there are no spare ones left; then the holes are gone. */
	put_plain(writer, 1, 1000);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(place_of(writer, 1), places[1]);
	assert_int_equal(place_of(writer, 2), places[1] + 1000);
	table_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_random_changes_over_growth),
		cmocka_unit_test(test_a_change_moves_no_other_service),
	};

	make_pods();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
