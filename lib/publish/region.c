// SPDX-License-Identifier: Apache-2.0
#include "publish/region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

/* linux/memfd.h: younger than the oldest headers that we build with, as libc's wrapper is. */
#define MEMFD_CLOEXEC	    0x0001u
#define MEMFD_ALLOW_SEALING 0x0002u
#define MEMFD_NOEXEC_SEAL   0x0008u /* Linux 6.3, and asked for where vm.memfd_noexec=2 */

static size_t size_of(size_t arena_size)
{
	return TABLE_HEADER_SIZE + TABLE_ARENAS * arena_size;
}

void region_start(const struct region *region, uint64_t identity)
{
	struct table_header *header = (struct table_header *)(void *)region->writable;

	header->version = TABLE_VERSION;
	header->arena_count = TABLE_ARENAS;
	header->arena_size = region->view.arena_size;
	header->identity = identity;
	/* Last: pairs with table_view_open(), which takes the rest for granted after it. */
	publish_u64(&header->magic, TABLE_MAGIC);
}

static int new_memfd(size_t size)
{
	int fd = (int)raw_syscall(SYS_memfd_create, "k8slb-table",
				  MEMFD_CLOEXEC | MEMFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = (int)raw_syscall(SYS_memfd_create, "k8slb-table",
				      MEMFD_CLOEXEC | MEMFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		int rc = -errno;

		k8slb_raw_close(fd);
		return rc;
	}
	return fd;
}

static int map_file(int fd, size_t arena_size, struct region *ret_region)
{
	size_t size = size_of(arena_size);
	void *writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *readable;

	if (writable == MAP_FAILED)
		return -errno;
	readable = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (readable == MAP_FAILED) {
		int rc = -errno;

		munmap(writable, size);
		return rc;
	}
	/* Else a child that the host forks could write into the table of its parent. */
	madvise(writable, size, MADV_DONTFORK);
	*ret_region = (struct region){
		.writable = writable,
		.view = {.header = readable, .arena_size = arena_size},
		.size = size,
	};
	return 0;
}

int region_new_file(size_t arena_size, struct region *ret_region)
{
	int fd = new_memfd(size_of(arena_size));
	int rc;

	if (fd < 0)
		return fd;
	rc = map_file(fd, arena_size, ret_region);
	if (rc < 0) {
		k8slb_raw_close(fd);
		return rc;
	}
	region_start(ret_region, 0);
	return fd;
}

static int new_anonymous(size_t arena_size, struct region *ret_region)
{
	size_t size = size_of(arena_size);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_region = (struct region){
		.writable = memory,
		.view = {.header = memory, .arena_size = arena_size},
		.size = size,
	};
	region_start(ret_region, 0);
	return 0;
}

int region_new(size_t arena_size, struct region *ret_region)
{
	int fd = region_new_file(arena_size, ret_region);

	if (fd < 0)
		return new_anonymous(arena_size, ret_region);
	k8slb_raw_close(fd);
	return 0;
}

void region_retire(struct region *region)
{
	if (region->writable && (const void *)region->writable != (const void *)region->view.header)
		munmap(region->writable, region->size);
	region->writable = NULL;
}

void region_free(struct region *region)
{
	union {
		const void *constant;
		void *address;
	} readable = {.constant = region->view.header};

	region_retire(region);
	if (readable.address)
		munmap(readable.address, region->size);
	memset(region, 0, sizeof(*region));
}
