/* The file of a journal, in a folder that the caller has opened and checked. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_JOURNAL_FILE_H
#define K8SLB_PIPELINE_JOURNAL_FILE_H

#include <stdint.h>

#include "sync/journal.h"

/* The longest @name, with its NUL. */
#define JOURNAL_NAME_SIZE 240

/* As part of struct pipeline_options: who holds the writer's lock of a table gives it. */
struct journal_file_options {
	int directory_fd;     /* borrowed, open as long as the pipeline; on a tmpfs, since the
				 thread that balances writes to it */
	const char *name;     /* one for each table, copied; NAME.new beside it is in use too */
	uint64_t config_hash; /* of all that decides what is asked for: API, Services, discovery */
	uint32_t start_delay_ms; /* journal.h */
};

/*
 * The file is written with the mode 0600, in full beside the old one and then renamed; never
 * mapped. It is read only when it is a regular file of this user that nobody else can open.
 * RLIMIT_FSIZE counts as a full disk.
 */
struct journal_file;

/* Opens nothing yet. Returns 0 or -errno. */
int journal_file_new(const struct journal_file_options *options, struct journal_file **ret_file);

/* Valid until journal_file_free(). */
struct journal_io journal_file_io(struct journal_file *file);

/* The file stays, for the next writer. Takes NULL. */
void journal_file_free(struct journal_file *file);

#endif
