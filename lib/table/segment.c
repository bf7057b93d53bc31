// SPDX-License-Identifier: Apache-2.0
#include "table/segment.h"

#include <errno.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/hash.h"
#include "base/sysv.h"

size_t segment_arena(unsigned class)
{
	static const size_t sizes[SEGMENT_CLASSES] = {128u << 10, 1u << 20, 8u << 20, 64u << 20,
						      256u << 20};

	return sizes[class];
}

size_t segment_size(unsigned class)
{
	return TABLE_HEADER_SIZE + TABLE_ARENAS * segment_arena(class);
}

/* Another user's table has another key, so they never meet by chance. Two tables with one key
 * differ in the identity in their headers: the second one is then not shared. */
key_t segment_key(uint64_t identity, unsigned class)
{
	uint64_t owner = (uint64_t)geteuid() << 32 | TABLE_VERSION << 8 | class;

	return sysv_key(hash_mix(identity ^ hash_mix(owner)));
}

int segment_view(const void *mapping, uint64_t identity, unsigned class,
		 struct table_view *ret_view)
{
	struct table_view view;

	if (table_view_open(mapping, segment_size(class), &view) < 0 ||
	    view.arena_size != segment_arena(class) || peek_u64(&view.header->identity) != identity)
		return -EBADMSG;
	view.identity = identity;
	*ret_view = view;
	return 0;
}

int segment_attach(uint64_t identity, unsigned class, struct table_view *ret_view)
{
	int id = shmget(segment_key(identity, class), 0, 0);
	void *mapping;
	int rc;

	if (id < 0)
		return -errno;
	rc = sysv_attach(id, segment_size(class), SIZE_MAX, SHM_RDONLY, &mapping);
	if (rc < 0)
		return rc;
	rc = segment_view(mapping, identity, class, ret_view);
	if (rc < 0)
		shmdt(mapping);
	return rc;
}

void segment_detach(const struct table_view *view)
{
	union {
		const void *constant;
		void *address;
	} mapping = {.constant = view->header};

	shmdt(mapping.address);
}

int segment_attach_newest(uint64_t identity, struct table_view *ret_view, unsigned *ret_class)
{
	int rc = segment_attach(identity, 0, ret_view);

	*ret_class = 0;
	for (unsigned class = 1; rc == 0 && class < SEGMENT_CLASSES; class ++) {
		struct table_view next;

		/* Pairs with the publish in retire_older(). */
		if (!observe_u32(&ret_view->header->moved) ||
		    segment_attach(identity, class, &next) < 0)
			break;
		segment_detach(ret_view);
		*ret_view = next;
		*ret_class = class;
	}
	return rc;
}
