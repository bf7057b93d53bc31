// SPDX-License-Identifier: Apache-2.0
#include "publish/arena.h"

#include <string.h>

#include "base/atomic.h"
#include "table/keys.h"

static bool has_vip(const struct staged_port *port)
{
	return !ip_is_unset(&port->vip);
}

struct arena_needs arena_needs_of(const struct staged_service *service)
{
	struct arena_needs needs = {
		.services = 1,
		.ports = service->record.port_count,
		.endpoints = staged_service_endpoint_count(service),
		.text_size = staged_service_text_size(service),
	};

	for (unsigned i = 0; i < service->record.port_count; i++)
		needs.vips += has_vip(&service->ports[i]);
	return needs;
}

/* ---- planning ---- */

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

void arena_plan_start(struct arena_plan *plan, const struct arena_needs *needs)
{
	struct table_snapshot snapshot = {
		.service_count = needs->services,
		.port_count = needs->ports,
		.endpoint_count = needs->endpoints + needs->endpoints / 8 + 16,
		.text_size = (uint32_t)align8(1 + needs->text_size),
		.vip_slots = slots_for(needs->vips),
		.name_slots = slots_for(needs->services),
	};

	snapshot.services_at = sizeof(snapshot);
	snapshot.ports_at = snapshot.services_at +
			    (uint64_t)snapshot.service_count * sizeof(struct table_service);
	snapshot.endpoints_at =
		snapshot.ports_at + (uint64_t)snapshot.port_count * sizeof(struct table_port);
	snapshot.vips_at = snapshot.endpoints_at +
			   (uint64_t)snapshot.endpoint_count * sizeof(struct table_endpoint);
	snapshot.names_at =
		snapshot.vips_at + (uint64_t)snapshot.vip_slots * sizeof(struct table_vip_slot);
	snapshot.text_at =
		snapshot.names_at + (uint64_t)snapshot.name_slots * sizeof(struct table_name_slot);
	snapshot.size = snapshot.text_at + snapshot.text_size;
	/* Text 0 is the empty string: "none". */
	*plan = (struct arena_plan){.snapshot = snapshot, .text_size = 1};
}

void arena_plan_place(struct arena_plan *plan, struct staged_service *service)
{
	service->place = (struct staged_place){
		.service = plan->services,
		.first_port = plan->ports,
		.text_at = plan->text_size,
	};
	for (unsigned i = 0; i < service->record.port_count; i++) {
		struct staged_port *port = &service->ports[i];

		port->first_endpoint = plan->endpoints;
		port->room = port->record.endpoint_count;
		plan->endpoints += port->room;
	}
	plan->services++;
	plan->ports += service->record.port_count;
	plan->text_size += (uint32_t)staged_service_text_size(service);
}

bool arena_plan_keep_place(struct arena_plan *plan, struct staged_service *service,
			   const struct staged_service *old)
{
	service->place = old->place;
	for (unsigned i = 0; i < service->record.port_count; i++) {
		struct staged_port *port = &service->ports[i];
		uint32_t count = port->record.endpoint_count;

		port->first_endpoint = old->ports[i].first_endpoint;
		port->room = old->ports[i].room;
		if (count <= port->room)
			continue;
		/* With room to grow on: what grows once often does again. */
		port->room = count + count / 4;
		if (port->room > plan->snapshot.endpoint_count - plan->endpoints)
			return false;
		port->first_endpoint = plan->endpoints;
		plan->endpoints += port->room;
	}
	return true;
}

/* ---- writing ---- */

static void put_record(const struct arena *arena, uint64_t run_at, uint32_t index,
		       const void *record, size_t size)
{
	poke_words(arena->at + run_at + index * size, record, size);
}

/* Appends a string at *@text_at and returns where it is. */
static uint32_t put_text(const struct arena *arena, uint32_t *text_at, const char *text)
{
	uint32_t at = *text_at;
	size_t size = strlen(text) + 1;

	if (arena->text)
		memcpy(arena->text + at, text, size);
	*text_at += (uint32_t)size;
	return at;
}

