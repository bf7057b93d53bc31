/* journal: what one process noted is what the next one has; nothing else is ever believed. */
// SPDX-License-Identifier: Apache-2.0
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
#include "sync/journal_format.h"

#define HEARD_S 1699999999u

static const char *const nothing[] = {NULL};

static void list_services(struct process *process)
{
	const char *const items[] = {text_service("web", "90", "10.96.0.1"),
				     text_service("db", "91", "None"), NULL};

	process_list(process, WORLD_SERVICES, "100", items);
}

static void list_slices(struct process *process)
{
	const char *const items[] = {text_slice("a", "web", "80", "10.1.0.1 10.1.0.2"),
				     text_slice("b", "db", "81", ""), NULL};

	process_list(process, WORLD_SLICES, "101", items);
}

static void relist_slices(struct process *process)
{
	const char *const items[] = {text_slice("a", "web", "106", "10.1.0.7"),
				     text_slice("d", "web", "107", "10.1.0.8"), NULL};

	process_list(process, WORLD_SLICES, "110", items);
}

/* Each step is one event of the server. */
static void step(struct process *process, unsigned number)
{
	switch (number) {
	case 0:
		journal_note_heard(process->journal, HEARD_S);
		break;
	case 1:
		list_services(process);
		break;
	case 2:
		list_slices(process);
		break;
	case 3:
		process_upsert(process, WORLD_SLICES, text_slice("a", "web", "102", "10.1.0.3"));
		break;
	case 4:
		process_upsert(process, WORLD_SLICES, text_slice("c", "web", "103", "10.1.0.4"));
		break;
	case 5:
		process_remove(process, WORLD_SLICES, "104", "b");
		break;
	case 6:
		process_bookmark(process, WORLD_SERVICES, "105");
		break;
	case 7:
		relist_slices(process);
		break;
	case 8:
		process_upsert(process, WORLD_SERVICES, text_service("db", "111", "10.96.0.2"));
		break;
	case 9:
		journal_note_denied(&process->collections[WORLD_ENDPOINTS]);
		break;
	case 10:
		/* Of a Service that nobody asks for any more: as if it were deleted. */
		process_upsert(process, WORLD_SLICES, text_slice("d", "other", "112", "10.1.0.9"));
		break;
	case 11:
		process_list(process, WORLD_ENDPOINTS, "", nothing);
		break;
	case 12:
		process_list(process, WORLD_SLICES, "120", nothing);
		break;
	}
}

#define STEPS 13u

static char states[STEPS][WORLD_STATE_SIZE];
static char text[WORLD_STATE_SIZE];

/* Runs all steps, each in a round of its own, and notes the state after each. */
static void write_all(struct memory_journal *memory)
{
	struct process process;

	memory_journal_init(memory);
	process_start(&process, memory, WORLD_CONFIG);
	assert_int_equal(process.restored, 0);
	for (unsigned i = 0; i < STEPS; i++) {
		step(&process, i);
		journal_flush(process.journal);
		process_describe(&process, states[i]);
	}
	assert_string_equal(process.logged.data, "");
	assert_int_equal(memory->begins, 1);
	process_kill(&process);
}

/* The step after which the state was as it is restored now; fails when there is none. */
static unsigned restored_step(struct memory_journal *memory)
{
	struct process process;

	process_start(&process, memory, WORLD_CONFIG);
	process_describe(&process, text);
	process_kill(&process);
	for (unsigned i = 0; i < STEPS; i++) {
		if (strcmp(states[i], text) == 0)
			return i;
	}
	fail_msg("never a state:\n%s", text);
	return 0;
}

static void test_the_next_process_has_what_the_last_one_noted(void **state)
{
	struct memory_journal memory;
	struct process process;

	(void)state;
	write_all(&memory);
	assert_int_equal(restored_step(&memory), STEPS - 1);
	process_start(&process, &memory, WORLD_CONFIG);
	assert_int_equal(process.restored, WORLD_COLLECTIONS);
	assert_int_equal(process.heard_s, HEARD_S);
	assert_int_equal(process.denied, 1);
	process_kill(&process);
	memory_journal_free(&memory);
}

