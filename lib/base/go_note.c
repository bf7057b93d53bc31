// SPDX-License-Identifier: Apache-2.0
#include "base/go_note.h"

#include <elf.h>
#include <string.h>

#define BUILD_ID 4

static const char name[] = "Go\0"; /* four bytes, as a note pads it */

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

bool go_note_is_in(const void *notes, size_t size)
{
	const unsigned char *at = notes;
	Elf64_Nhdr note; /* the same in both classes */

	while (size >= sizeof(note)) {
		size_t length;

		memcpy(&note, at, sizeof(note));
		if (note.n_namesz > size || note.n_descsz > size ||
		    sizeof(note) + padded(note.n_namesz) > size)
			return false;
		if (note.n_type == BUILD_ID && note.n_namesz == sizeof(name) &&
		    memcmp(at + sizeof(note), name, sizeof(name)) == 0)
			return true;
		length = sizeof(note) + padded(note.n_namesz) + padded(note.n_descsz);
		if (length > size)
			return false;
		at += length;
		size -= length;
	}
	return false;
}
