// SPDX-License-Identifier: Apache-2.0
#include "table/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "table/keys.h"
#include "table/region.h"
#include "table/wire_service.h"

struct written_service {
	char key[2 * DNS_LABEL_SIZE]; /* namespace/name */
	struct wire_service *wire;
	UT_hash_handle hh;
};

struct table_writer {
	struct written_service *services;
	unsigned port_count;
	unsigned vip_count; /* ports with a VIP: entries of the index */
	unsigned endpoint_count;
	size_t text_size;
	uint32_t next_cursor;
	uint64_t generation;
	uint64_t bytes;
	bool live;
	uint64_t heard_realtime_s;
	/* Newest first; the older ones are what readers may still look at. */
	struct table_memory {
		struct region region;
		struct table_memory *older;
	} *memory;
};

static bool has_vip(const struct wire_port *port)
{
	static const struct ip_address none;

	return !ip_equal(&port->vip, &none);
}

static unsigned count_vips(const struct wire_service *wire)
{
	unsigned count = 0;

	for (unsigned i = 0; i < wire->record.port_count; i++)
		count += has_vip(&wire->ports[i]);
	return count;
}

static void count_in(struct table_writer *writer, const struct wire_service *wire)
{
	writer->port_count += wire->record.port_count;
	writer->vip_count += count_vips(wire);
	writer->endpoint_count += wire_service_endpoint_count(wire);
	writer->text_size += wire_service_text_size(wire);
}

static void count_out(struct table_writer *writer, const struct wire_service *wire)
{
	writer->port_count -= wire->record.port_count;
	writer->vip_count -= count_vips(wire);
	writer->endpoint_count -= wire_service_endpoint_count(wire);
	writer->text_size -= wire_service_text_size(wire);
}

int table_writer_new(struct table_writer **ret_writer)
{
	struct table_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	*ret_writer = writer;
	return 0;
}

/* ---- put ---- */

static bool is_api_server(const char *key)
{
	return strcmp(key, "default/kubernetes") == 0;
}

static void take_out(struct table_writer *writer, struct written_service *service)
{
	count_out(writer, service->wire);
	HASH_DEL(writer->services, service);
	wire_service_free(service->wire);
	free(service);
}

static int put_in(struct table_writer *writer, const char *key, struct wire_service *wire)
{
	struct written_service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	strcpy(service->key, key);
	HASH_ADD_STR(writer->services, key, service);
	if (!service->hh.tbl) {
		free(service);
		return -ENOMEM;
	}
	service->wire = wire;
	count_in(writer, wire);
	return 0;
}

int table_writer_put(struct table_writer *writer, const char *namespace, const char *name,
		     const struct selection *selection)
{
	struct written_service *service;
	struct wire_service *wire;
	char key[2 * DNS_LABEL_SIZE];
	int rc;

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(writer->services, key, service);
	if (selection->port_count == 0 && !selection->headless) {
		if (!service || is_api_server(key))
			return 0;
		take_out(writer, service);
		return 1;
	}
	wire = wire_service_new(namespace, name, selection);
	if (!wire)
		return -ENOMEM;
	wire_service_take_cursors(wire, service ? service->wire : NULL, &writer->next_cursor);
	rc = service && is_api_server(key) ? wire_service_keep_endpoints(wire, service->wire) : 0;
	if (rc == 0 && service && wire_service_equal(wire, service->wire)) {
		wire_service_free(wire);
		return 0;
	}
	if (rc == 0 && service) {
		count_out(writer, service->wire);
		wire_service_free(service->wire);
		service->wire = wire;
		count_in(writer, wire);
	} else if (rc == 0) {
		rc = put_in(writer, key, wire);
	}
	if (rc < 0) {
		wire_service_free(wire);
		return rc;
	}
	return 1;
}

/* ---- publish ---- */

/* A snapshot being filled: where it lies and how far each run is. */
struct filling {
	unsigned char *arena;
	struct table_snapshot snapshot;
	uint32_t service_index;
	uint32_t port_index;
	uint32_t endpoint_index;
	char *text; /* private; copied at the end */
	uint32_t text_at;
};

static uint64_t align8(uint64_t size)
{
	return (size + 7) & ~7ULL;
}

/* Slots of an index for @count keys: at most two thirds full, so that a miss takes few probes. */
static uint32_t slots_for(unsigned count)
{
	uint32_t slots = 8;

	if (count == 0)
		return 0;
	while (slots < count + count / 2)
		slots *= 2;
	return slots;
}

