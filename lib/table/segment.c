// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/hash.h"
#include "table/region.h"

#define SEGMENT_MODE   0600
#define ATTACH_FAILED  ((void *)-1) /* shmat(2) */
#define CREATE_RETRIES 4	    /* two processes at once make, find and replace it */

size_t region_class_arena(unsigned class)
{
	static const size_t sizes[REGION_CLASSES] = {128u << 10, 1u << 20, 8u << 20, 64u << 20,
						     256u << 20};

	return sizes[class];
}

static size_t class_size(unsigned class)
{
	return TABLE_HEADER_SIZE + TABLE_ARENAS * region_class_arena(class);
}

/* Another user's table has another key, so they never meet by chance. Two tables with one key
 * differ in the identity in their headers: the second one is then not shared. */
static key_t class_key(uint64_t identity, unsigned class)
{
	uint64_t hash = hash_mix(identity ^
				 hash_mix((uint64_t)geteuid() << 32 | TABLE_VERSION << 8 | class));
	key_t key = (key_t)(hash & 0x7fffffff);

	return key == IPC_PRIVATE ? 1 : key;
}

/* Ours alone, and as large as it must be. */
static int check_segment(int id, unsigned class)
{
	struct shmid_ds status;

	if (shmctl(id, IPC_STAT, &status) < 0)
		return -errno;
	if (status.shm_perm.uid != geteuid() || status.shm_perm.cuid != geteuid() ||
	    (status.shm_perm.mode & 0777) != SEGMENT_MODE)
		return -EPERM;
	return status.shm_segsz >= class_size(class) ? 0 : -EBADMSG;
}

static int open_view(const void *mapping, uint64_t identity, unsigned class,
		     struct table_view *ret_view)
{
	struct table_view view;

	if (table_view_open(mapping, class_size(class), &view) < 0 ||
	    view.arena_size != region_class_arena(class) ||
	    peek_u64(&view.header->identity) != identity)
		return -EBADMSG;
	view.identity = identity;
	*ret_view = view;
	return 0;
}

int region_attach(uint64_t identity, unsigned class, struct table_view *ret_view)
{
	int id = shmget(class_key(identity, class), 0, 0);
	void *mapping;
	int rc;

	if (id < 0)
		return -errno;
	rc = check_segment(id, class);
	if (rc < 0)
		return rc;
	mapping = shmat(id, NULL, SHM_RDONLY);
	if (mapping == ATTACH_FAILED)
		return -errno;
	rc = open_view(mapping, identity, class, ret_view);
	if (rc < 0)
		shmdt(mapping);
	return rc;
}

void region_detach(const struct table_view *view)
{
	union {
		const void *constant;
		void *address;
	} mapping = {.constant = view->header};

	shmdt(mapping.address);
}

int region_attach_newest(uint64_t identity, struct table_view *ret_view, unsigned *ret_class)
{
	int rc = region_attach(identity, 0, ret_view);

	*ret_class = 0;
	for (unsigned class = 1; rc == 0 && class < REGION_CLASSES; class ++) {
		struct table_view next;

		/* Pairs with the publish in retire_older(). */
		if (!observe_u32(&ret_view->header->moved) ||
		    region_attach(identity, class, &next) < 0)
			break;
		region_detach(ret_view);
		*ret_view = next;
		*ret_class = class;
	}
	return rc;
}

bool region_is_removed(const struct region *region)
{
	struct shmid_ds status;

	/* Refused where the host is another user by now. */
	return shmctl(region->segment, IPC_STAT, &status) == 0 && (status.shm_perm.mode & SHM_DEST);
}

static int map_both(int id, unsigned class, struct region *ret_region)
{
	struct region region = {.size = class_size(class), .segment = id};
	void *writable = shmat(id, NULL, 0);
	void *readable;

	if (writable == ATTACH_FAILED)
		return -errno;
	readable = shmat(id, NULL, SHM_RDONLY);
	if (readable == ATTACH_FAILED) {
		int rc = -errno;

		shmdt(writable);
		return rc;
	}
	/* Else a child that the host forks could write into the table of its parent. */
	madvise(writable, region.size, MADV_DONTFORK);
	region.writable = writable;
	region.view =
		(struct table_view){.header = readable, .arena_size = region_class_arena(class)};
	*ret_region = region;
	return 0;
}

static void initialize(struct table_header *header, uint64_t identity, unsigned class)
{
	header->version = TABLE_VERSION;
	header->arena_count = TABLE_ARENAS;
	header->arena_size = region_class_arena(class);
	header->identity = identity;
	/* Last: pairs with table_view_open(), which takes the rest for granted after it. */
	publish_u64(&header->magic, TABLE_MAGIC);
}

static int own_segment(int id, uint64_t identity, unsigned class, struct region *ret_region)
{
	struct region region;
	struct table_header *header;
	int rc = map_both(id, class, &region);

	if (rc < 0)
		return rc;
	header = (struct table_header *)(void *)region.writable;
	if (peek_u64(&header->magic) == 0)
		initialize(header, identity, class);
	rc = open_view(region.view.header, identity, class, &region.view);
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
		int id = shmget(class_key(identity, class), class_size(class),
				IPC_CREAT | SEGMENT_MODE);

		/* EINVAL: there is one, and it is smaller. */
		if (id < 0 && errno == EINVAL)
			id = shmget(class_key(identity, class), 0, 0);
		if (id < 0)
			return -errno;
		rc = check_segment(id, class);
		if (rc == 0)
			rc = own_segment(id, identity, class, ret_region);
		if (rc != -EBADMSG)
			return rc;
		/* Gone for new processes; those that have it mapped keep it. */
		if (shmctl(id, IPC_RMID, NULL) < 0)
			return -errno;
	}
	return rc;
}
