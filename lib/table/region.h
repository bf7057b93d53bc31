/* The shared memory that a table lies in. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_REGION_H
#define K8SLB_TABLE_REGION_H

#include <stddef.h>

#include "table/reader.h"

/*
 * One file mapped twice: to write, for the owner alone, and to read. Readers get the read-only
 * mapping, so a stray store of the host program cannot damage the table through it, and other
 * processes can be given the same file. No descriptor stays open.
 */
struct region {
	unsigned char *writable;
	struct table_view view; /* of the read-only mapping */
	size_t size;
};

/*
 * Makes an empty table whose arenas hold @arena_size bytes (a multiple of 4096): an unnamed file
 * (memfd), or shared anonymous memory where the kernel has none: then one mapping serves both. The
 * writable mapping of a memfd is not inherited by forked children. Returns 0 or -errno.
 */
int region_new(size_t arena_size, struct region *ret_region);

/* Unmaps the writable side; readers may hold the other one, which stays for the life of the
 * process. */
void region_retire(struct region *region);

/* Unmaps both. Only where no reader is left. */
void region_free(struct region *region);

#endif
