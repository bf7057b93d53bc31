/* The shared memory that a table lies in. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_REGION_H
#define K8SLB_TABLE_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "table/reader.h"

/*
 * One piece of memory mapped twice: to write, for the writer alone, and to read. Readers get the
 * read-only mapping, so a stray store of the host program cannot damage the table through it. No
 * descriptor stays open.
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
 * by forked children. Returns 0 or -errno.
 */
int region_new(size_t arena_size, struct region *ret_region);

/* Unmaps the writable side; readers may hold the other one, which stays for the life of the
 * process. */
void region_retire(struct region *region);

/* Unmaps both. Only where no reader is left. */
void region_free(struct region *region);

/* ---- Shared by all processes of a user ---- */

/*
 * System V shared memory (shmget(2)) and not a file below /dev/shm: whoever may write a file may
 * also cut it, and the next load from a mapping of it is SIGBUS in somebody else's program. A
 * segment keeps its size as long as anybody has it. It is also there where /dev/shm is missing,
 * read-only or full, all containers of a Pod have one IPC namespace
 * (https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking), and its memory is accounted
 * when it is made, so that no later store can fail.
 *
 * Segments come in classes of growing size. A table that has outgrown one says "moved", for good,
 * and lives in the next.
 */
#define REGION_CLASSES 5u

/* Bytes of an arena: 128 KiB, 1 MiB, 8 MiB, 64 MiB, 256 MiB. */
size_t region_class_arena(unsigned class);

/*
 * The table of @identity (a hash of all settings that it depends on) in segment @class. Refused:
 * what another user made or may write to (-EPERM), what is too small or is no table of this layout
 * and identity (-EBADMSG).
 *
 * region_attach() maps it to read. Returns 0, -ENOENT where there is none, or -errno. It is for the
 * life of the process, forked children included.
 * region_own() maps it to write too, and makes it where there is none; for the holder of the
 * writer's lock. What is there and cannot be used, but is the user's own, is replaced: old readers
 * keep what they have. The writable mapping is not inherited by forked children.
 */
int region_attach(uint64_t identity, unsigned class, struct table_view *ret_view);
int region_own(uint64_t identity, unsigned class, struct region *ret_region);

/* Somebody removed the segment: those who have it keep it, and nobody else can find it. */
bool region_is_removed(const struct region *region);

/* Unmaps what nobody else reads. */
void region_detach(const struct table_view *view);

/* Follows "moved": the newest table of @identity that region_attach() can map. */
int region_attach_newest(uint64_t identity, struct table_view *ret_view, unsigned *ret_class);

#endif
