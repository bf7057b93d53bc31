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
	/* Pairs with region_start(). */
	if (observe_u64(&header->magic) != TABLE_MAGIC || header->version != TABLE_VERSION ||
	    header->arena_count != TABLE_ARENAS)
		return -EBADMSG;
	arena_size = header->arena_size;
	if (arena_size < sizeof(struct table_snapshot) || arena_size > TABLE_ARENA_MAX ||
	    arena_size % 8 != 0 || size < TABLE_HEADER_SIZE + TABLE_ARENAS * arena_size)
		return -EBADMSG;
	*ret_view = (struct table_view){.header = header, .arena_size = arena_size};
	return 0;
}

/* @now_ms: read before, which is before the beat is read. */
static inline int begin(const struct table_view *view, uint64_t now_ms, struct table_read *ret_read)
{
	struct table_read read = {.view = view, .now_ms = now_ms};
	uint64_t current;
	uint64_t arena;

	if (view->ages && table_silence_ms(view, read.now_ms) >= TABLE_SILENT_MS)
		return -ENODATA;
	/* Pairs with publish_u64(current) in writer.c: all of the arena was written before. */
	current = observe_u64(&view->header->current);
	arena = current & 0xff;
	if (current == 0)
		return -ENODATA;
	if (arena >= TABLE_ARENAS)
		return -EBADMSG;
	read.snapshot = (const void *)((const unsigned char *)view->header + TABLE_HEADER_SIZE +
				       arena * view->arena_size);
	read.generation = current >> 8;
	read.size = peek_u64(&read.snapshot->size);
	/* A writer that came round again has put another sequence, or 0, into this arena. */
	if (!table_read_valid(&read))
		return -EAGAIN;
	if (read.size < sizeof(*read.snapshot) || read.size > view->arena_size)
		return -EBADMSG;
	*ret_read = read;
	return 0;
}

int table_read_begin(const struct table_view *view, struct table_read *ret_read)
{
	return begin(view, view->ages ? clock_coarse_ms() : 0, ret_read);
}

int table_read_begin_at(const struct table_view *view, uint64_t now_ms, struct table_read *ret_read)
{
	return begin(view, now_ms, ret_read);
}

/* @part may be torn. */
static inline bool is_heard(const struct table_read *read, uint32_t part)
{
	const struct table_view *view = read->view;

	if (!view->ages || !view->max_age_ms)
		return true;
	return part < TABLE_PARTS && table_age_ms(peek_u64(&view->header->parts_heard_ms[part]),
						  read->now_ms) <= view->max_age_ms;
}

bool table_is_believable(const struct table_view *view)
{
	for (unsigned part = 0; part < TABLE_PARTS; part++) {
		if (!view->max_age_ms || table_part_unheard_ms(view, part) <= view->max_age_ms)
			return true;
	}
	return false;
}

/* The records of one kind. */
struct run {
	const unsigned char *first;
	uint64_t count;
};

/* Those that the snapshot says it has at *@at_word; none when they would not lie in it. */
static inline struct run run_of(const struct table_read *read, const uint64_t *at_word,
				const uint32_t *count_word, uint64_t record_size)
{
	uint64_t at = peek_u64(at_word);
	uint64_t count = peek_u32(count_word);

	/* 32 bits times a record's few: no overflow. */
	if (at % 8 != 0 || at > read->size || count * record_size > read->size - at)
		return (struct run){.count = 0};
	return (struct run){.first = (const unsigned char *)read->snapshot + at, .count = count};
}