static struct table_snapshot plan_snapshot(const struct table_writer *writer)
{
	struct table_snapshot plan = {
		.service_count = HASH_COUNT(writer->services),
		.port_count = writer->port_count,
		.endpoint_count = writer->endpoint_count,
		.text_size = (uint32_t)align8(1 + writer->text_size),
		.vip_slots = slots_for(writer->vip_count),
		.name_slots = slots_for(HASH_COUNT(writer->services)),
	};

	plan.services_at = sizeof(plan);
	plan.ports_at = plan.services_at + plan.service_count * sizeof(struct table_service);
	plan.endpoints_at = plan.ports_at + plan.port_count * sizeof(struct table_port);
	plan.vips_at = plan.endpoints_at + plan.endpoint_count * sizeof(struct table_endpoint);
	plan.names_at = plan.vips_at + plan.vip_slots * sizeof(struct table_vip_slot);
	plan.text_at = plan.names_at + plan.name_slots * sizeof(struct table_name_slot);
	plan.size = plan.text_at + plan.text_size;
	return plan;
}

static uint32_t put_text(struct filling *filling, const char *text)
{
	uint32_t at = filling->text_at;
	size_t size = strlen(text) + 1;

	memcpy(filling->text + at, text, size);
	filling->text_at += (uint32_t)size;
	return at;
}

static void put_record(struct filling *filling, uint64_t run_at, uint32_t index, const void *record,
		       size_t size)
{
	poke_words(filling->arena + run_at + index * size, record, size);
}

static void clear_run(struct filling *filling, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at += 8)
		poke_u64((uint64_t *)(void *)(filling->arena + at), 0);
}

static void index_vip(struct filling *filling, const struct wire_port *port)
{
	struct table_vip_slot entry = {
		.vip = port->vip,
		.port_index_plus_1 = filling->port_index + 1,
		.port = port->record.port,
		.protocol = port->record.protocol,
	};
	uint32_t mask = filling->snapshot.vip_slots - 1;
	uint32_t slot = (uint32_t)table_vip_hash(&entry.vip, entry.port, entry.protocol);

	for (;; slot++) {
		struct table_vip_slot found;

		peek_words(&found,
			   filling->arena + filling->snapshot.vips_at +
				   (slot & mask) * sizeof(found),
			   sizeof(found));
		if (found.port_index_plus_1 == 0)
			break;
		/* The API server gives an address to one Service only; the first one keeps it. */
		if (found.port == entry.port && found.protocol == entry.protocol &&
		    ip_equal(&found.vip, &entry.vip))
			return;
	}
	put_record(filling, filling->snapshot.vips_at, slot & mask, &entry, sizeof(entry));
}

static void index_name(struct filling *filling, const struct wire_service *wire)
{
	uint64_t hash = table_name_hash(wire->namespace, wire->name);
	struct table_name_slot entry = {
		.hash_high = (uint32_t)(hash >> 32),
		.service_index_plus_1 = filling->service_index + 1,
	};
	uint32_t mask = filling->snapshot.name_slots - 1;
	uint32_t slot = (uint32_t)hash;

	for (;; slot++) {
		struct table_name_slot found;

		peek_words(&found,
			   filling->arena + filling->snapshot.names_at +
				   (slot & mask) * sizeof(found),
			   sizeof(found));
		if (found.service_index_plus_1 == 0)
			break;
	}
	put_record(filling, filling->snapshot.names_at, slot & mask, &entry, sizeof(entry));
}

static void put_named_endpoints(struct filling *filling, const struct wire_port *port)
{
	for (unsigned i = 0; i < port->record.endpoint_count; i++) {
		const char *hostname = wire_port_hostname(port, i);
		struct table_endpoint record = port->endpoints[i];

		if (hostname[0])
			record.hostname_at = put_text(filling, hostname);
		put_record(filling, filling->snapshot.endpoints_at, filling->endpoint_index + i,
			   &record, sizeof(record));
	}
}

static void put_port(struct filling *filling, const struct wire_port *port)
{
	struct table_port record = port->record;

	record.service = filling->service_index;
	record.first_endpoint = filling->endpoint_index;
	record.name_at = put_text(filling, port->name);
	put_record(filling, filling->snapshot.ports_at, filling->port_index, &record,
		   sizeof(record));
	if (port->hostnames)
		put_named_endpoints(filling, port);
	else
		poke_words(filling->arena + filling->snapshot.endpoints_at +
				   filling->endpoint_index * sizeof(struct table_endpoint),
			   port->endpoints, record.endpoint_count * sizeof(struct table_endpoint));
	if (has_vip(port))
		index_vip(filling, port);
	filling->endpoint_index += record.endpoint_count;
	filling->port_index++;
}

