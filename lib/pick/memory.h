/* What the processes of one user in a Pod tell each other; never more than a hint. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_MEMORY_H
#define K8SLB_PICK_MEMORY_H

#include <sys/types.h>

#include "pick/affinity.h"
#include "pick/cursor.h"
#include "pick/health.h"

/*
 * A segment of System V shared memory, which every process of the user attaches writable.
 * Why not a file in /dev/shm: anybody with the same uid can truncate a file, and the next load from
 * its mapping is a SIGBUS in a program that is not ours; a segment cannot shrink. /dev/shm may be
 * missing, read-only or full, and is one for each container; the containers of a Pod share one IPC
 * namespace, so a segment is known in the whole Pod.
 * It is never removed: it ends with the Pod's namespace, and only touched pages take memory.
 *
 * Whoever may write to it may write anything at any time. So no value is trusted: each is masked,
 * compared with what is known from elsewhere, or bounded; and nothing is lost when all of it is.
 */
#define PICK_MEMORY_MAGIC   0x364b434950384bULL /* "K8PICK6" little endian */
#define PICK_MEMORY_VERSION "k8slb picks 6"	/* goes with the magic: both name this layout */

/* What happened since the segment was made, in all processes. For people to read: connections that
 * went well are not counted, which would add 6 ns to each. */
enum pick_counter {
	PICK_COUNT_FAILOVERS,
	PICK_COUNT_EJECTIONS,
	PICK_COUNT_ALL_FAILED, /* connections that no endpoint took */
	PICK_COUNT_DRAWS,      /* turns that went to no round (choose.c) */
	PICK_COUNT_LEFT,       /* connections that went on to the VIP */
	PICK_COUNT_SURPRISES,  /* processes that filter no events any more (shim/events.h) */
	PICK_COUNTERS,
};

/* Words by which the threads that probe for all processes say that they live. */
#define PICK_PROBERS 4u

struct pick_memory {
	uint64_t magic; /* 0 in a new segment; another value: not ours */
	/* Drawn once: where the shared rounds begin, for all processes alike. Without it the first
	 * connection of every Pod goes to the same endpoint (kubernetes/kubernetes#3640). */
	uint64_t seed;
	uint64_t probers[PICK_PROBERS]; /* probed.h */
	uint64_t reserved[2];
	uint64_t counters[8]; /* by enum pick_counter, in a cache line of their own */
	struct health health; /* its first line is read by every pick, seldom written */
	struct cursor_slot cursors[CURSOR_SLOTS];
	struct affinity_slot affinity[AFFINITY_SLOTS];
};

_Static_assert(sizeof(struct pick_memory) <= 200 * 1024, "small enough for any container");
_Static_assert(PICK_COUNTERS <= 8, "one cache line");

/*
 * Attaches the segment of the effective user, making it when it is missing. For the life of the
 * process; forked children have it too. System calls only: no malloc, no lock, keeps errno.
 * Returns 0; -EPERM: it is another user's, or others have rights to it; -EBADMSG: its size is
 * wrong, or it is on huge pages; -EPROTO: it holds something else; or another -errno. On success
 * the seed is set.
 */
int pick_memory_attach(struct pick_memory **ret_memory);

/* The same with another key, for tests. */
int pick_memory_attach_key(key_t key, struct pick_memory **ret_memory);

/* The segment's key: of the layout and of @uid; never IPC_PRIVATE. */
key_t pick_memory_key(uid_t uid);

static inline void pick_memory_count(struct pick_memory *memory, enum pick_counter counter)
{
	add_u64(&memory->counters[counter], 1);
}

#endif
