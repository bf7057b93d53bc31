/* The System V segments that the tables of a user's processes lie in: finding and reading them. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TABLE_SEGMENT_H
#define K8SLB_TABLE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "table/reader.h"

/*
 * System V shared memory (shmget(2)) and not a file below /dev/shm: whoever may write a file may
 * also cut it, and the next load from a mapping of it is SIGBUS in somebody else's program. A
 * segment keeps its size as long as anybody has it. It is also there where /dev/shm is missing,
 * read-only or full, all containers of a Pod have one IPC namespace
 * (https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking), and its memory is accounted
 * when it is made, so that no later store can fail.
 *
 * Segments come in classes of growing size. A table that has outgrown one says "moved", for good,
 * and lives in the next. They are made by publish/shared_region.h.
 *
 * System calls only: no malloc, no lock. All return 0 or -errno.
 */
#define SEGMENT_CLASSES 5u

/* Bytes of an arena: 128 KiB, 1 MiB, 8 MiB, 64 MiB, 256 MiB. */
size_t segment_arena(unsigned class);

/* Bytes of a segment. */
size_t segment_size(unsigned class);

/* Of the effective user, the layout, @class and @identity (a hash of all settings that the table
 * depends on); never IPC_PRIVATE. */
key_t segment_key(uint64_t identity, unsigned class);

/* The table in a mapping of a segment. -EBADMSG: none of this layout and identity. */
int segment_view(const void *mapping, uint64_t identity, unsigned class,
		 struct table_view *ret_view);

/*
 * Maps the table of @identity in segment @class to read, for the life of the process, forked
 * children included. -ENOENT where there is none; as sysv_attach() and segment_view(); or another
 * -errno.
 */
int segment_attach(uint64_t identity, unsigned class, struct table_view *ret_view);

/* Follows "moved": the newest table of @identity that segment_attach() can map. */
int segment_attach_newest(uint64_t identity, struct table_view *ret_view, unsigned *ret_class);

/* Unmaps what nobody else reads. */
void segment_detach(const struct table_view *view);

#endif
