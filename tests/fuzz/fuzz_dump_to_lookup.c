/* Fuzzes the whole way of the data: a dump is read, selected from, published and looked up in. */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "publish/writer.h"
#include "support/table_walk.h"
#include "sync/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct select_location place = {.node = "n1", .zone = "z1"};

/* What select promises of each port, whatever the objects say. */
static void check_selection(const struct selection *selection)
{
	size_t endpoints = 0;

	for (unsigned i = 0; i < selection->port_count; i++) {
		const struct selected_port *port = &selection->ports[i];
		unsigned used = 0;

		for (unsigned e = 0; e < port->endpoint_count; e++) {
			const struct selected_endpoint *endpoint = &port->endpoints[e];

			if (ip_never_cluster(&endpoint->address) ||
			    ip_family_of(&endpoint->address) != port->family)
				abort();
			used += endpoint->used;
		}
		if (used != port->used_count || (port->has_vip && ip_never_cluster(&port->vip)))
			abort();
		endpoints += port->endpoint_count;
	}
	if (selection->port_count > 4 * LIMIT_PORTS || endpoints > LIMIT_TABLE_ENDPOINTS)
		abort();
}

/* What was put is what is found, but for a VIP that another Service has too. */
static void check_lookup(const struct table_view *view, const char *namespace, const char *name,
			 const struct selection *selection)
{
	struct table_service service;
	struct table_read read;

	if (table_read_begin(view, &read) < 0)
		abort();
	if ((selection->port_count || selection->headless) &&
	    table_find_service(&read, namespace, name, &service) < 0)
		abort();
	for (unsigned i = 0; i < selection->port_count; i++) {
		const struct selected_port *port = &selection->ports[i];
		struct table_port found;

		if (port->has_vip && table_find_vip(&read, &port->vip, port->port,
						    (uint8_t)port->protocol, &found) < 0)
			abort();
	}
	if (!table_read_valid(&read))
		abort();
}

static void put_changed(struct store *store, struct table_writer *writer)
{
	struct service_state state;

	while (store_take_changed(store, &state)) {
		struct selection selection;

		if (select_endpoints(&state, &place, &selection) < 0)
			abort();
		check_selection(&selection);
		if (table_writer_put(writer, state.namespace, state.name, &selection) < 0)
			abort();
		selection_clear(&selection);
	}
	if (table_writer_publish(writer) < 0)
		abort();
}

static void look_up_all(struct store *store, const struct table_view *view)
{
	static const struct ip_address vip = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 96, 0, 8}};
	struct service_state state;

	store_touch_all(store);
	while (store_take_changed(store, &state)) {
		struct selection selection;

		if (select_endpoints(&state, &place, &selection) < 0)
			abort();
		check_lookup(view, state.namespace, state.name, &selection);
		selection_clear(&selection);
	}
	table_walk(view, &vip, 80);
}

/* Documents with a NUL between them, each in the place of the one before. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct logger silent;
	struct table_writer *writer;
	struct store *store;
	struct dump dump;

	if (store_new(&store) < 0 || dump_init(&dump, store, NULL, NULL, &silent) < 0 ||
	    table_writer_new(0, &writer) < 0)
		abort();
	while (size) {
		const uint8_t *end = memchr(data, '\0', size);
		size_t length = end ? (size_t)(end - data) : size;
		struct dump_counts counts;
		char error[200];

		dump_read(&dump, (const char *)data, length, &counts, error, sizeof(error));
		put_changed(store, writer);
		look_up_all(store, table_writer_view(writer));
		data += length + (end != NULL);
		size -= length + (end != NULL);
	}
	table_writer_free(writer);
	store_free(store);
	return 0;
}
