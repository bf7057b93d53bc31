// SPDX-License-Identifier: Apache-2.0
#include "base/sysv.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

key_t sysv_key(uint64_t hash)
{
	key_t key = (key_t)(hash & INT32_MAX);

	return key == IPC_PRIVATE ? 1 : key;
}

int sysv_check(int id, size_t *ret_size)
{
	struct shmid_ds status;
	uid_t user = geteuid();

	if (shmctl(id, IPC_STAT, &status) < 0)
		return -errno;
	if (status.shm_perm.uid != user || status.shm_perm.cuid != user ||
	    (status.shm_perm.mode & 0777) != SYSV_MODE)
		return -EPERM;
	*ret_size = status.shm_segsz;
	return 0;
}
