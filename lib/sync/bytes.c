// SPDX-License-Identifier: Apache-2.0
#include "sync/bytes.h"

#include <string.h>

struct bytes bytes_of(const void *data, size_t size)
{
	const unsigned char *at = data;

	return (struct bytes){.at = at, .end = at + size};
}

size_t bytes_left(const struct bytes *bytes)
{
	return bytes->bad ? 0 : (size_t)(bytes->end - bytes->at);
}

bool bytes_done(const struct bytes *bytes)
{
	return !bytes->bad && bytes->at == bytes->end;
}

void bytes_read(struct bytes *bytes, void *data, size_t size)
{
	if (bytes_left(bytes) < size) {
		bytes->bad = true;
		memset(data, 0, size);
		return;
	}
	memcpy(data, bytes->at, size);
	bytes->at += size;
}

uint64_t bytes_read_number(struct bytes *bytes, uint64_t max)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 64 && bytes_left(bytes) > 0; shift += 7) {
		unsigned char byte = *bytes->at++;
		uint64_t part = byte & 0x7f;

		if (part << shift >> shift != part)
			break;
		number |= part << shift;
		if (byte & 0x80)
			continue;
		if (number > max)
			break;
		return number;
	}
	bytes->bad = true;
	return 0;
}

unsigned bytes_read_count(struct bytes *bytes, size_t smallest)
{
	return (unsigned)bytes_read_number(bytes, bytes_left(bytes) / smallest);
}

const char *bytes_read_text(struct bytes *bytes, size_t *ret_length)
{
	size_t length = bytes_read_count(bytes, 1);
	const unsigned char *text = bytes->at;

	*ret_length = 0;
	/* The count was of what was left before its own bytes. */
	if (length > bytes_left(bytes))
		bytes->bad = true;
	for (size_t i = 0; !bytes->bad && i < length; i++)
		bytes->bad = text[i] < 0x20 || text[i] > 0x7e;
	if (bytes->bad)
		return NULL;
	*ret_length = length;
	bytes->at += length;
	return (const char *)text;
}

void bytes_copy_text(struct bytes *bytes, char *text, size_t size)
{
	size_t length;
	const char *from = bytes_read_text(bytes, &length);

	text[0] = '\0';
	if (length >= size) {
		bytes->bad = true;
		return;
	}
	if (from)
		memcpy(text, from, length);
	text[length] = '\0';
}

int bytes_append_number(struct buffer *buffer, uint64_t number)
{
	unsigned char coded[10];
	size_t size = 0;

	while (number > 0x7f) {
		coded[size++] = (unsigned char)(number | 0x80);
		number >>= 7;
	}
	coded[size++] = (unsigned char)number;
	return buffer_append(buffer, coded, size);
}

int bytes_append_text(struct buffer *buffer, const char *text)
{
	size_t length = strlen(text);
	int rc = bytes_append_number(buffer, length);

	return rc < 0 ? rc : buffer_append(buffer, text, length);
}
