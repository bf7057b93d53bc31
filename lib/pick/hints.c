// SPDX-License-Identifier: Apache-2.0
#include "pick/hints.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"

/* The segment comes and goes between our calls only when somebody removes it on purpose. */
#define MAKE_TRIES 3

key_t hints_key(uid_t uid)
{
	key_t key = (key_t)(hash_text(uid, HINTS_VERSION) & INT32_MAX);

	return key == IPC_PRIVATE ? 1 : key;
}

/* The id of the segment with this key, which is made when it is missing; -errno. */
static int find_or_make(key_t key)
{
	for (int tries = 0; tries < MAKE_TRIES; tries++) {
		int id = shmget(key, 0, 0); /* the usual case first: somebody was here */

		if (id >= 0 || errno != ENOENT)
			return id >= 0 ? id : -errno;
		id = shmget(key, sizeof(struct hints), IPC_CREAT | IPC_EXCL | S_IRUSR | S_IWUSR);
		if (id >= 0 || errno != EEXIST)
			return id >= 0 ? id : -errno;
	}
	return -EAGAIN;
}

/* Ours alone, and of the size that goes with the version in its key. */
static int check_segment(int id)
{
	struct shmid_ds status;
	uid_t user = geteuid();

	if (shmctl(id, IPC_STAT, &status) < 0)
		return -errno;
	if (status.shm_perm.uid != user || status.shm_perm.cuid != user ||
	    (status.shm_perm.mode & (S_IRWXG | S_IRWXO)) ||
	    status.shm_segsz != sizeof(struct hints))
		return -EPERM;
	return 0;
}

static int attach(int id, struct hints **ret_hints)
{
	struct hints *hints = shmat(id, NULL, 0);
	uint64_t magic;

	if ((intptr_t)hints == -1)
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
	int saved_errno = errno;
	int id = find_or_make(key);
	int rc = id < 0 ? id : check_segment(id);

	if (rc == 0)
		rc = attach(id, ret_hints);
	errno = saved_errno;
	return rc;
}

int hints_attach(struct hints **ret_hints)
{
	return hints_attach_key(hints_key(geteuid()), ret_hints);
}
