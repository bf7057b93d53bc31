/* Rows of cells, printed in aligned columns. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_COLUMNS_H
#define K8SLB_CLI_COLUMNS_H

#include "base/buffer.h"

#define COLUMNS_MAX 16

/* All zero is an empty table. */
struct columns {
	struct buffer text; /* cells, each with a NUL behind it */
	unsigned width[COLUMNS_MAX];
	unsigned count; /* cells of a row; the first row sets it */
	unsigned rows;
};

/* Adds a row of @count cells (at most COLUMNS_MAX, the same in every row); "" shows as "-".
 * Returns 0 or -ENOMEM. */
int columns_add(struct columns *columns, const char *const *cells, unsigned count);

/* Prints the rows to standard output, each behind @indent, two spaces between columns, none at the
 * end; then empties the table. */
void columns_print(struct columns *columns, const char *indent);

/* Frees the memory. */
void columns_free(struct columns *columns);

#endif
