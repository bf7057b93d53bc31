// SPDX-License-Identifier: Apache-2.0
#include "pick/hints.h"

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

key_t hints_key(uid_t uid)
{
	return sysv_key(hash_text(uid, HINTS_VERSION));
}

/* The id of the segment with this key, which is made when it is missing; -errno. */
static int find_or_make(key_t key)
{
	for (int tries = 0; tries < MAKE_TRIES; tries++) {
		int id = shmget(key, 0, 0); /* the usual case first: somebody was here */

		if (id >= 0 || errno != ENOENT)
			return id >= 0 ? id : -errno;
		id = shmget(key, sizeof(struct hints), IPC_CREAT | IPC_EXCL | SYSV_MODE);
		if (id >= 0 || errno != EEXIST)
			return id >= 0 ? id : -errno;
	}
	return -EAGAIN;
}

static int attach(int id, struct hints **ret_hints)
{
	struct hints *hints = shmat(id, NULL, 0);
	uint64_t magic;

	if (hints == SYSV_ATTACH_FAILED)
		return -errno;
	magic = peek_u64(&hints->magic);
	if (magic != 0 && magic != HINTS_MAGIC) {
		shmdt(hints);
		return -EPROTO;
	}
	/* Who comes first draws the seed, and the magic says no more than that somebody came. */
	claim_u64(&hints->seed, 0, random_u64() | 1);
	poke_u64(&hints->magic, HINTS_MAGIC);
	*ret_hints = hints;
	return 0;
}

int hints_attach_key(key_t key, struct hints **ret_hints)
{
	KEEP_ERRNO();
	int id = find_or_make(key);
	size_t size = 0;
	int rc = id < 0 ? id : sysv_check(id, &size);

	/* The size goes with the version in the key. */
	if (rc == 0)
		rc = size == sizeof(struct hints) ? attach(id, ret_hints) : -EPERM;
	return rc;
}

int hints_attach(struct hints **ret_hints)
{
	return hints_attach_key(hints_key(geteuid()), ret_hints);
}
