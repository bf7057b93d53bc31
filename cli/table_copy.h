/* A snapshot of a table that runs, copied, so that its writer cannot change it under a long look. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_TABLE_COPY_H
#define K8SLB_CLI_TABLE_COPY_H

#include "table/reader.h"

struct table_copy {
	struct table_view view; /* of the copy, which does not age */
	size_t size;		/* of its mapping */
};

/* Returns 0 or -errno: -ENODATA where nothing was published. Free by table_copy_free(). */
int table_copy_take(const struct table_view *running, struct table_copy *ret_copy);

void table_copy_free(struct table_copy *copy);

#endif
