// SPDX-License-Identifier: Apache-2.0
#include "support/segments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/writer_lock.h"
#include "publish/shared_region.h"
#include "table/segment.h"

uint64_t segments_identity(void)
{
	return random_u64() | 1;
}

/* The segment at @address, by the number of its inode (shm(7) of Linux: that is its id). */
static struct segment segment_at(const void *address)
{
	struct segment segment = {.id = -1};
	struct shmid_ds status;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long first;
		int id;

		if (sscanf(line, "%lx-%*x %*s %*x %*s %d", &first, &id) == 2 &&
		    first == (unsigned long)address)
			segment.id = id;
	}
	fclose(maps);
	assert_int_equal(shmctl(segment.id, IPC_STAT, &status), 0);
	segment.key = status.shm_perm.__key;
	return segment;
}

struct segment segments_make(uint64_t identity, unsigned class)
{
	struct region region;
	struct segment segment;

	assert_int_equal(region_own(identity, class, &region), 0);
	segment = segment_at(region.view.header);
	assert_int_equal(shmdt(region.writable), 0);
	segment_detach(&region.view);
	return segment;
}

void segments_remove(uint64_t identity)
{
	for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
		struct table_view view;
		struct segment segment;

		if (segment_attach(identity, class, &view) < 0)
			continue;
		segment = segment_at(view.header);
		segment_detach(&view);
		assert_int_equal(shmctl(segment.id, IPC_RMID, NULL), 0);
	}
}

void segments_remove_lock(uint64_t identity)
{
	char name[WRITER_LOCK_NAME_SIZE];
	char path[128];

	writer_lock_name(identity, name);
	snprintf(path, sizeof(path), "/dev/shm/k8slb-%u/%s", (unsigned)geteuid(), name);
	assert_int_equal(unlink(path), 0);
	strcpy(strrchr(path, '.'), ".held");
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path); /* others' files may be in it */
}
