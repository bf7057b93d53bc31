/* Finding a table that runs: of a process, of an agent, or the one that this user's programs share. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_RUNNING_TABLE_H
#define K8SLB_CLI_RUNNING_TABLE_H

#include "pick/health.h"
#include "shared_tables.h"
#include "table/handover.h"

struct running_table {
	struct table_view view;
	char whose[400];		/* in words */
	const struct health *health;	/* NULL: nobody of this user has connected yet */
	struct handover_table *handed;	/* an agent's */
	struct shared_table shared;
};

/*
 * @pid: of a process, 0: none; @path: of an agent, NULL: none. Neither: what this user's programs
 * share. Returns 0 or -errno with the reason in @error and what to do in @remedy.
 */
int running_table_find(long pid, const char *path, uid_t agents_user,
		       struct running_table *ret_table, char *error, size_t error_size,
		       const char **ret_remedy);

void running_table_release(struct running_table *table);

#endif
