/* journal: how large it may become, and what happens when it cannot be written. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/journal_world.h"
#include "support/objects.h"

static char text[WORLD_STATE_SIZE];
static char wanted[WORLD_STATE_SIZE];

static const char *numbered_slice(unsigned number, unsigned version, unsigned address)
{
	char name[32], version_text[32], ip[32];

	snprintf(name, sizeof(name), "slice-%u", number);
	snprintf(version_text, sizeof(version_text), "%u", version);
	snprintf(ip, sizeof(ip), "10.%u.%u.1", address >> 8 & 255, address & 255);
	return text_slice(name, "web", version_text, ip);
}

static void list_many(struct process *process, unsigned count, const char *version)
{
	struct reflector_sink sink = journal_sink(&process->collections[WORLD_SLICES]);
	const char *const none[] = {NULL};

	process_list(process, WORLD_SLICES, version, none);
	for (unsigned i = 0; i < count; i++)
		process_upsert(process, WORLD_SLICES, numbered_slice(i, 1000 + i, i));
	sink.advance(sink.ctx, version);
}

static void expect_restored(struct memory_journal *memory, const char *state)
{
	struct process process;

	process_start(&process, memory, WORLD_CONFIG);
	process_describe(&process, text);
	process_kill(&process);
	assert_string_equal(text, state);
}

/* Many changes of few objects: the file stays near twice what is alive, and is rewritten no more
 * often than that needs. */
static void test_it_is_rewritten_when_most_of_it_is_history(void **state)
{
	struct memory_journal memory;
	struct process process;
	size_t written = 0;
	unsigned begins;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	list_many(&process, 100, "900");
	journal_flush(process.journal);
	for (unsigned i = 0; i < 30000; i++) {
		size_t before = memory.bytes.length;

		begins = memory.begins;
		process_upsert(&process, WORLD_SLICES, numbered_slice(i % 100, 2000 + i, i));
		journal_flush(process.journal);
		assert_in_range(memory.bytes.length, 1, 2 * 100 * 128 + JOURNAL_SLACK);
		if (memory.begins == begins) {
			written += memory.bytes.length - before;
			continue;
		}
		assert_in_range(before, JOURNAL_SLACK, SIZE_MAX);
		process_describe(&process, wanted);
		expect_restored(&memory, wanted);
	}
	assert_in_range(memory.begins, 2, 1 + written / JOURNAL_SLACK);
	process_describe(&process, wanted);
	process_kill(&process);
	expect_restored(&memory, wanted);
	memory_journal_free(&memory);
}

/* A list as large as what it replaces is no reason by itself. */
static void test_a_list_counts_as_alive(void **state)
{
	struct memory_journal memory;
	struct process process;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	journal_note_heard(process.journal, 5);
	journal_flush(process.journal);
	for (unsigned i = 0; i < 200; i++) {
		list_many(&process, 20, "900");
		journal_flush(process.journal);
	}
	assert_int_equal(memory.begins, 1);
	process_kill(&process);
	memory_journal_free(&memory);
}

/* Too large for one append: killed in between, the list is not there at all. */
static void test_a_large_list_is_appended_in_chunks(void **state)
{
	struct memory_journal memory;
	struct process process;
	const char *items[2001] = {NULL};
	static char names[2000][512];
	unsigned appends;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	process_list(&process, WORLD_SLICES, "5", items);
	journal_flush(process.journal);
	process_describe(&process, wanted);
	appends = memory.appends;
	for (unsigned i = 0; i < 2000; i++) {
		char name[200];

		/* Names of some length, so that few objects make many bytes. */
		snprintf(name, sizeof(name), "%0150u", i);
		snprintf(names[i], sizeof(names[i]), "%s",
			 text_slice(name, "web", "6", "10.0.0.1"));
		items[i] = names[i];
	}
	process_list(&process, WORLD_SLICES, "7", items);
	assert_in_range(memory.appends, appends + 1, appends + 3);
	process_kill(&process);
	expect_restored(&memory, wanted);
	memory_journal_free(&memory);
}

