// SPDX-License-Identifier: Apache-2.0
#include "support/memory_journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int memory_begin(void *ctx)
{
	struct memory_journal *memory = ctx;

	memory->begins++;
	buffer_clear(&memory->fresh);
	memory->is_fresh = true;
	return memory->begin_error;
}

static int memory_append(void *ctx, const void *data, size_t size)
{
	struct memory_journal *memory = ctx;
	struct buffer *to = memory->is_fresh ? &memory->fresh : &memory->bytes;
	size_t room = memory->disk_size ? memory->disk_size - to->length : SIZE_MAX;

	memory->appends++;
	assert_true(size > 0);
	assert_int_equal(buffer_append(to, data, size < room ? size : room), 0);
	return size <= room ? 0 : -ENOSPC;
}

static int memory_commit(void *ctx)
{
	struct memory_journal *memory = ctx;
	struct buffer old = memory->bytes;

	assert_true(memory->is_fresh);
	if (memory->commit_error)
		return memory->commit_error;
	memory->bytes = memory->fresh;
	memory->fresh = old;
	memory->is_fresh = false;
	return 0;
}

static void memory_discard(void *ctx)
{
	struct memory_journal *memory = ctx;

	memory->discards++;
	buffer_free(&memory->bytes);
	buffer_free(&memory->fresh);
}

static ptrdiff_t memory_read(void *ctx, void *data, size_t size)
{
	struct memory_journal *memory = ctx;
	size_t left = memory->bytes.length - memory->read_at;

	if (left == 0)
		return 0;
	if (size > left)
		size = left;
	if (memory->read_step && size > memory->read_step)
		size = memory->read_step;
	memcpy(data, memory->bytes.data + memory->read_at, size);
	memory->read_at += size;
	return (ptrdiff_t)size;
}

static uint64_t memory_realtime_s(void *ctx)
{
	const struct memory_journal *memory = ctx;

	return memory->realtime_s;
}

void memory_journal_init(struct memory_journal *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->realtime_s = 1700000000;
}

void memory_journal_free(struct memory_journal *memory)
{
	buffer_free(&memory->bytes);
	buffer_free(&memory->fresh);
}

void memory_journal_set(struct memory_journal *memory, const void *bytes, size_t size)
{
	buffer_clear(&memory->bytes);
	if (size > 0)
		assert_int_equal(buffer_append(&memory->bytes, bytes, size), 0);
}

struct journal_options memory_journal_open(struct memory_journal *memory, uint64_t config_hash)
{
	memory->read_at = 0;
	memory->is_fresh = false;
	return (struct journal_options){
		.io =
			{
				.begin = memory_begin,
				.append = memory_append,
				.commit = memory_commit,
				.discard = memory_discard,
				.read = memory_read,
				.realtime_s = memory_realtime_s,
				.ctx = memory,
			},
		.config_hash = config_hash,
	};
}
