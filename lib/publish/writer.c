// SPDX-License-Identifier: Apache-2.0
/*
 * What is put and what is published share one plan and one list of changes, which neither half may
 * see torn: so both are in this file, which is long.
 */
#include "publish/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation must not end the host, which is uthash's default. */
#define HASH_NONFATAL_OOM 1
/* Names come from outside, as in lib/sync/store.c. */
#define HASH_FUNCTION(key, length, hash) ((hash) = (unsigned)hash_secret(key, length))
#include <uthash.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "publish/arena.h"
#include "publish/quota.h"
#include "publish/said.h"
#include "publish/shared_region.h"
#include "table/segment.h"

/* Far from what can be counted to, and from the eight bits above it in the header. */
#define LAST_GENERATION (1ULL << 48)

struct written_service {
	char key[2 * DNS_LABEL_SIZE]; /* namespace/name */
	struct staged_service *staged;
	UT_hash_handle hh;
	/* The Services that changed within the plan, the last one first. */
	uint64_t changed_in; /* generation */
	struct written_service *next;
	struct written_service **link; /* what points here */
};

struct table_memory {
	struct region region;
	struct table_memory *older;
	/* What each arena holds. */
	struct {
		uint64_t plan; /* its number */
		uint64_t generation;
	} arenas[TABLE_ARENAS];
};

struct table_writer {
	struct written_service *services;
	struct written_service *changes;
	unsigned wholes;	  /* of them that only say that a namespace is whole */
	struct arena_needs needs; /* of all Services */
	struct quota quota;
	struct arena_plan plan;
	uint64_t plan_number; /* 0: there is none yet */
	bool plan_fits;	      /* every Service has its place in it */
	uint64_t identity;    /* 0: the table is this process's own */
	int not_shared;	      /* table_writer_not_shared() */
	int (*new_region)(void *ctx, size_t arena_size, struct region *ret_region);
	void *new_region_ctx;
	unsigned class; /* of the newest shared segment */
	uint64_t generation;
	uint64_t bytes;
	struct said said;
	bool ages; /* of the view */
	uint64_t max_age_ms;
	/* Newest first; the older ones are what readers may still look at. */
	struct table_memory *memory;
};

/* @sign: 1, or -1 to take it out. */
static void count(struct table_writer *writer, const struct staged_service *staged, int sign)
{
	struct arena_needs needs = arena_needs_of(staged);

	quota_count(&writer->quota, staged->namespace, &needs, sign);
	writer->needs.services += (uint32_t)sign * needs.services;
	writer->needs.ports += (uint32_t)sign * needs.ports;
	writer->needs.vips += (uint32_t)sign * needs.vips;
	writer->needs.endpoints += (uint32_t)sign * needs.endpoints;
	writer->needs.text_size += (uint64_t)sign * needs.text_size;
}

static struct table_header *writable_header(const struct table_memory *memory)
{
	return (struct table_header *)(void *)memory->region.writable;
}

static void set_ages(const struct table_writer *writer, struct table_memory *memory)
{
	memory->region.view.ages = writer->ages;
	memory->region.view.max_age_ms = writer->max_age_ms;
}

static int add_memory(struct table_writer *writer, const struct region *region)
{
	struct table_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	memory->region = *region;
	set_ages(writer, memory);
	memory->older = writer->memory;
	writer->memory = memory;
	return 0;
}

/* What no writer has published: no snapshot bears number 0, and none can follow the last one. */
static bool is_garbage(uint64_t current)
{
	uint64_t generation = current >> 8;

	return (current & 0xff) >= TABLE_ARENAS || generation == 0 || generation >= LAST_GENERATION;
}

/* The newest segment becomes ours. What the last writer said of the API server is no longer so. */
static int take_over(struct table_writer *writer)
{
	struct table_header *header;
	struct region region;
	struct table_view view;
	uint64_t current;
	int rc;

	if (segment_attach_newest(writer->identity, &view, &writer->class) < 0)
		writer->class = 0;
	else
		segment_detach(&view);
	rc = region_own(writer->identity, writer->class, &region);
	if (rc < 0)
		return rc;
	rc = add_memory(writer, &region);
	if (rc < 0) {
		region_free(&region);
		return rc;
	}
	header = writable_header(writer->memory);
	publish_u32(&header->state, TABLE_UNHEARD); /* pairs with table_is_live() */
	current = peek_u64(&header->current);
	if (current && is_garbage(current)) {
		current = 0;
		publish_u64(&header->current, current); /* pairs with table_read_begin() */
	}
	/* Where it had moved to is gone: the next to look for the table must not go on looking. */
	publish_u32(&header->moved, 0); /* pairs with table_has_moved() */
	writer->generation = current >> 8;
	said_take(&writer->said, header);
	return 0;
}

