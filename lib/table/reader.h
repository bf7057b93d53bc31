/* Lock-free lookups in the newest snapshot of a table; trusts nothing that it reads there. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_READER_H
#define K8SLB_TABLE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
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
};

/*
 * Checks the header of a mapping. Returns 0, or -EBADMSG when it is no table of this version or its
 * sizes do not fit @size.
 */
int table_view_open(const void *mapping, size_t size, struct table_view *ret_view);

struct table_read {
	const struct table_snapshot *snapshot; /* shared: each word is read once and then checked */
	uint64_t size;			       /* bytes of the snapshot, checked */
	uint64_t generation;		       /* grows by one with each publish */
};

/*
 * Returns 0; -ENODATA: nothing was published yet, or it has expired; -EBADMSG: damaged; -EAGAIN:
 * the writer was faster, try again. Where the runs of records lie is checked when they are used:
 * one that does not lie in the snapshot has no records.
 */
int table_read_begin(const struct table_view *view, struct table_read *ret_read);

/* What was read since table_read_begin() was one consistent snapshot. */
static inline bool table_read_valid(const struct table_read *read)
{
	fence_before_recheck();
	return peek_u64(&read->snapshot->sequence) == read->generation;
}

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

/* CLOCK_MONOTONIC of the writer's last round, ms; of use as long as there is nothing in it. */
uint64_t table_writer_round_ms(const struct table_view *view);

/* A larger table took this one's place (segment.h). */
bool table_has_moved(const struct table_view *view);

#endif
