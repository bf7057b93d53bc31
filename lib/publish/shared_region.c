// SPDX-License-Identifier: Apache-2.0
#include "publish/shared_region.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sysv.h"
#include "table/segment.h"

#define CREATE_RETRIES 4 /* two processes at once make, find and replace it */

bool region_is_removed(const struct region *region)
{
	struct shmid_ds status;

	/* Refused where the host is another user by now. */
	return shmctl(region->segment, IPC_STAT, &status) == 0 && (status.shm_perm.mode & SHM_DEST);
}

void region_remove_all(uint64_t identity)
{
	for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
		int id = shmget(segment_key(identity, class), 0, 0);
		struct shmid_ds status;

		/* Root may remove what is not its own. */
		if (id >= 0 && shmctl(id, IPC_STAT, &status) == 0 &&
		    status.shm_perm.uid == geteuid())
			shmctl(id, IPC_RMID, NULL);
	}
}

static int map_both(int id, unsigned class, struct region *ret_region)
{
	struct region region = {.size = segment_size(class), .segment = id};
	void *writable;
	void *readable;
	int rc = sysv_attach(id, region.size, SIZE_MAX, 0, &writable);

	if (rc < 0)
		return rc;
	rc = sysv_attach(id, region.size, SIZE_MAX, SHM_RDONLY, &readable);
	if (rc < 0) {
		shmdt(writable);
		return rc;
	}
	/* Else a child that the host forks could write into the table of its parent. */
	madvise(writable, region.size, MADV_DONTFORK);
	region.writable = writable;
	region.view = (struct table_view){.header = readable, .arena_size = segment_arena(class)};
	*ret_region = region;
	return 0;
}

static int own_segment(int id, uint64_t identity, unsigned class, struct region *ret_region)
{
	struct region region;
	int rc = map_both(id, class, &region);

	if (rc < 0)
		return rc;
	if (peek_u64(&region.view.header->magic) == 0)
		region_start(&region, identity);
	rc = segment_view(region.view.header, identity, class, &region.view);
	if (rc < 0) {
		region_free(&region);
		return rc;
	}
	*ret_region = region;
	return 0;
}

int region_own(uint64_t identity, unsigned class, struct region *ret_region)
{
	int rc = -EAGAIN;

	for (int i = 0; i < CREATE_RETRIES; i++) {
		int id = shmget(segment_key(identity, class), segment_size(class),
				IPC_CREAT | SYSV_MODE);

		/* EINVAL: there is one, and it is smaller. */
		if (id < 0 && errno == EINVAL)
			id = shmget(segment_key(identity, class), 0, 0);
		if (id < 0)
			return -errno;
		rc = own_segment(id, identity, class, ret_region);
		if (rc != -EBADMSG)
			return rc;
		/* Gone for new processes; those that have it mapped keep it. */
		if (shmctl(id, IPC_RMID, NULL) < 0)
			return -errno;
	}
	return rc;
}
