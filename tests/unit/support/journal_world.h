/* Processes one after another that keep the same journal: a store with three collections each. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_JOURNAL_WORLD_H
#define K8SLB_TESTS_JOURNAL_WORLD_H

#include "support/memory_journal.h"

enum { WORLD_SERVICES, WORLD_SLICES, WORLD_ENDPOINTS, WORLD_COLLECTIONS };

#define WORLD_CONFIG	 0x1234u
#define WORLD_STATE_SIZE (64 * 1024)

struct process {
	struct memory_journal *memory;
	struct store *store;
	struct journal *journal;
	struct store_scope *scopes[WORLD_COLLECTIONS];
	struct journal_collection collections[WORLD_COLLECTIONS];
	struct buffer logged; /* lines of level error */
	int restored;	      /* what journal_restore() returned */
	uint64_t heard_s;
	unsigned denied; /* calls of on_denied */
};

/* Restores what is there. Objects of Service "other" are not wanted. */
void process_start(struct process *process, struct memory_journal *memory, uint64_t config_hash);

/* As kill -9: nothing more is written. */
void process_kill(struct process *process);

/* The server says. @jsons ends with NULL. */
void process_list(struct process *process, unsigned which, const char *version,
		  const char *const *jsons);
void process_upsert(struct process *process, unsigned which, const char *json);
void process_remove(struct process *process, unsigned which, const char *version, const char *name);
void process_bookmark(struct process *process, unsigned which, const char *version);

/* All collections with version and objects, sorted. @text has WORLD_STATE_SIZE bytes. */
void process_describe(const struct process *process, char *text);

#endif
