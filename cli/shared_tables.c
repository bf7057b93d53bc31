// SPDX-License-Identifier: Apache-2.0
#include "shared_tables.h"

#include <errno.h>
#include <stdio.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/sysv.h"
#include "table/segment.h"

struct listed {
	int id;
	size_t size;
	unsigned attached;
	uid_t user;
};

/* /proc/sysvipc/shm: key shmid perms size cpid lpid nattch uid ... */
static bool next_listed(FILE *list, struct listed *ret_listed)
{
	char line[256];
	unsigned long size;
	unsigned user;

	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, "%*d %d %*o %lu %*d %*d %u %u", &ret_listed->id, &size,
			   &ret_listed->attached, &user) != 4)
			continue;
		ret_listed->size = size;
		ret_listed->user = user;
		for (unsigned class = 0; class < SEGMENT_CLASSES; class ++) {
			if (size == segment_size(class))
				return true;
		}
	}
	return false;
}

static bool map_table(const struct listed *listed, struct shared_table *ret_table)
{
	void *mapping;

	if (sysv_attach(listed->id, listed->size, listed->size, SHM_RDONLY, &mapping) < 0)
		return false;
	*ret_table = (struct shared_table){.id = listed->id, .attached = listed->attached};
	if (table_view_open(mapping, listed->size, &ret_table->view) == 0 &&
	    !table_has_moved(&ret_table->view) && peek_u64(&ret_table->view.header->current))
		return true;
	shmdt(mapping);
	return false;
}

int shared_tables_find(struct shared_table *tables, unsigned most)
{
	FILE *list = fopen("/proc/sysvipc/shm", "re");
	struct listed listed;
	unsigned count = 0;

	if (!list)
		return -errno;
	while (count < most && next_listed(list, &listed)) {
		if (listed.user == geteuid() && map_table(&listed, &tables[count]))
			count++;
	}
	fclose(list);
	return (int)count;
}

int shared_tables_newest(const struct shared_table *tables, int count)
{
	uint64_t now_ms = clock_coarse_ms();
	int newest = -1;

	for (int i = 0; i < count; i++) {
		if (tables[i].attached &&
		    (newest < 0 || table_silence_ms(&tables[i].view, now_ms) <
					   table_silence_ms(&tables[newest].view, now_ms)))
			newest = i;
	}
	return newest;
}

unsigned shared_tables_of_others(uid_t *ret_user)
{
	FILE *list = fopen("/proc/sysvipc/shm", "re");
	struct listed listed;
	unsigned count = 0;

	while (list && next_listed(list, &listed)) {
		if (listed.user == geteuid() || !listed.attached)
			continue;
		*ret_user = listed.user;
		count++;
	}
	if (list)
		fclose(list);
	return count;
}

void shared_table_release(struct shared_table *table)
{
	segment_detach(&table->view);
}
