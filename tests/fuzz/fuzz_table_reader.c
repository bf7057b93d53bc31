/* Fuzzes the table's reader: the input is the first arena of a table, the first eight bytes aside.
 */
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/table_walk.h"

#define ARENA_SIZE 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Bytes 0..7 become header.current, where generation 0 stands for the generation of the arena, so
 * that most inputs get past the first check. The memory is no larger than the table.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ip_address vip = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 96, 0, 1}};
	size_t table_size = TABLE_HEADER_SIZE + TABLE_ARENAS * ARENA_SIZE;
	struct table_header header = {
		.magic = TABLE_MAGIC,
		.version = TABLE_VERSION,
		.arena_count = TABLE_ARENAS,
		.arena_size = ARENA_SIZE,
	};
	struct table_view view;
	unsigned char *memory;

	if (size < 16)
		return 0;
	memory = calloc(1, table_size);
	if (!memory)
		return 0;
	memcpy(&header.current, data, 8);
	if (header.current >> 8 == 0) {
		uint64_t sequence;

		memcpy(&sequence, data + 8, 8);
		header.current = sequence << 8 | (header.current & 0xff);
	}
	memcpy(memory, &header, sizeof(header));
	data += 8;
	size -= 8;
	memcpy(memory + TABLE_HEADER_SIZE, data, size < ARENA_SIZE ? size : ARENA_SIZE);
	if (table_view_open(memory, table_size, &view) < 0)
		abort();
	table_walk(&view, &vip, 80);
	free(memory);
	return 0;
}
