// SPDX-License-Identifier: Apache-2.0
#include "columns.h"

#include <stdio.h>
#include <string.h>

int columns_add(struct columns *columns, const char *const *cells, unsigned count)
{
	size_t start = columns->text.length;

	for (unsigned i = 0; i < count; i++) {
		const char *cell = cells[i][0] ? cells[i] : "-";
		size_t length = strlen(cell);
		int rc = buffer_append(&columns->text, cell, length + 1);

		if (rc < 0) {
			columns->text.length = start;
			return rc;
		}
		if (length > columns->width[i])
			columns->width[i] = (unsigned)length;
	}
	columns->count = count;
	columns->rows++;
	return 0;
}

void columns_print(struct columns *columns, const char *indent)
{
	const char *cell = columns->text.data;

	for (unsigned r = 0; r < columns->rows; r++) {
		printf("%s", indent);
		for (unsigned c = 0; c < columns->count; c++) {
			if (c + 1 < columns->count)
				printf("%-*s  ", (int)columns->width[c], cell);
			else
				printf("%s\n", cell);
			cell += strlen(cell) + 1;
		}
	}
	buffer_clear(&columns->text);
	memset(columns->width, 0, sizeof(columns->width));
	columns->rows = 0;
}

void columns_free(struct columns *columns)
{
	buffer_free(&columns->text);
}
