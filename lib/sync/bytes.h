/* Numbers and texts from bytes that may be anything, and into a buffer. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_BYTES_H
#define K8SLB_SYNC_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* What is left to read. The first fault stays; all that is read after it is 0 or "". */
struct bytes {
	const unsigned char *at;
	const unsigned char *end;
	bool bad;
};

struct bytes bytes_of(const void *data, size_t size);

/* Bytes left; 0 after a fault. */
size_t bytes_left(const struct bytes *bytes);

/* All was read, and nothing was wrong. */
bool bytes_done(const struct bytes *bytes);

void bytes_read(struct bytes *bytes, void *data, size_t size);

/* A number of at most @max. */
uint64_t bytes_read_number(struct bytes *bytes, uint64_t max);

/* A number of things that take at least @smallest bytes each: not more than can follow. */
unsigned bytes_read_count(struct bytes *bytes, size_t smallest);

/* A text of printable ASCII. Its bytes, not terminated; NULL after a fault. */
const char *bytes_read_text(struct bytes *bytes, size_t *ret_length);

/* The same into @text of @size bytes, terminated. */
void bytes_copy_text(struct bytes *bytes, char *text, size_t size);

/* These return 0, -E2BIG or -ENOMEM. */
int bytes_append_number(struct buffer *buffer, uint64_t number);
int bytes_append_text(struct buffer *buffer, const char *text);

#endif
