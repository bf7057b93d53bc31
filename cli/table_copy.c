// SPDX-License-Identifier: Apache-2.0
#include "table_copy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* The writer publishes twice while an arena is copied: not that often in a row. */
#define TRIES 100

/* The header and the one arena that is meant, each at its place; the rest is never touched, so it
 * takes no memory. */
static bool copy_into(void *mapping, const struct table_read *read)
{
	const char *from = (const char *)read->view->header;
	size_t at = (size_t)((const char *)read->snapshot - from);
	struct table_header *header = mapping;

	memcpy(header, from, sizeof(*header));
	memcpy((char *)mapping + at, read->snapshot, read->size);
	/* That one, whichever is the newest by now. */
	header->current = read->generation << 8 |
			  (at - TABLE_HEADER_SIZE) / read->view->arena_size;
	return table_read_valid(read);
}

int table_copy_take(const struct table_view *running, struct table_copy *ret_copy)
{
	struct table_view view = *running;
	size_t size = TABLE_HEADER_SIZE + TABLE_ARENAS * (size_t)running->arena_size;
	void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct table_read read;
	int rc = -EAGAIN;

	if (mapping == MAP_FAILED)
		return -errno;
	view.ages = false; /* an old one is to be seen, too */
	for (int tries = 0; rc == -EAGAIN && tries < TRIES; tries++) {
		rc = table_read_begin(&view, &read);
		if (rc == 0 && !copy_into(mapping, &read))
			rc = -EAGAIN;
	}
	if (rc == 0)
		rc = table_view_open(mapping, size, &ret_copy->view);
	if (rc < 0)
		munmap(mapping, size);
	ret_copy->size = size;
	return rc;
}

void table_copy_free(struct table_copy *copy)
{
	union {
		const void *constant;
		void *address;
	} mapping = {.constant = copy->view.header};

	munmap(mapping.address, copy->size);
}
