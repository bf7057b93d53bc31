/* The tables that programs share now, found by what the kernel lists of System V shared memory. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_SHARED_TABLES_H
#define K8SLB_CLI_SHARED_TABLES_H

#include <stdbool.h>
#include <sys/types.h>

#include "table/reader.h"

struct shared_table {
	struct table_view view; /* mapped to read */
	int id;			/* of the segment */
	unsigned attached;	/* processes that have it, this one not counted */
};

/* Most that are looked at. */
#define SHARED_TABLES_MAX 32u

/*
 * Maps every table of this IPC namespace that is this user's and was not left for a larger one.
 * Returns how many, or -errno where the kernel lists none.
 */
int shared_tables_find(struct shared_table *tables, unsigned most);

/* The place of the one that a process has and whose writer was heard of last; -1: there is none. */
int shared_tables_newest(const struct shared_table *tables, int count);

/* Those that a process has, of the size of a table and of another user, of whom @ret_user is one. */
unsigned shared_tables_of_others(uid_t *ret_user);

void shared_table_release(struct shared_table *table);

#endif