static void put_service(struct filling *filling, const struct wire_service *wire)
{
	struct table_service record = wire->record;

	record.first_port = filling->port_index;
	record.namespace_at = put_text(filling, wire->namespace);
	record.name_at = put_text(filling, wire->name);
	put_record(filling, filling->snapshot.services_at, filling->service_index, &record,
		   sizeof(record));
	index_name(filling, wire);
	for (unsigned i = 0; i < wire->record.port_count; i++)
		put_port(filling, &wire->ports[i]);
	filling->service_index++;
}

/* A table with room for half as much again, or the one that there is. */
static int make_room(struct table_writer *writer, uint64_t needed)
{
	uint64_t arena_size = TABLE_ARENA_MIN;
	struct table_memory *memory;
	int rc;

	if (writer->memory && needed <= writer->memory->region.view.header->arena_size)
		return 0;
	if (needed > TABLE_ARENA_MAX)
		return -E2BIG;
	while (arena_size < needed + needed / 2 && arena_size < TABLE_ARENA_MAX)
		arena_size *= 2;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	rc = region_new(arena_size, &memory->region);
	if (rc < 0) {
		free(memory);
		return rc;
	}
	memory->older = writer->memory;
	writer->memory = memory;
	return 0;
}

static struct table_header *writable_header(const struct table_memory *memory)
{
	return (struct table_header *)(void *)memory->region.writable;
}

static void retire_older(struct table_memory *memory)
{
	if (!memory || !memory->region.writable)
		return;
	publish_u32(&writable_header(memory)->moved, 1);
	region_retire(&memory->region);
}

int table_writer_publish(struct table_writer *writer)
{
	struct filling filling = {
		.snapshot = plan_snapshot(writer),
		.text_at = 1, /* offset 0 is the empty string: "none" */
	};
	struct written_service *service, *next;
	struct table_snapshot *shared;
	struct table_header *header;
	uint64_t arena;
	int rc;

	filling.text = calloc(1, filling.snapshot.text_size + 8);
	if (!filling.text)
		return -ENOMEM;
	rc = make_room(writer, filling.snapshot.size);
	if (rc < 0) {
		free(filling.text);
		return rc;
	}

	header = writable_header(writer->memory);
	arena = header->current ? ((header->current & 0xff) + 1) % TABLE_ARENAS : 0;
	filling.arena = writer->memory->region.writable + TABLE_HEADER_SIZE +
			arena * header->arena_size;
	shared = (struct table_snapshot *)(void *)filling.arena;

	/* From here to the last store a reader of this arena, two publishes late, sees sequence 0. */
	poke_u64(&shared->sequence, 0);
	fence_before_rewrite();
	clear_run(&filling, filling.snapshot.vips_at, filling.snapshot.text_at);
	HASH_ITER(hh, writer->services, service, next)
		put_service(&filling, service->wire);
	poke_words(filling.arena + filling.snapshot.text_at, filling.text,
		   filling.snapshot.text_size);
	free(filling.text);
	filling.snapshot.published_s = clock_realtime_s();
	poke_words(shared, &filling.snapshot, sizeof(filling.snapshot));

	/* Pair with table_read_begin(). */
	writer->generation++;
	publish_u64(&shared->sequence, writer->generation);
	publish_u64(&header->current, writer->generation << 8 | arena);
	writer->bytes = filling.snapshot.size;
	retire_older(writer->memory->older);
	table_writer_set_live(writer, writer->live, writer->heard_realtime_s);
	return 0;
}

/* ---- the rest ---- */

const struct table_view *table_writer_view(const struct table_writer *writer)
{
	return writer->generation ? &writer->memory->region.view : NULL;
}

void table_writer_set_live(struct table_writer *writer, bool live, uint64_t heard_realtime_s)
{
	struct table_header *header;

	writer->live = live;
	writer->heard_realtime_s = heard_realtime_s;
	if (!writer->generation)
		return;
	header = writable_header(writer->memory);
	poke_u64(&header->writer_heartbeat_s, heard_realtime_s);
	/* Pairs with table_is_live(). */
	publish_u32(&header->live, live);
}

struct table_writer_size table_writer_size(const struct table_writer *writer)
{
	return (struct table_writer_size){
		.generation = writer->generation,
		.services = HASH_COUNT(writer->services),
		.ports = writer->port_count,
		.endpoints = writer->endpoint_count,
		.bytes = writer->bytes,
	};
}

void table_writer_free(struct table_writer *writer)
{
	struct written_service *service, *next;

	if (!writer)
		return;
	HASH_ITER(hh, writer->services, service, next)
		take_out(writer, service);
	while (writer->memory) {
		struct table_memory *memory = writer->memory;

		writer->memory = memory->older;
		region_free(&memory->region);
		free(memory);
	}
	free(writer);
}
