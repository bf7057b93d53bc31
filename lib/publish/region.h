/* The memory that a table is written to. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PUBLISH_REGION_H
#define K8SLB_PUBLISH_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "table/reader.h"

/*
 * One piece of memory mapped twice: to write, for the writer alone, and to read. Readers get the
 * read-only mapping, so a stray store of the host program cannot damage the table through it.
 */
struct region {
	unsigned char *writable;
	struct table_view view; /* of the read-only mapping */
	size_t size;
	int segment; /* its id; only of region_own() */
};

/*
 * Makes an empty table whose arenas hold @arena_size bytes (a multiple of 4096), known to this
 * process and its children only: an unnamed file (memfd), or shared anonymous memory where the
 * kernel has none: then one mapping serves both. The writable mapping of a memfd is not inherited
 * by forked children; its descriptor is closed. Returns 0 or -errno.
 */
int region_new(size_t arena_size, struct region *ret_region);

/* The same in a memfd that can be sealed. Returns its descriptor, open to write and close-on-exec,
 * or -errno. */
int region_new_file(size_t arena_size, struct region *ret_region);

/* Makes an empty table of memory that is all zero, of the view's arena size. @identity 0: private.
 */
void region_start(const struct region *region, uint64_t identity);

/* Unmaps the writable side; readers may hold the other one, which stays for the life of the
 * process. */
void region_retire(struct region *region);

/* Unmaps both. Only where no reader is left. */
void region_free(struct region *region);

#endif
