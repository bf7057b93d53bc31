// SPDX-License-Identifier: Apache-2.0
#include "table/reader.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/service_ref.h"
#include "table/keys.h"

int table_view_open(const void *mapping, size_t size, struct table_view *ret_view)
{
	const struct table_header *header = mapping;
	uint64_t arena_size;

	if (size < TABLE_HEADER_SIZE)
		return -EBADMSG;
	/* Pairs with region_new(). */
	if (observe_u64(&header->magic) != TABLE_MAGIC || header->version != TABLE_VERSION ||
	    header->arena_count != TABLE_ARENAS)
		return -EBADMSG;
	arena_size = header->arena_size;
	if (arena_size < sizeof(struct table_snapshot) || arena_size > TABLE_ARENA_MAX ||
	    arena_size % 8 != 0 || size < TABLE_HEADER_SIZE + TABLE_ARENAS * arena_size)
		return -EBADMSG;
	*ret_view = (struct table_view){
		.header = header,
		.size = TABLE_HEADER_SIZE + TABLE_ARENAS * arena_size,
	};
	return 0;
}

/* [at, at + count * record) lies in the snapshot. */
static bool run_fits(const struct table_snapshot *snapshot, uint64_t at, uint64_t count,
		     uint64_t record)
{
	return at % 8 == 0 && at <= snapshot->size && count <= (snapshot->size - at) / record;
}

static bool is_power_of_two_or_zero(uint32_t value)
{
	return (value & (value - 1)) == 0;
}

static bool snapshot_fits(const struct table_snapshot *snapshot, uint64_t arena_size)
{
	return snapshot->size >= sizeof(*snapshot) && snapshot->size <= arena_size &&
	       is_power_of_two_or_zero(snapshot->vip_slots) &&
	       is_power_of_two_or_zero(snapshot->name_slots) &&
	       run_fits(snapshot, snapshot->services_at, snapshot->service_count,
			sizeof(struct table_service)) &&
	       run_fits(snapshot, snapshot->ports_at, snapshot->port_count,
			sizeof(struct table_port)) &&
	       run_fits(snapshot, snapshot->endpoints_at, snapshot->endpoint_count,
			sizeof(struct table_endpoint)) &&
	       run_fits(snapshot, snapshot->vips_at, snapshot->vip_slots,
			sizeof(struct table_vip_slot)) &&
	       run_fits(snapshot, snapshot->names_at, snapshot->name_slots,
			sizeof(struct table_name_slot)) &&
	       run_fits(snapshot, snapshot->text_at, snapshot->text_size, 1);
}

int table_read_begin(const struct table_view *view, struct table_read *ret_read)
{
	const struct table_header *header = view->header;
	/* Pairs with publish_u64(current) in writer.c: all of the arena was written before. */
	uint64_t current = observe_u64(&header->current);
	uint64_t generation = current >> 8;
	uint64_t arena = current & 0xff;
	/* Not header->arena_size: another process may change that word between check and use. */
	uint64_t arena_size = (view->size - TABLE_HEADER_SIZE) / TABLE_ARENAS;
	const unsigned char *base;

	if (current == 0)
		return -ENODATA;
	if (arena >= TABLE_ARENAS)
		return -EBADMSG;
	base = (const unsigned char *)header + TABLE_HEADER_SIZE + arena * arena_size;
	peek_words(&ret_read->snapshot, base, sizeof(ret_read->snapshot));
	fence_before_recheck();
	/* A writer that came round again has put another sequence, or 0, into this arena. */
	if (ret_read->snapshot.sequence != generation ||
	    peek_u64(&((const struct table_snapshot *)base)->sequence) != generation)
		return -EAGAIN;
	if (!snapshot_fits(&ret_read->snapshot, arena_size))
		return -EBADMSG;
	ret_read->view = view;
	ret_read->arena = base;
	return 0;
}

bool table_read_valid(const struct table_read *read)
{
	fence_before_recheck();
	return peek_u64(&((const struct table_snapshot *)read->arena)->sequence) ==
	       read->snapshot.sequence;
}

static const void *record_at(const struct table_read *read, uint64_t run_at, uint64_t index,
			     uint64_t record)
{
	return read->arena + run_at + index * record;
}