static void test_a_step_is_one_append(void **state)
{
	struct memory_journal memory;
	struct process process;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	for (unsigned i = 0; i < STEPS; i++) {
		step(&process, i);
		journal_flush(process.journal);
		assert_int_equal(memory.appends, i + 1);
		journal_flush(process.journal);
		assert_int_equal(memory.appends, i + 1);
	}
	process_kill(&process);
	memory_journal_free(&memory);
}

static void test_cut_at_every_byte_it_is_an_earlier_state(void **state)
{
	struct memory_journal memory;
	unsigned before = 0;
	size_t size;

	(void)state;
	write_all(&memory);
	size = memory.bytes.length;
	for (size_t i = 0; i <= size; i++) {
		unsigned now;

		memory.bytes.length = i;
		now = restored_step(&memory);
		assert_in_range(now, before, before + 1);
		before = now;
	}
	assert_int_equal(before, STEPS - 1);
	memory_journal_free(&memory);
}

static void test_read_in_pieces_it_is_the_same(void **state)
{
	struct memory_journal memory;

	(void)state;
	write_all(&memory);
	for (memory.read_step = 1; memory.read_step < 64; memory.read_step++)
		assert_int_equal(restored_step(&memory), STEPS - 1);
	memory_journal_free(&memory);
}

static void test_a_changed_bit_ends_it(void **state)
{
	struct memory_journal memory;
	unsigned before = 0;

	(void)state;
	write_all(&memory);
	for (size_t i = 0; i < memory.bytes.length; i++) {
		unsigned bit = (unsigned)i % 8;
		unsigned now;

		memory.bytes.data[i] = (char)(memory.bytes.data[i] ^ 1 << bit);
		now = restored_step(&memory);
		memory.bytes.data[i] = (char)(memory.bytes.data[i] ^ 1 << bit);
		assert_in_range(now, before, before + 1);
		assert_in_range(now, 0, STEPS - 2);
		before = now;
	}
	assert_int_equal(before, STEPS - 2);
	memory_journal_free(&memory);
}

/* A journal of records that nobody would have written, each with its right checksum. */
static void patch_header(struct memory_journal *memory, size_t offset, uint64_t value)
{
	struct journal_record record;
	char *payload = memory->bytes.data + sizeof(record);
	struct journal_header header;

	memcpy(payload + offset, &value, sizeof(value));
	memcpy(&header, payload, sizeof(header));
	memcpy(&record, memory->bytes.data, sizeof(record));
	record.checksum = journal_checksum(header.salt, record.type, payload, record.length);
	memcpy(memory->bytes.data, &record, sizeof(record));
}

static void test_another_header_is_another_journal(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
	} headers[] = {
		{offsetof(struct journal_header, magic), JOURNAL_MAGIC + 1},
		{offsetof(struct journal_header, layout), JOURNAL_LAYOUT + 1},
		{offsetof(struct journal_header, config_hash), WORLD_CONFIG + 1},
		/* The records after it have checksums with the old one. */
		{offsetof(struct journal_header, salt), 5},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct memory_journal memory;

		write_all(&memory);
		patch_header(&memory, headers[i].offset, headers[i].value);
		assert_int_equal(restored_step(&memory), 0);
		memory_journal_free(&memory);
	}
}

static void test_the_salt_of_each_file_is_another_one(void **state)
{
	struct memory_journal memory;
	struct process process;
	uint64_t salts[2];

	(void)state;
	write_all(&memory);
	memcpy(&salts[0],
	       memory.bytes.data + sizeof(struct journal_record) +
		       offsetof(struct journal_header, salt),
	       sizeof(salts[0]));
	process_start(&process, &memory, WORLD_CONFIG);
	journal_note_heard(process.journal, HEARD_S + 9);
	journal_flush(process.journal);
	process_kill(&process);
	memcpy(&salts[1],
	       memory.bytes.data + sizeof(struct journal_record) +
		       offsetof(struct journal_header, salt),
	       sizeof(salts[1]));
	assert_true(salts[0] != salts[1]);
	memory_journal_free(&memory);
}

