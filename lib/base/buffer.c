// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	size_t needed = buffer->length + size + 1;

	if (needed < size)
		return -E2BIG;
	if (buffer->limit && needed - 1 > buffer->limit)
		return -E2BIG;
	if (needed > buffer->capacity) {
		size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
		char *grown;

		while (capacity < needed)
			capacity *= 2;
		grown = realloc(buffer->data, capacity);
		if (!grown)
			return -ENOMEM;
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->length, data, size);
	buffer->length += size;
	buffer->data[buffer->length] = '\0';
	return 0;
}

int buffer_append_text(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, text, strlen(text));
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
	char line[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(line))
		return -E2BIG;
	return buffer_append(buffer, line, (size_t)length);
}

int buffer_append_url_encoded(struct buffer *buffer, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char unreserved[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t start = buffer->length;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
		int rc = strchr(unreserved, c) ? buffer_append(buffer, text, 1)
					       : buffer_append(buffer, escape, sizeof(escape));

		if (rc < 0) {
			buffer->length = start;
			if (buffer->data)
				buffer->data[start] = '\0';
			return rc;
		}
	}
	return 0;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	if (buffer->data)
		buffer->data[0] = '\0';
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->length = 0;
	buffer->capacity = 0;
}
