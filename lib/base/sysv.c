// SPDX-License-Identifier: Apache-2.0
#include "base/sysv.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

/* Another thread of the program may take the place between two calls; then there is another one. */
#define ATTACH_TRIES 16

key_t sysv_key(uint64_t hash)
{
	key_t key = (key_t)(hash & INT32_MAX);

	return key == IPC_PRIVATE ? 1 : key;
}

static int check(int id, size_t *ret_size)
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

/* Where @size bytes are free; NULL: nowhere. Huge pages of any size begin at multiples of two
 * pages, and this is none: the kernel does not put them here (fs/hugetlbfs/inode.c,
 * prepare_hugepage_range()). */
static void *find_place(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *room = mmap(NULL, size + page, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return NULL;
	munmap(room, size + page);
	return (uintptr_t)room & page ? room : room + page;
}

int sysv_attach(int id, size_t least, size_t most, int flags, void **ret_address)
{
	size_t size;
	int rc = check(id, &size);

	if (rc == 0 && (size < least || size > most))
		rc = -EBADMSG;
	for (int tries = 0; rc == 0 && tries < ATTACH_TRIES; tries++) {
		void *place = find_place(size);

		if (!place)
			return -errno;
		/* Without SHM_REMAP: it would take away what came there meanwhile. */
		if (shmat(id, place, flags) == place) {
			*ret_address = place;
			return 0;
		}
		if (errno != EINVAL)
			return -errno;
	}
	return rc < 0 ? rc : -EBADMSG;
}
