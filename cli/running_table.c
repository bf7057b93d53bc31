// SPDX-License-Identifier: Apache-2.0
#include "running_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/sysv.h"
#include "input.h"
#include "pick/memory.h"

#define RECEIVE_MS    2000u
#define ENVIRON_LIMIT (1024u * 1024)

/* What the user's processes tell each other, to read: pick_memory_attach() would make it. */
static const struct health *attach_health(void)
{
	int id = shmget(pick_memory_key(geteuid()), 0, 0);
	const struct pick_memory *memory;
	void *address;

	if (id < 0 || sysv_attach(id, sizeof(*memory), sizeof(*memory), SHM_RDONLY, &address) < 0)
		return NULL;
	memory = address;
	if (peek_u64(&memory->magic) == PICK_MEMORY_MAGIC)
		return &memory->health;
	shmdt(address);
	return NULL;
}

static int take_agents(const char *path, uid_t agents_user, struct running_table *table, char *error,
		       size_t error_size, const char **ret_remedy)
{
	int rc = handover_receive(path, agents_user, RECEIVE_MS, NULL, &table->handed);

	if (rc < 0) {
		snprintf(error, error_size, "the agent at %s: %s", path, strerror(-rc));
		*ret_remedy = rc == -EPERM ? "name its user by K8SLB_TABLE_UID"
					   : "see that it runs: k8slb doctor";
		return rc;
	}
	table->view = table->handed->view;
	snprintf(table->whose, sizeof(table->whose), "an agent's, at %s", path);
	return 0;
}

/* The kernel shows an attached segment as /SYSVkey, with its id in the place of the inode. */
static bool has_segment(FILE *maps, int id)
{
	char line[512];
	unsigned long found;

	rewind(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "/SYSV") && sscanf(line, "%*s %*s %*s %*s %lu", &found) == 1 &&
		    found == (unsigned long)id)
			return true;
	}
	return false;
}

/* Leaves those that this process has. Returns how many. */
static int keep_mapped(struct shared_table *tables, int count, FILE *maps)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		if (has_segment(maps, tables[i].id))
			tables[kept++] = tables[i];
		else
			shared_table_release(&tables[i]);
	}
	return kept;
}

static int take_shared(FILE *maps, long pid, struct running_table *table, char *error,
		       size_t error_size, const char **ret_remedy)
{
	struct shared_table tables[SHARED_TABLES_MAX];
	int count = shared_tables_find(tables, SHARED_TABLES_MAX);
	int chosen;

	if (maps)
		count = keep_mapped(tables, count, maps);
	chosen = shared_tables_newest(tables, count);
	for (int i = 0; i < count; i++) {
		if (i != chosen)
			shared_table_release(&tables[i]);
	}
	if (chosen < 0) {
		*ret_remedy = "it appears with the first connection that matches; k8slb doctor tells "
			      "what is in the way";
		if (maps)
			snprintf(error, error_size, "process %ld has no table of this user", pid);
		else
			snprintf(error, error_size, "no program of this user shares a table now");
		return -ENOENT;
	}
	table->shared = tables[chosen];
	table->view = table->shared.view;
	snprintf(table->whose, sizeof(table->whose), "shared by %u process%s of this user",
		 table->shared.attached, table->shared.attached == 1 ? "" : "es");
	return 0;
}

/* K8SLB_TABLE of a process; false: it has none, or we may not know. */
static bool agent_of(long pid, char path[HANDOVER_PATH_SIZE])
{
	static const char name[] = "K8SLB_TABLE=";
	struct buffer environment = {.limit = ENVIRON_LIMIT};
	char file[64];
	bool found = false;

	snprintf(file, sizeof(file), "/proc/%ld/environ", pid);
	input_read(file, &environment);
	for (size_t at = 0; at + sizeof(name) < environment.length;
	     at += strlen(environment.data + at) + 1) {
		if (strncmp(environment.data + at, name, sizeof(name) - 1) != 0)
			continue;
		snprintf(path, HANDOVER_PATH_SIZE, "%s", environment.data + at + sizeof(name) - 1);
		found = path[0] == '/';
	}
	buffer_free(&environment);
	return found;
}

static int take_of_process(long pid, uid_t agents_user, struct running_table *table, char *error,
			   size_t error_size, const char **ret_remedy)
{
	char path[HANDOVER_PATH_SIZE];
	char file[64];
	FILE *maps;
	int rc;

	snprintf(file, sizeof(file), "/proc/%ld/maps", pid);
	maps = fopen(file, "re");
	if (!maps) {
		rc = -errno;
		snprintf(error, error_size, "process %ld: %s", pid, strerror(-rc));
		*ret_remedy = "name one of this user and of this container";
		return rc;
	}
	if (agent_of(pid, path))
		rc = take_agents(path, agents_user, table, error, error_size, ret_remedy);
	else
		rc = take_shared(maps, pid, table, error, error_size, ret_remedy);
	fclose(maps);
	return rc;
}

int running_table_find(long pid, const char *path, uid_t agents_user,
		       struct running_table *ret_table, char *error, size_t error_size,
		       const char **ret_remedy)
{
	struct running_table table = {0};
	int rc;

	if (path)
		rc = take_agents(path, agents_user, &table, error, error_size, ret_remedy);
	else if (pid)
		rc = take_of_process(pid, agents_user, &table, error, error_size, ret_remedy);
	else
		rc = take_shared(NULL, 0, &table, error, error_size, ret_remedy);
	if (rc < 0)
		return rc;
	table.health = attach_health();
	*ret_table = table;
	return 0;
}

void running_table_release(struct running_table *table)
{
	if (table->health) {
		/* The segment begins before it. */
		const char *memory = (const char *)table->health - offsetof(struct pick_memory, health);
		union {
			const void *constant;
			void *address;
		} mapping = {.constant = memory};

		shmdt(mapping.address);
	}
	if (table->handed)
		handover_discard(table->handed);
	else
		shared_table_release(&table->shared);
}