#define RUN_OF(read, kind, counter, type) \
	run_of((read), &(read)->snapshot->kind##_at, &(read)->snapshot->counter, sizeof(type))

static inline int port_at(const struct table_read *read, uint64_t index,
			  struct table_port *ret_port)
{
	struct run ports = RUN_OF(read, ports, port_count, struct table_port);

	if (index >= ports.count)
		return -ENOENT;
	peek_words(ret_port, ports.first + index * sizeof(*ret_port), sizeof(*ret_port));
	return 0;
}

int table_find_vip(const struct table_read *read, const struct ip_address *vip, uint16_t port,
		   uint8_t protocol, struct table_port *ret_port)
{
	struct run slots = RUN_OF(read, vips, vip_slots, struct table_vip_slot);
	uint32_t key = table_vip_key(port, protocol);
	uint64_t slot = table_vip_hash(vip, key);
	uint64_t mask = slots.count - 1;
	uint64_t vip_words[2];

	if (slots.count & mask)
		return -ENOENT;
	memcpy(vip_words, vip->bytes, sizeof(vip_words));
	for (uint32_t probes = 0; probes < slots.count && probes < TABLE_PROBE_LIMIT;
	     probes++, slot++) {
		const struct table_vip_slot *found =
			(const void *)(slots.first + (slot & mask) * sizeof(*found));
		const uint64_t *found_words = (const void *)found->vip.bytes;
		uint32_t index_plus_1 = peek_u32(&found->port_index_plus_1);

		if (index_plus_1 == 0)
			return -ENOENT;
		if (peek_u32(&found->key) == key && peek_u64(&found_words[0]) == vip_words[0] &&
		    peek_u64(&found_words[1]) == vip_words[1]) {
			int rc = port_at(read, index_plus_1 - 1, ret_port);

			return rc == 0 && !is_heard(read, ret_port->part) ? -ENOENT : rc;
		}
	}
	return -ENOENT;
}

int table_service_at(const struct table_read *read, unsigned index,
		     struct table_service *ret_service)
{
	struct run services = RUN_OF(read, services, service_count, struct table_service);

	if (index >= services.count)
		return -ENOENT;
	peek_words(ret_service, services.first + index * sizeof(*ret_service),
		   sizeof(*ret_service));
	return 0;
}

int table_text(const struct table_read *read, uint32_t at, char *text, size_t size)
{
	struct run all = RUN_OF(read, text, text_size, char);
	size_t length = 0;

	if (at >= all.count || size == 0)
		return -ENOENT;
	while (length + 1 < size && at + length < all.count) {
		char c = (char)peek_u8(&all.first[at + length]);

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
	struct run slots = RUN_OF(read, names, name_slots, struct table_name_slot);
	uint64_t hash = table_name_hash(namespace, name);
	uint64_t mask = slots.count - 1;
	uint64_t slot = hash;

	if (slots.count & mask)
		return -ENOENT;
	for (uint32_t probes = 0; probes < slots.count && probes < TABLE_PROBE_LIMIT;
	     probes++, slot++) {
		struct table_name_slot found;
		struct table_service service;

		peek_words(&found, slots.first + (slot & mask) * sizeof(found), sizeof(found));
		if (found.service_index_plus_1 == 0)
			return -ENOENT;
		if (found.hash_high != (uint32_t)(hash >> 32) ||
		    table_service_at(read, found.service_index_plus_1 - 1, &service) < 0)
			continue;
		if (text_equals(read, service.name_at, name) &&
		    text_equals(read, service.namespace_at, namespace)) {
			if (!is_heard(read, service.part))
				return -ENOENT;
			*ret_service = service;
			return 0;
		}
	}
	return -ENOENT;
}

int table_service_port(const struct table_read *read, const struct table_service *service,
		       unsigned index, struct table_port *ret_port)
{
	if (index >= service->port_count)
		return -ENOENT;
	return port_at(read, (uint64_t)service->first_port + index, ret_port);
}

int table_port_endpoint(const struct table_read *read, const struct table_port *port,
			unsigned index, struct table_endpoint *ret_endpoint)
{
	struct run endpoints = RUN_OF(read, endpoints, endpoint_count, struct table_endpoint);
	uint64_t at = (uint64_t)port->first_endpoint + index;

	if (index >= port->endpoint_count || at >= endpoints.count)
		return -ENOENT;
	peek_words(ret_endpoint, endpoints.first + at * sizeof(*ret_endpoint),
		   sizeof(*ret_endpoint));
	return 0;
}

bool table_is_live(const struct table_view *view)
{
	/* Pairs with table_writer_beat(). */
	return observe_u32(&view->header->state) == TABLE_LIVE;
}

bool table_api_is_away(const struct table_view *view)
{
	/* Pairs with table_writer_beat(). */
	return observe_u32(&view->header->state) == TABLE_AWAY;
}

bool table_has_failed(const struct table_view *view)
{
	/* Pairs with table_writer_beat(). */
	return observe_u32(&view->header->state) == TABLE_FAILED;
}

bool table_has_moved(const struct table_view *view)
{
	/* Pairs with retire_older() of writer.c. */
	return observe_u32(&view->header->moved) != 0;
}
