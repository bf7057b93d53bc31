/* Reading a file to its end: into memory of the caller, or into a buffer. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_READ_FILE_H
#define K8SLB_BASE_READ_FILE_H

#include <sys/types.h>

#include "base/buffer.h"

/* Opens for reading whatever stands at @path; never waits, as an open of a FIFO would for its
 * writer. Returns the descriptor, the caller's to close(2), or -errno. Hooks may call. */
int file_open(const char *path);

/*
 * Reads until @size bytes are there or the file ends. Returns how many they are: less than @size is
 * the end. -errno else. Allocates nothing: hooks may call.
 */
ssize_t file_fill(int fd, void *data, size_t size);

/* Appends all that is left of @fd. Returns 0 or -errno, -E2BIG beyond the buffer's limit, -ENOMEM;
 * what was read by then stays in @content. */
int file_append(int fd, struct buffer *content);

#endif
