/* A journal in memory: its bytes can be cut and changed, its disk can be full. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_MEMORY_JOURNAL_H
#define K8SLB_TESTS_MEMORY_JOURNAL_H

#include <stdbool.h>

#include "sync/journal.h"

struct memory_journal {
	struct buffer bytes; /* of the journal in place */
	struct buffer fresh; /* of the one that was begun and not committed */
	bool is_fresh;	     /* append() goes there */
	size_t read_at;
	size_t read_step; /* at most so many bytes a read; 0: all */
	size_t disk_size; /* append() beyond it fails, with what fits written; 0: no limit */
	int begin_error;  /* what begin() returns; 0: it succeeds */
	int commit_error; /* the same of commit() */
	unsigned begins;
	unsigned appends;
	unsigned discards;
	uint64_t realtime_s;
};

/* The clock says 1 700 000 000 s. */
void memory_journal_init(struct memory_journal *memory);
void memory_journal_free(struct memory_journal *memory);

/* Puts these bytes in place. */
void memory_journal_set(struct memory_journal *memory, const void *bytes, size_t size);

/* As a process that starts sees it: reading begins at the start, nothing is being written. */
struct journal_options memory_journal_open(struct memory_journal *memory, uint64_t config_hash);

#endif
