/* What the processes of one user in a Pod tell each other; never more than a hint. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_HINTS_H
#define K8SLB_PICK_HINTS_H

#include "pick/affinity.h"

/*
 * /dev/shm/k8slb-UID/hints: a small file that every process of the user maps writable. Anybody who
 * may write to it may write anything: each reader must be safe with any content, and nothing is
 * lost when all of it is.
 */
#define HINTS_MAGIC 0x31544e4948384bULL /* "K8HINT1" little endian */

struct hints {
	uint64_t magic; /* 0 in a new file; another value: of another version, do not use */
	uint64_t reserved[7];
	struct affinity_slot affinity[AFFINITY_SLOTS];
};

/*
 * Maps the file, making it and its folder (mode 0700) when they are missing. Refused: a folder or
 * file of another owner, with rights for others, or that is a symbolic link; a file system that is
 * full (a store into a hole of a full tmpfs would be SIGBUS). No malloc, no lock; keeps errno. The
 * mapping is for the life of the process, forked children included.
 * Returns 0 or -errno.
 */
int hints_map(struct hints **ret_hints);

#endif