static int plain_region(void *unused, size_t arena_size, struct region *ret_region)
{
	(void)unused;
	return region_new(arena_size, ret_region);
}

int table_writer_new(uint64_t identity, struct table_writer **ret_writer)
{
	struct table_writer *writer = calloc(1, sizeof(*writer));
	int rc;

	if (!writer)
		return -ENOMEM;
	writer->identity = identity;
	writer->new_region = plain_region;
	rc = identity ? take_over(writer) : 0;
	if (rc < 0) {
		free(writer);
		return rc;
	}
	*ret_writer = writer;
	return 0;
}

void table_writer_limit_namespaces(struct table_writer *writer)
{
	writer->quota.limits = true;
}

void table_writer_set_memory(struct table_writer *writer,
			     int (*new_region)(void *ctx, size_t arena_size,
					       struct region *ret_region),
			     void *ctx)
{
	writer->new_region = new_region;
	writer->new_region_ctx = ctx;
}

/* ---- put ---- */

static void forget_change(struct written_service *service)
{
	if (!service->changed_in)
		return;
	*service->link = service->next;
	if (service->next)
		service->next->link = service->link;
	service->changed_in = 0;
}

static void note_change(struct table_writer *writer, struct written_service *service)
{
	forget_change(service);
	service->changed_in = writer->generation + 1;
	service->next = writer->changes;
	service->link = &writer->changes;
	if (service->next)
		service->next->link = &service->next;
	writer->changes = service;
}

static void take_out(struct table_writer *writer, struct written_service *service)
{
	count(writer, service->staged, -1);
	forget_change(service);
	HASH_DEL(writer->services, service);
	staged_service_free(service->staged);
	free(service);
	writer->plan_fits = false;
}

static int put_in(struct table_writer *writer, const char *key, struct staged_service *staged)
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
	service->staged = staged;
	count(writer, staged, 1);
	writer->plan_fits = false;
	return 0;
}

static void replace(struct table_writer *writer, struct written_service *service,
		    struct staged_service *staged)
{
	writer->plan_fits = writer->plan_fits &&
			    staged_service_same_ports(staged, service->staged) &&
			    arena_plan_keep_place(&writer->plan, staged, service->staged);
	if (writer->plan_fits)
		note_change(writer, service);
	count(writer, service->staged, -1);
	staged_service_free(service->staged);
	service->staged = staged;
	count(writer, staged, 1);
}

/* With @staged in the place of @old, which may be NULL. */
static bool has_room(const struct table_writer *writer, const struct staged_service *staged,
		     const struct staged_service *old)
{
	struct arena_needs more = arena_needs_of(staged);
	struct arena_needs less = old ? arena_needs_of(old) : (struct arena_needs){0};

	return (uint64_t)writer->needs.endpoints - less.endpoints + more.endpoints <=
		       LIMIT_TABLE_ENDPOINTS &&
	       (uint64_t)writer->needs.ports - less.ports + more.ports <= LIMIT_TABLE_PORTS &&
	       quota_has_room(&writer->quota, staged->namespace, &less, &more);
}

int table_writer_put(struct table_writer *writer, const char *namespace, const char *name,
		     const struct selection *selection)
{
	struct written_service *service;
	struct staged_service *staged;
	char key[2 * DNS_LABEL_SIZE];
	int rc;

	snprintf(key, sizeof(key), "%s/%s", namespace, name);
	HASH_FIND_STR(writer->services, key, service);
	if (selection->port_count == 0 && service && staged_service_is_api_server(namespace, name))
		return 0;
	if (selection->port_count == 0 && !selection->headless && !selection->name_taken) {
		if (!service)
			return 0;
		take_out(writer, service);
		return 1;
	}
	staged = staged_service_new(namespace, name, selection);
	if (!staged)
		return -ENOMEM;
	rc = service && staged_service_is_api_server(namespace, name)
		     ? staged_service_keep_endpoints(staged, service->staged)
		     : 0;
	if (rc == 0 && service && staged_service_equal(staged, service->staged)) {
		staged_service_free(staged);
		return 0;
	}
	if (rc == 0 && !has_room(writer, staged, service ? service->staged : NULL)) {
		/* What it says of before is no longer so. */
		if (service)
			take_out(writer, service);
		rc = -E2BIG;
	} else if (rc == 0 && service) {
		replace(writer, service, staged);
	} else if (rc == 0) {
		rc = put_in(writer, key, staged);
	}
	if (rc < 0) {
		staged_service_free(staged);
		return rc;
	}
	return 1;
}

