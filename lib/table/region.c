// SPDX-License-Identifier: Apache-2.0
#include "table/region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_syscall.h"

#define MEMFD_CLOEXEC 1u /* MFD_CLOEXEC; the libc wrapper is younger than the oldest libc */

static int new_file(size_t size)
{
	int fd = -1;

#ifdef SYS_memfd_create
	fd = (int)raw_syscall(SYS_memfd_create, "k8slb", MEMFD_CLOEXEC);
#endif
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int map_file(int fd, size_t size, void **ret_writable, void **ret_readable)
{
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
	*ret_writable = writable;
	*ret_readable = readable;
	return 0;
}

static int map_anonymous(size_t size, void **ret_writable, void **ret_readable)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_writable = memory;
	*ret_readable = memory;
	return 0;
}

int region_new(size_t arena_size, struct region *ret_region)
{
	size_t size = TABLE_HEADER_SIZE + TABLE_ARENAS * arena_size;
	struct table_header *header;
	void *writable = NULL;
	void *readable = NULL;
	int fd = new_file(size);
	int rc;

	if (fd >= 0) {
		rc = map_file(fd, size, &writable, &readable);
		close(fd);
	} else {
		rc = map_anonymous(size, &writable, &readable);
	}
	if (rc < 0)
		return rc;
	header = writable;
	header->version = TABLE_VERSION;
	header->arena_count = TABLE_ARENAS;
	header->arena_size = arena_size;
	/* Last: pairs with table_view_open(), which takes the rest for granted after it. */
	publish_u64(&header->magic, TABLE_MAGIC);
	ret_region->writable = writable;
	ret_region->view = (struct table_view){.header = readable, .arena_size = arena_size};
	ret_region->size = size;
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