static void expect_given_up(struct memory_journal *memory, struct process *process)
{
	unsigned appends = memory->appends;

	assert_int_equal(memory->discards, 1);
	assert_int_equal(memory->bytes.length, 0);
	assert_non_null(strstr(process->logged.data, "given up"));
	buffer_clear(&process->logged);
	/* The store goes on as if nothing had happened. */
	process_upsert(process, WORLD_SLICES, text_slice("z", "web", "500", "10.9.9.9"));
	process_bookmark(process, WORLD_SLICES, "501");
	journal_note_denied(&process->collections[WORLD_SERVICES]);
	journal_note_heard(process->journal, 77);
	journal_flush(process->journal);
	assert_non_null(store_scope_find(process->scopes[WORLD_SLICES], "demo", "z"));
	assert_int_equal(memory->appends, appends);
	assert_int_equal(memory->discards, 1);
	assert_string_equal(process->logged.data, "");
}

static void test_a_full_disk_ends_it_at_any_byte(void **state)
{
	static const char *const none[] = {NULL};

	(void)state;
	for (size_t size = 1; size < 400; size++) {
		struct memory_journal memory;
		struct process process;

		memory_journal_init(&memory);
		memory.disk_size = size;
		process_start(&process, &memory, WORLD_CONFIG);
		process_list(&process, WORLD_SLICES, "10", none);
		journal_flush(process.journal);
		for (unsigned i = 0; i < 10 && !memory.discards; i++) {
			process_upsert(&process, WORLD_SLICES, numbered_slice(i, 20 + i, i));
			journal_flush(process.journal);
		}
		expect_given_up(&memory, &process);
		process_kill(&process);
		expect_restored(&memory, "/services? listed 0 denied 0 version \n"
					 "/slices?labelSelector=a listed 0 denied 0 version \n"
					 "/endpoints? listed 0 denied 0 version \n");
		memory_journal_free(&memory);
	}
}

/* Also what the last writer left goes away: it is older than the table from now on. */
static void test_a_file_that_cannot_be_begun_leaves_no_old_one(void **state)
{
	static const int errors[][2] = {{-EROFS, 0}, {0, -EIO}};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct memory_journal memory;
		struct process process;

		memory_journal_init(&memory);
		process_start(&process, &memory, WORLD_CONFIG);
		list_many(&process, 3, "10");
		journal_flush(process.journal);
		process_kill(&process);
		memory.begin_error = errors[i][0];
		memory.commit_error = errors[i][1];
		process_start(&process, &memory, WORLD_CONFIG);
		assert_int_equal(process.restored, 1);
		process_bookmark(&process, WORLD_SLICES, "2000");
		journal_flush(process.journal);
		expect_given_up(&memory, &process);
		process_kill(&process);
		memory_journal_free(&memory);
	}
}

static int refuse(void *ctx, struct object *object)
{
	(void)ctx;
	(void)object;
	return -ENOMEM;
}

/* The store may have lost the old version: no snapshot may then say that it is a state. */
static void test_what_the_store_could_not_take_is_listed_anew(void **state)
{
	struct memory_journal memory;
	struct process process;
	struct journal_collection *slices = &process.collections[WORLD_SLICES];
	struct object object = {.kind = OBJECT_ENDPOINT_SLICE, .namespace = "demo", .name = "a"};
	struct reflector_sink sink;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	list_many(&process, 3, "10");
	journal_flush(process.journal);
	process_describe(&process, wanted);
	slices->store_sink.upsert = refuse;
	sink = journal_sink(slices);
	assert_int_equal(sink.upsert(sink.ctx, &object), -ENOMEM);
	journal_flush(process.journal);
	assert_false(slices->listed);
	process_kill(&process);
	/* The file still has the state before. */
	expect_restored(&memory, wanted);
	memory_journal_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_rewritten_when_most_of_it_is_history),
		cmocka_unit_test(test_a_list_counts_as_alive),
		cmocka_unit_test(test_a_large_list_is_appended_in_chunks),
		cmocka_unit_test(test_a_full_disk_ends_it_at_any_byte),
		cmocka_unit_test(test_a_file_that_cannot_be_begun_leaves_no_old_one),
		cmocka_unit_test(test_what_the_store_could_not_take_is_listed_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