int table_writer_put_whole(struct table_writer *writer, const char *namespace, unsigned part,
			   bool whole)
{
	/* One that has no port is taken out unless it is headless. */
	struct selection mark = {.headless = whole, .part = part};
	int rc = table_writer_put(writer, namespace, "*", &mark);

	if (rc > 0)
		writer->wholes += whole ? 1 : -1u;
	return rc;
}

/* ---- publish ---- */

static int new_private(const struct table_writer *writer, uint64_t needed,
		       struct region *ret_region)
{
	uint64_t arena_size = TABLE_ARENA_MIN;

	/* With room for half as much again. */
	while (arena_size < needed + needed / 2 && arena_size < TABLE_ARENA_MAX)
		arena_size *= 2;
	return writer->new_region(writer->new_region_ctx, arena_size, ret_region);
}

/* Only by way of "moved" do those who have a removed segment come to the next one. */
static bool must_leave(const struct table_writer *writer)
{
	return writer->identity && writer->class + 1 < SEGMENT_CLASSES &&
	       region_is_removed(&writer->memory->region);
}

static int next_shared(struct table_writer *writer, uint64_t needed, struct region *ret_region)
{
	struct table_header *header;
	unsigned class = writer->class + 1;
	/* Readers look from one class to the next: those between must be there, and when the last
	 * one cannot be found any more, another one in its place. */
	unsigned between = must_leave(writer) ? 0 : class;
	int rc;

	while (segment_arena(class) < needed)
		class ++;
	for (; between < class; between++) {
		rc = region_own(writer->identity, between, ret_region);
		if (rc < 0)
			return rc;
		header = (struct table_header *)(void *)ret_region->writable;
		publish_u32(&header->moved, 1); /* pairs with table_has_moved() */
		region_free(ret_region);
	}
	rc = region_own(writer->identity, class, ret_region);
	if (rc < 0)
		return rc;
	/* Left by a writer that was killed before it said "moved". */
	header = (struct table_header *)(void *)ret_region->writable;
	publish_u32(&header->moved, 0);
	publish_u64(&header->current, 0); /* pairs with table_read_begin() */
	writer->class = class;
	return 0;
}

/* A table that is large enough, or the one that there is. */
static int make_room(struct table_writer *writer, uint64_t needed)
{
	struct region region;
	int not_shared = 0;
	int rc;

	if (writer->memory && needed <= writer->memory->region.view.arena_size &&
	    !must_leave(writer))
		return 0;
	if (needed > TABLE_ARENA_MAX)
		return -E2BIG;
	rc = writer->identity ? next_shared(writer, needed, &region) : -ENOTSUP;
	if (rc < 0 && writer->identity)
		not_shared = rc;
	if (rc < 0)
		rc = new_private(writer, needed, &region);
	if (rc < 0)
		return rc;
	rc = add_memory(writer, &region);
	if (rc < 0) {
		region_free(&region);
	} else if (not_shared < 0) {
		writer->identity = 0;
		writer->not_shared = not_shared;
	}
	return rc;
}

static void retire_older(struct table_memory *memory)
{
	if (!memory || !memory->region.writable)
		return;
	publish_u32(&writable_header(memory)->moved, 1);
	region_retire(&memory->region);
}

static unsigned next_arena(const struct table_memory *memory)
{
	uint64_t current = memory->region.view.header->current;

	return current ? ((current & 0xff) + 1) % TABLE_ARENAS : 0;
}

/* The arena that comes next was written by this plan: what has not changed since is right there. */
static bool is_next_arena_planned(const struct table_writer *writer)
{
	const struct table_memory *memory = writer->memory;

	return writer->plan_fits && memory &&
	       memory->arenas[next_arena(memory)].plan == writer->plan_number;
}

static void new_plan(struct table_writer *writer)
{
	struct written_service *service, *next;

	while (writer->changes)
		forget_change(writer->changes);
	arena_plan_start(&writer->plan, &writer->needs);
	HASH_ITER (hh, writer->services, service, next)
		arena_plan_place(&writer->plan, service->staged);
	writer->plan_number++;
}

static void write_all(const struct table_writer *writer, const struct arena *arena)
{
	struct written_service *service, *next;

	arena_clear_indexes(arena);
	HASH_ITER (hh, writer->services, service, next) {
		arena_write_service(arena, service->staged);
		arena_index_service(arena, service->staged);
	}
	arena_write_text(arena);
}

static void write_changes(const struct table_writer *writer, const struct arena *arena,
			  uint64_t since)
{
	for (const struct written_service *service = writer->changes;
	     service && service->changed_in > since; service = service->next)
		arena_write_service(arena, service->staged);
}

