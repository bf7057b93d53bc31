// SPDX-License-Identifier: Apache-2.0
#include "pick/memory.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/keep_errno.h"
#include "base/sysv.h"

/* The segment comes and goes between our calls only when somebody removes it on purpose. */
#define MAKE_TRIES 3

key_t pick_memory_key(uid_t uid)
{
	return sysv_key(hash_text(uid, PICK_MEMORY_VERSION));
}

/* The id of the segment with this key, which is made when it is missing; -errno. */
static int find_or_make(key_t key)
{
	for (int tries = 0; tries < MAKE_TRIES; tries++) {
		int id = shmget(key, 0, 0); /* the usual case first: somebody was here */

		if (id >= 0 || errno != ENOENT)
			return id >= 0 ? id : -errno;
		id = shmget(key, sizeof(struct pick_memory), IPC_CREAT | IPC_EXCL | SYSV_MODE);
		if (id >= 0 || errno != EEXIST)
			return id >= 0 ? id : -errno;
	}
	return -EAGAIN;
}

static int attach(int id, struct pick_memory **ret_memory)
{
	struct pick_memory *memory;
	void *address;
	uint64_t magic;
	/* The size goes with the version in the key. */
	int rc = sysv_attach(id, sizeof(*memory), sizeof(*memory), 0, &address);

	if (rc < 0)
		return rc;
	memory = address;
	magic = peek_u64(&memory->magic);
	if (magic != 0 && magic != PICK_MEMORY_MAGIC) {
		shmdt(memory);
		return -EPROTO;
	}
	/* Who comes first draws the seed, and the magic says no more than that somebody came. */
	claim_u64(&memory->seed, 0, random_u64() | 1);
	poke_u64(&memory->magic, PICK_MEMORY_MAGIC);
	*ret_memory = memory;
	return 0;
}

int pick_memory_attach_key(key_t key, struct pick_memory **ret_memory)
{
	KEEP_ERRNO();
	int id = find_or_make(key);

	return id < 0 ? id : attach(id, ret_memory);
}

int pick_memory_attach(struct pick_memory **ret_memory)
{
	return pick_memory_attach_key(pick_memory_key(geteuid()), ret_memory);
}
