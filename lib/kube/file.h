/* A file in place of the API server: read whole, and told when it changes. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_FILE_H
#define K8SLB_KUBE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/interrupt.h"

/* A limit for file_read(), bytes: 100 000 endpoints as pretty-printed JSON are about 100 MiB. */
#define FILE_SIZE_LIMIT (1024u * 1024 * 1024)

/* Which file a path leads to and what was last done to it; all zero: none. */
struct file_identity {
	uint64_t numbers[7];
};

/* Fills all zero when there is none. */
struct file_identity file_identify(const char *path);

/*
 * Reads a regular file. Returns 0 (the content is appended to @content), -errno, -EISDIR or
 * -EINVAL for what is no regular file, -E2BIG beyond @content's limit.
 */
int file_read(const char *path, struct buffer *content);

/* What a negative result of file_read() means, for people. */
const char *file_read_problem(int rc);

/*
 * Watches the folders that the path goes through, so that a file that is written in place, replaced
 * by rename(2) or reached through an exchanged symbolic link (as in a mounted ConfigMap) is
 * noticed, and one that does not exist yet.
 */
struct file_watch;

/* Returns 0 or -errno; then file_watch_wait() must not be called. */
int file_watch_new(const char *path, struct file_watch **ret_watch);

/* Waits at most @timeout_ms, or until @interrupt (NULL: none) is set. Returns 1 when the file may
 * have changed, 0 when not, or -errno when it could not wait. */
int file_watch_wait(struct file_watch *watch, int timeout_ms, const struct interrupt *interrupt);

/* Ends the wait early. Any thread. */
void file_watch_wakeup(struct file_watch *watch);

/* Takes NULL. */
void file_watch_free(struct file_watch *watch);

#endif
