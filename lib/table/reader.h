/* Lock-free lookups in the newest snapshot of a table; trusts nothing that it reads there. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_READER_H
#define K8SLB_TABLE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "table/layout.h"

/*
 * Everything here is async-signal-safe, takes no lock, allocates nothing and never waits. Any
 * number of threads and processes may read at once; a stopped reader holds up nobody.
 *
 * Use:
 *	do {
 *		if (table_read_begin(&view, &read) < 0) -> no table
 *		look up, copying what is needed
 *	} while (!table_read_valid(&read) && tries left)
 * What a lookup copied may be torn until table_read_valid() said true; every function below is
 * safe to call with torn input.
 */

/* A mapped table. Immutable once made; @header stays mapped for the life of the process. */
struct table_view {
	const struct table_header *header;
	/* Not the header's: another process may change that after the check. */
	uint64_t arena_size;
	uint64_t identity; /* segment_attach()'s; 0: a private table */
	/* This reader's own, set by whoever has the settings. @ages: what the table says of itself
	 * is judged, below; false: it is all believed. @max_age_ms: what was not heard of for
	 * longer is not in the table; 0: any is. */
	bool ages;
	uint64_t max_age_ms;
};

/*
 * What a table says of itself ages at its reader, by the reader's own clock: a writer that stands
 * still (SIGSTOP, a debugger, a frozen container) cannot say so. All times are of
 * CLOCK_MONOTONIC_COARSE, which costs no system call and one reading for all of them. A time of the
 * future is none, but for what is written between the two readings: another clock, or garbage.
 */

/* Without a beat for so long a writer's word is none: calls are libc's until the next beat. It may
 * be starved, and nobody does anything about it. */
#define TABLE_SILENT_MS 3000u
/* For so long, and the writer is taken for gone: another process may take its place. */
#define TABLE_GONE_MS	     15000u
#define TABLE_CLOCK_SLACK_MS 1000u

/* How long ago @then_ms is by a clock that said @now_ms before it was read; UINT64_MAX: never. */
static inline uint64_t table_age_ms(uint64_t then_ms, uint64_t now_ms)
{
	if (then_ms > now_ms)
		return then_ms - now_ms <= TABLE_CLOCK_SLACK_MS ? 0 : UINT64_MAX;
	return then_ms ? now_ms - then_ms : UINT64_MAX;
}

/* Since the writer's last beat; @now_ms: clock_coarse_ms(), read before. */
static inline uint64_t table_silence_ms(const struct table_view *view, uint64_t now_ms)
{
	/* Pairs with said_beat(): what was said before is seen. */
	return table_age_ms(observe_u64(&view->header->beat_ms), now_ms);
}

/* The writer lives and has said so lately. */
static inline bool table_has_beat(const struct table_view *view)
{
	uint64_t now_ms = clock_coarse_ms();

	return table_silence_ms(view, now_ms) < TABLE_SILENT_MS;
}

/* Since the oldest part of it was heard of. */
static inline uint64_t table_unheard_ms(const struct table_view *view)
{
	uint64_t now_ms = clock_coarse_ms();

	return table_age_ms(peek_u64(&view->header->heard_ms), now_ms);
}

/* Since a part was heard of; UINT64_MAX: nothing of it was published. Any number. */
static inline uint64_t table_part_unheard_ms(const struct table_view *view, unsigned part)
{
	uint64_t now_ms = clock_coarse_ms();

	return part < TABLE_PARTS
		       ? table_age_ms(peek_u64(&view->header->parts_heard_ms[part]), now_ms)
		       : UINT64_MAX;
}

/* Some part of it was heard of within the view's max_age_ms, whether its writer lives or not. */
bool table_is_believable(const struct table_view *view);

/*
 * Checks the header of a mapping. Returns 0, or -EBADMSG when it is no table of this version or its
 * sizes do not fit @size.
 */
int table_view_open(const void *mapping, size_t size, struct table_view *ret_view);

struct table_read {
	const struct table_snapshot *snapshot; /* shared: each word is read once and then checked */
	const struct table_view *view;
	uint64_t now_ms;     /* where the view ages */
	uint64_t size;	     /* bytes of the snapshot, checked */
	uint64_t generation; /* grows by one with each publish */
};

/*
 * Returns 0; -ENODATA: nothing was published yet, or the writer of a view that ages has no beat;
 * -EBADMSG: damaged; -EAGAIN: the writer was
 * faster, try again. Where the runs of records lie is checked when they are used:
 * one that does not lie in the snapshot has no records.
 */
int table_read_begin(const struct table_view *view, struct table_read *ret_read);

/* The same for a caller that has read the clock itself: @now_ms is clock_coarse_ms(). */
int table_read_begin_at(const struct table_view *view, uint64_t now_ms,
			struct table_read *ret_read);

/* What was read since table_read_begin() was one consistent snapshot. */
static inline bool table_read_valid(const struct table_read *read)
{
	fence_before_recheck();
	return peek_u64(&read->snapshot->sequence) == read->generation;
}

/* What the next two find was heard of within the max_age_ms of a view that ages; else it is not in
 * the table: it may be another one's by now. */

/* The port that answers for (vip, port, protocol). Returns 0 or -ENOENT. */
int table_find_vip(const struct table_read *read, const struct ip_address *vip, uint16_t port,
		   uint8_t protocol, struct table_port *ret_port);

/* Returns 0 or -ENOENT. */
int table_find_service(const struct table_read *read, const char *namespace, const char *name,
		       struct table_service *ret_service);

/* @index below service->port_count. Returns 0 or -ENOENT. */
int table_service_port(const struct table_read *read, const struct table_service *service,
		       unsigned index, struct table_port *ret_port);

/* @index below port->endpoint_count. Returns 0 or -ENOENT. */
int table_port_endpoint(const struct table_read *read, const struct table_port *port,
			unsigned index, struct table_endpoint *ret_endpoint);

/* The i-th service, in no order; for listings. Returns 0 or -ENOENT. */
int table_service_at(const struct table_read *read, unsigned index,
		     struct table_service *ret_service);

/* Copies a string of the snapshot, cut to @size. Returns 0 or -ENOENT. */
int table_text(const struct table_read *read, uint32_t at, char *text, size_t size);

/* The writer hears the API server: the table is as new as it gets. */
bool table_is_live(const struct table_view *view);

/* The writer cannot reach the API server: this is as good as it gets. */
bool table_api_is_away(const struct table_view *view);

/* There is nothing in it yet, and that may take long. */
bool table_has_failed(const struct table_view *view);

/* A larger table took this one's place (segment.h). */
bool table_has_moved(const struct table_view *view);

#endif