/* A plan, memory for it, and for its strings where those in the arena are not right. */
static int prepare(struct table_writer *writer, struct arena *arena)
{
	int rc;

	if (!writer->plan_fits)
		new_plan(writer);
	if (!is_next_arena_planned(writer)) {
		arena->text = calloc(1, writer->plan.snapshot.text_size);
		if (!arena->text)
			return -ENOMEM;
	}
	rc = make_room(writer, writer->plan.snapshot.size);
	if (rc < 0)
		free(arena->text);
	return rc;
}

int table_writer_publish(struct table_writer *writer)
{
	struct arena arena = {.plan = &writer->plan};
	struct table_snapshot *shared;
	struct table_header *header;
	struct table_memory *memory;
	unsigned number;
	int rc = prepare(writer, &arena);

	if (rc < 0) {
		/* Back to what was said last: what readers see was not heard of since. */
		said_take(&writer->said,
			  writer->memory ? writer->memory->region.view.header : NULL);
		return rc;
	}
	memory = writer->memory;
	number = next_arena(memory);
	header = writable_header(memory);
	arena.at = memory->region.writable + TABLE_HEADER_SIZE +
		   number * memory->region.view.arena_size;
	shared = (struct table_snapshot *)(void *)arena.at;

	/* From here to the last store a reader of this arena, two publishes late, sees sequence 0.
	 */
	poke_u64(&shared->sequence, 0);
	fence_before_rewrite();
	if (arena.text)
		write_all(writer, &arena);
	else
		write_changes(writer, &arena, memory->arenas[number].generation);
	free(arena.text);
	poke_words(shared, &writer->plan.snapshot, sizeof(writer->plan.snapshot));

	/* Before: nobody finds in it, if it is new, what counts as unheard or as silent. */
	said_beat(&writer->said, header);
	/* Pair with table_read_begin(). */
	writer->generation++;
	publish_u64(&shared->sequence, writer->generation);
	publish_u64(&header->current, writer->generation << 8 | number);
	memory->arenas[number].plan = writer->plan_number;
	memory->arenas[number].generation = writer->generation;
	writer->plan_fits = true;
	writer->bytes = writer->plan.snapshot.size;
	poke_u64(&header->lists_unfinished, 0);
	retire_older(memory->older);
	return 0;
}

/* ---- the rest ---- */

const struct table_view *table_writer_view(const struct table_writer *writer)
{
	return writer->generation ? &writer->memory->region.view : NULL;
}

int table_writer_not_shared(const struct table_writer *writer)
{
	return writer->not_shared;
}

void table_writer_set_ages(struct table_writer *writer, uint64_t max_age_ms)
{
	writer->ages = true;
	writer->max_age_ms = max_age_ms;
	if (writer->memory)
		set_ages(writer, writer->memory);
}

void table_writer_set_heard(struct table_writer *writer, unsigned part, uint64_t heard_ms)
{
	said_set_heard(&writer->said, part, heard_ms);
}

uint64_t table_writer_heard_ms(const struct table_writer *writer)
{
	return said_heard_ms(&writer->said);
}

void table_writer_beat(struct table_writer *writer, enum table_state state, uint64_t now_ms)
{
	writer->said.state = state;
	writer->said.beat_ms = now_ms;
	if (writer->memory)
		said_beat(&writer->said, writable_header(writer->memory));
}

void table_writer_begin_lists(struct table_writer *writer)
{
	struct table_header *header;

	if (!writer->memory)
		return;
	header = writable_header(writer->memory);
	poke_u64(&header->lists_begun_ms, clock_monotonic_ms());
	poke_u64(&header->lists_unfinished, peek_u64(&header->lists_unfinished) + 1);
}

struct table_writer_size table_writer_size(const struct table_writer *writer)
{
	return (struct table_writer_size){
		.generation = writer->generation,
		.services = HASH_COUNT(writer->services) - writer->wholes,
		.ports = writer->needs.ports,
		.endpoints = writer->needs.endpoints,
		.bytes = writer->bytes,
	};
}

static void forget_services(struct table_writer *writer)
{
	struct written_service *service, *next;

	HASH_ITER (hh, writer->services, service, next)
		take_out(writer, service);
	quota_free(&writer->quota);
}

void table_writer_abandon(struct table_writer *writer)
{
	forget_services(writer);
	/* The views are in these, and so stay too. */
	for (struct table_memory *memory = writer->memory; memory; memory = memory->older)
		region_retire(&memory->region);
	free(writer);
}

void table_writer_free(struct table_writer *writer)
{
	if (!writer)
		return;
	forget_services(writer);
	while (writer->memory) {
		struct table_memory *memory = writer->memory;

		writer->memory = memory->older;
		region_free(&memory->region);
		free(memory);
	}
	free(writer);
}
