/* A byte buffer that grows up to a limit. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_BUFFER_H
#define K8SLB_BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>

/* All zero except @limit is a valid empty buffer. */
struct buffer {
	char *data; /* @length bytes and a NUL that is not counted, or NULL when nothing was put */
	size_t length;
	size_t capacity;
	size_t limit; /* longest @length, bytes; 0: none */
};

/* Appends. Returns 0, -E2BIG beyond the limit or -ENOMEM; the content is untouched then. */
int buffer_append(struct buffer *buffer, const void *data, size_t size);
int buffer_append_text(struct buffer *buffer, const char *text);
int buffer_printf(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Appends @text with everything but RFC 3986 unreserved characters percent-encoded. */
int buffer_append_url_encoded(struct buffer *buffer, const char *text);

/* Empties it; the memory stays for the next use. */
void buffer_clear(struct buffer *buffer);

/* Frees the memory; the limit stays. */
void buffer_free(struct buffer *buffer);

#endif
