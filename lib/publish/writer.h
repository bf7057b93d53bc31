/* Keeps what the table shall say, Service by Service, and publishes it as whole snapshots. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_WRITER_H
#define K8SLB_PUBLISH_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "publish/region.h"
#include "select/select.h"
#include "table/reader.h"

/*
 * One writer a table: two at once would tear it, and no reader could tell. All calls by one
 * thread.
 */
struct table_writer;

/*
 * @identity 0: a table for this process, in which nothing is published yet. Else the shared one of
 * region.h, for the holder of its lock: table_writer_view() is at once what the last writer
 * published, if anything and not expired, as "unheard"; the first publish goes on from there.
 * Returns 0 or -errno.
 */
int table_writer_new(uint64_t identity, struct table_writer **ret_writer);

/*
 * Where a table of this process's own gets its memory: @new_region in place of region_new(), with
 * @ctx before its arguments. Before the first publish.
 */
void table_writer_set_memory(struct table_writer *writer,
			     int (*new_region)(void *ctx, size_t arena_size,
					       struct region *ret_region),
			     void *ctx);

/* None may take more than LIMIT_NAMESPACE_... (base/limits.h) from now on. Before the first put. */
void table_writer_limit_namespaces(struct table_writer *writer);

/*
 * Replaces what the table says of one Service; nothing is visible before the next publish. A
 * selection without ports takes it out; where the name is taken it leaves that alone, as a Service
 * without ports: a lookup must not go on to the next name. default/kubernetes keeps its last
 * endpoints when it would lose all: the API server is reached through them (projectcalico/calico
 * ee3dc51152). Returns 1 when that changed anything, 0 when it says the same as before, -ENOMEM, or
 * -E2BIG when the table is full, or its namespace has its share (base/limits.h): the Service is not
 * in it then.
 */
int table_writer_put(struct table_writer *writer, const char *namespace, const char *name,
		     const struct selection *selection);

/*
 * The table has every Service of @namespace ("*": of the cluster), or has them no more. Readers
 * find that as a Service called "*", which no lookup of a name can mean. Not among the Services
 * that table_writer_size() counts. Returns as table_writer_put().
 */
int table_writer_put_whole(struct table_writer *writer, const char *namespace, unsigned part,
			   bool whole);

/*
 * Makes all that was put visible at once. When the snapshot does not fit, a larger table takes the
 * place of the old one, which keeps its last content and says "moved". Where no larger segment can
 * be had, that is this process's own.
 * Returns 0, -E2BIG when it would not fit the largest table, or -errno; the last snapshot stays.
 */
int table_writer_publish(struct table_writer *writer);

/* The -errno for which a table that was shared is this process's own by now; 0: none. */
int table_writer_not_shared(const struct table_writer *writer);

/* The newest table; NULL before the first publish. Valid until table_writer_free(). */
const struct table_view *table_writer_view(const struct table_writer *writer);

/* The table ages for those who read it through table_writer_view() (struct table_view). Before
 * anybody has that. */
void table_writer_set_ages(struct table_writer *writer, uint64_t max_age_ms);

/* When the API server last said a word about @part of what is published: CLOCK_MONOTONIC. 0:
 * nothing of it is published. Readers see it with the next publish or beat; a publish that fails
 * takes it back. */
void table_writer_set_heard(struct table_writer *writer, unsigned part, uint64_t heard_ms);

/*
 * Says that the writer lives, and how well the API server is heard (table_is_live()). Once a second
 * at least, and only while the table is its own to write: @now_ms is clock_coarse_ms() from before
 * it looked whether that is so. If it was stopped since, for however long, it has not beaten.
 */
void table_writer_beat(struct table_writer *writer, enum table_state state, uint64_t now_ms);

/* Notes that all is listed now, for a table that others may have to write before that is done; the
 * next publish says that it is. */
void table_writer_begin_lists(struct table_writer *writer);

/* When the oldest part was heard of, by whoever wrote the table; 0: not known. CLOCK_MONOTONIC. */
uint64_t table_writer_heard_ms(const struct table_writer *writer);

/* What is put now. */
struct table_writer_size {
	uint64_t generation;
	unsigned services;
	unsigned ports;
	unsigned endpoints;
	uint64_t bytes; /* of the last snapshot */
};
struct table_writer_size table_writer_size(const struct table_writer *writer);

/* In place of table_writer_free() where readers may be left: writes no more, and leaves all tables
 * mapped for ever, for reading. */
void table_writer_abandon(struct table_writer *writer);

/* Unmaps all tables: no reader may be left. Takes NULL. */
void table_writer_free(struct table_writer *writer);

#endif