static void put_named_endpoints(const struct arena *arena, const struct staged_port *port,
				uint32_t *text_at)
{
	for (unsigned i = 0; i < port->record.endpoint_count; i++) {
		const char *hostname = staged_port_hostname(port, i);
		struct table_endpoint record = port->endpoints[i];

		if (hostname[0])
			record.hostname_at = put_text(arena, text_at, hostname);
		put_record(arena, arena->plan->snapshot.endpoints_at, port->first_endpoint + i,
			   &record, sizeof(record));
	}
}

static void put_endpoints(const struct arena *arena, const struct staged_port *port)
{
	poke_words(arena->at + arena->plan->snapshot.endpoints_at +
			   port->first_endpoint * sizeof(struct table_endpoint),
		   port->endpoints, port->record.endpoint_count * sizeof(struct table_endpoint));
}

void arena_write_service(const struct arena *arena, const struct staged_service *service)
{
	const struct table_snapshot *snapshot = &arena->plan->snapshot;
	const struct staged_place *place = &service->place;
	struct table_service record = service->record;
	uint32_t text_at = place->text_at;

	record.first_port = place->first_port;
	record.namespace_at = put_text(arena, &text_at, service->namespace);
	record.name_at = put_text(arena, &text_at, service->name);
	put_record(arena, snapshot->services_at, place->service, &record, sizeof(record));
	for (unsigned i = 0; i < service->record.port_count; i++) {
		const struct staged_port *port = &service->ports[i];
		struct table_port port_record = port->record;

		port_record.service = place->service;
		port_record.first_endpoint = port->first_endpoint;
		port_record.name_at = put_text(arena, &text_at, port->name);
		put_record(arena, snapshot->ports_at, place->first_port + i, &port_record,
			   sizeof(port_record));
		if (port->hostnames)
			put_named_endpoints(arena, port, &text_at);
		else
			put_endpoints(arena, port);
	}
}

void arena_clear_indexes(const struct arena *arena)
{
	const struct table_snapshot *snapshot = &arena->plan->snapshot;

	for (uint64_t at = snapshot->vips_at; at < snapshot->text_at; at += 8)
		poke_u64((uint64_t *)(void *)(arena->at + at), 0);
}

static void index_vip(const struct arena *arena, const struct staged_port *port,
		      uint32_t port_index)
{
	const struct table_snapshot *snapshot = &arena->plan->snapshot;
	struct table_vip_slot entry = {
		.vip = port->vip,
		.port_index_plus_1 = port_index + 1,
		.key = table_vip_key(port->record.port, port->record.protocol),
	};
	uint32_t mask = snapshot->vip_slots - 1;
	uint32_t slot = (uint32_t)table_vip_hash(&entry.vip, entry.key);

	for (;; slot++) {
		struct table_vip_slot found;

		peek_words(&found, arena->at + snapshot->vips_at + (slot & mask) * sizeof(found),
			   sizeof(found));
		if (found.port_index_plus_1 == 0)
			break;
		if (found.key == entry.key && ip_equal(&found.vip, &entry.vip))
			return;
	}
	put_record(arena, snapshot->vips_at, slot & mask, &entry, sizeof(entry));
}

static void index_name(const struct arena *arena, const struct staged_service *service)
{
	const struct table_snapshot *snapshot = &arena->plan->snapshot;
	uint64_t hash = table_name_hash(service->namespace, service->name);
	struct table_name_slot entry = {
		.hash_high = (uint32_t)(hash >> 32),
		.service_index_plus_1 = service->place.service + 1,
	};
	uint32_t mask = snapshot->name_slots - 1;
	uint32_t slot = (uint32_t)hash;

	for (;; slot++) {
		struct table_name_slot found;

		peek_words(&found, arena->at + snapshot->names_at + (slot & mask) * sizeof(found),
			   sizeof(found));
		if (found.service_index_plus_1 == 0)
			break;
	}
	put_record(arena, snapshot->names_at, slot & mask, &entry, sizeof(entry));
}

void arena_index_service(const struct arena *arena, const struct staged_service *service)
{
	index_name(arena, service);
	for (unsigned i = 0; i < service->record.port_count; i++) {
		if (has_vip(&service->ports[i]))
			index_vip(arena, &service->ports[i], service->place.first_port + i);
	}
}

void arena_write_text(const struct arena *arena)
{
	const struct table_snapshot *snapshot = &arena->plan->snapshot;

	poke_words(arena->at + snapshot->text_at, arena->text, snapshot->text_size);
}