/* Who takes over has nothing to write until there is news; then all of it goes to a new file. */
static void test_a_new_process_never_appends_to_an_old_file(void **state)
{
	struct memory_journal memory;
	struct process process;
	size_t size;

	(void)state;
	write_all(&memory);
	/* The old writer died in the midst of a write. */
	buffer_append(&memory.bytes, "\x20\x00\x00\x00", 4);
	size = memory.bytes.length;
	process_start(&process, &memory, WORLD_CONFIG);
	journal_flush(process.journal);
	assert_int_equal(memory.begins, 1);
	assert_int_equal(memory.bytes.length, size);
	process_upsert(&process, WORLD_SLICES, text_slice("e", "web", "130", "10.1.0.5"));
	process_upsert(&process, WORLD_SLICES, text_slice("f", "web", "131", "10.1.0.6"));
	journal_flush(process.journal);
	assert_int_equal(memory.begins, 2);
	process_describe(&process, states[0]);
	process_kill(&process);
	process_start(&process, &memory, WORLD_CONFIG);
	process_describe(&process, text);
	assert_string_equal(text, states[0]);
	process_kill(&process);
	memory_journal_free(&memory);
}

/* What was restored is written again: twice the same, also with the mode of a collection. */
static void test_a_snapshot_says_the_same_as_the_events(void **state)
{
	(void)state;
	for (unsigned steps = 1; steps <= STEPS; steps++) {
		struct memory_journal memory;
		struct process process;

		memory_journal_init(&memory);
		process_start(&process, &memory, WORLD_CONFIG);
		for (unsigned i = 0; i < steps; i++) {
			step(&process, i);
			journal_flush(process.journal);
		}
		process_kill(&process);
		process_start(&process, &memory, WORLD_CONFIG);
		journal_note_heard(process.journal, HEARD_S + steps);
		journal_flush(process.journal);
		assert_int_equal(memory.begins, 2);
		process_describe(&process, states[0]);
		process_kill(&process);
		process_start(&process, &memory, WORLD_CONFIG);
		process_describe(&process, text);
		assert_string_equal(text, states[0]);
		if (steps > 1)
			assert_int_equal(process.heard_s, HEARD_S + steps);
		process_kill(&process);
		memory_journal_free(&memory);
	}
}

static void test_a_repeated_second_is_written_once(void **state)
{
	struct memory_journal memory;
	struct process process;

	(void)state;
	memory_journal_init(&memory);
	process_start(&process, &memory, WORLD_CONFIG);
	for (unsigned i = 0; i < 5; i++) {
		journal_note_heard(process.journal, HEARD_S);
		journal_flush(process.journal);
	}
	assert_int_equal(memory.appends, 1);
	journal_note_heard(process.journal, HEARD_S + 1);
	journal_flush(process.journal);
	assert_int_equal(memory.appends, 2);
	process_kill(&process);
	memory_journal_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_next_process_has_what_the_last_one_noted),
		cmocka_unit_test(test_a_step_is_one_append),
		cmocka_unit_test(test_cut_at_every_byte_it_is_an_earlier_state),
		cmocka_unit_test(test_read_in_pieces_it_is_the_same),
		cmocka_unit_test(test_a_changed_bit_ends_it),
		cmocka_unit_test(test_another_header_is_another_journal),
		cmocka_unit_test(test_the_salt_of_each_file_is_another_one),
		cmocka_unit_test(test_a_new_process_never_appends_to_an_old_file),
		cmocka_unit_test(test_a_snapshot_says_the_same_as_the_events),
		cmocka_unit_test(test_a_repeated_second_is_written_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
