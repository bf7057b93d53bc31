/* A tar archive of small files (POSIX.1-2001 ustar). */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_TAR_H
#define K8SLB_CLI_TAR_H

#include "base/buffer.h"

/* Appends a file of mode 0600 to @archive; @name: below 100 bytes. Returns 0 or -errno. */
int tar_add(struct buffer *archive, const char *name, const void *data, size_t size);

/* Appends the end. Returns 0 or -errno. */
int tar_finish(struct buffer *archive);

#endif
