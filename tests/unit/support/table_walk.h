/* Every lookup that a reader can make, in a table that may hold anything. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_TABLE_WALK_H
#define K8SLB_TESTS_TABLE_WALK_H

#include <string.h>

#include "base/object.h"
#include "pick/pick.h"
#include "table/reader.h"

/* A header-only file: the fuzzers link no test support. Returns how many records were read. */
static inline uint64_t table_walk_port(const struct table_read *read, const struct table_port *port)
{
	struct table_endpoint endpoint;
	uint64_t records = 0;
	char text[64];

	table_text(read, port->name_at, text, sizeof(text));
	for (unsigned i = 0; table_port_endpoint(read, port, i, &endpoint) == 0; i++)
		records++;
	return records;
}

static inline uint64_t table_walk_service(const struct table_read *read,
					  const struct table_service *service)
{
	char namespace[64] = "", name[64] = "";
	struct table_service again;
	struct table_port port;
	uint64_t records = 0;

	if (table_text(read, service->namespace_at, namespace, sizeof(namespace)) == 0 &&
	    table_text(read, service->name_at, name, sizeof(name)) == 0)
		table_find_service(read, namespace, name, &again);
	/* The runs of a damaged table may all be as long as the table: a few are enough. */
	for (unsigned i = 0; i < 8 && table_service_port(read, service, i, &port) == 0; i++)
		records += 1 + table_walk_port(read, &port);
	return records;
}

static inline uint64_t table_walk(const struct table_view *view, const struct ip_address *vip,
				  uint16_t number)
{
	static struct pick_memory memory;
	struct pick_state state = {.memory = &memory, .rules = HEALTH_DEFAULTS};
	struct table_service service;
	struct found_port found;
	struct table_port port;
	struct table_read read;
	struct picked picked;
	uint64_t records = 0;

	if (pick_find(view, vip, number, PROTOCOL_TCP, &found) == PICK_ENDPOINT)
		pick_take(&found, &state, vip, number, &picked);
	pick_by_vip(view, &state, vip, number, PROTOCOL_TCP, &picked);
	if (table_read_begin(view, &read) < 0)
		return 0;
	if (table_find_vip(&read, vip, number, PROTOCOL_TCP, &port) == 0)
		records += table_walk_port(&read, &port);
	table_find_service(&read, "demo", "web", &service);
	table_find_service(&read, "", "", &service);
	for (unsigned i = 0; i < 8 && table_service_at(&read, i, &service) == 0; i++)
		records += 1 + table_walk_service(&read, &service);
	table_read_valid(&read);
	return records;
}

#endif