int table_find_vip(const struct table_read *read, const struct ip_address *vip, uint16_t port,
		   uint8_t protocol, struct table_port *ret_port)
{
	const struct table_snapshot *snapshot = &read->snapshot;
	uint32_t mask = snapshot->vip_slots - 1;
	uint32_t slot = (uint32_t)table_vip_hash(vip, port, protocol);

	for (uint32_t probes = 0; probes < snapshot->vip_slots && probes < TABLE_PROBE_LIMIT;
	     probes++, slot++) {
		struct table_vip_slot found;

		peek_words(&found,
			   record_at(read, snapshot->vips_at, slot & mask, sizeof(found)),
			   sizeof(found));
		if (found.port_index_plus_1 == 0)
			return -ENOENT;
		if (found.port != port || found.protocol != protocol || !ip_equal(&found.vip, vip))
			continue;
		if (found.port_index_plus_1 > snapshot->port_count)
			return -ENOENT;
		peek_words(ret_port,
			   record_at(read, snapshot->ports_at, found.port_index_plus_1 - 1,
				     sizeof(*ret_port)),
			   sizeof(*ret_port));
		return 0;
	}
	return -ENOENT;
}

int table_service_at(const struct table_read *read, unsigned index,
		     struct table_service *ret_service)
{
	if (index >= read->snapshot.service_count)
		return -ENOENT;
	peek_words(ret_service,
		   record_at(read, read->snapshot.services_at, index, sizeof(*ret_service)),
		   sizeof(*ret_service));
	return 0;
}

int table_text(const struct table_read *read, uint32_t at, char *text, size_t size)
{
	const unsigned char *from = read->arena + read->snapshot.text_at;
	size_t length = 0;

	if (at >= read->snapshot.text_size || size == 0)
		return -ENOENT;
	while (length + 1 < size && at + length < read->snapshot.text_size) {
		char c = (char)peek_u8(&from[at + length]);

		if (!c)
			break;
		text[length++] = c;
	}
	text[length] = '\0';
	return 0;
}

static bool text_equals(const struct table_read *read, uint32_t at, const char *wanted)
{
	char text[DNS_LABEL_SIZE];

	return table_text(read, at, text, sizeof(text)) == 0 && strcmp(text, wanted) == 0;
}

int table_find_service(const struct table_read *read, const char *namespace, const char *name,
		       struct table_service *ret_service)
{
	const struct table_snapshot *snapshot = &read->snapshot;
	uint64_t hash = table_name_hash(namespace, name);
	uint32_t mask = snapshot->name_slots - 1;
	uint32_t slot = (uint32_t)hash;

	for (uint32_t probes = 0; probes < snapshot->name_slots && probes < TABLE_PROBE_LIMIT;
	     probes++, slot++) {
		struct table_name_slot found;
		struct table_service service;

		peek_words(&found,
			   record_at(read, snapshot->names_at, slot & mask, sizeof(found)),
			   sizeof(found));
		if (found.service_index_plus_1 == 0)
			return -ENOENT;
		if (found.hash_high != (uint32_t)(hash >> 32) ||
		    table_service_at(read, found.service_index_plus_1 - 1, &service) < 0)
			continue;
		if (text_equals(read, service.name_at, name) &&
		    text_equals(read, service.namespace_at, namespace)) {
			*ret_service = service;
			return 0;
		}
	}
	return -ENOENT;
}

int table_service_port(const struct table_read *read, const struct table_service *service,
		       unsigned index, struct table_port *ret_port)
{
	uint64_t at = (uint64_t)service->first_port + index;

	if (index >= service->port_count || at >= read->snapshot.port_count)
		return -ENOENT;
	peek_words(ret_port, record_at(read, read->snapshot.ports_at, at, sizeof(*ret_port)),
		   sizeof(*ret_port));
	return 0;
}

int table_port_endpoint(const struct table_read *read, const struct table_port *port,
			unsigned index, struct table_endpoint *ret_endpoint)
{
	uint64_t at = (uint64_t)port->first_endpoint + index;

	if (index >= port->endpoint_count || at >= read->snapshot.endpoint_count)
		return -ENOENT;
	peek_words(ret_endpoint,
		   record_at(read, read->snapshot.endpoints_at, at, sizeof(*ret_endpoint)),
		   sizeof(*ret_endpoint));
	return 0;
}

bool table_is_live(const struct table_view *view)
{
	/* Pairs with table_writer_set_live(). */
	return observe_u32(&view->header->live) == 1;
}
