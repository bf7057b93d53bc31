/* table: the shared segments: made, found, refused, replaced. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/limits.h"
#include "publish/shared_region.h"
#include "base/clock.h"
#include "publish/writer.h"
#include "support/generations.h"
#include "support/objects.h"
#include "support/segments.h"
#include "table/segment.h"
#include "support/assert_op.h"

static uint64_t identity;

static int begin(void **state)
{
	(void)state;
	identity = segments_identity();
	return 0;
}

static int end(void **state)
{
	(void)state;
	segments_remove(identity);
	return 0;
}

static size_t class_size(unsigned class)
{
	return TABLE_HEADER_SIZE + TABLE_ARENAS * segment_arena(class);
}

/* Something else in the place of the table's segment. */
static int put_in_place(const struct segment *segment, size_t size, int mode)
{
	int id;

	assert_int_equal(shmctl(segment->id, IPC_RMID, NULL), 0);
	id = shmget(segment->key, size, IPC_CREAT | IPC_EXCL | mode);
	assert_op(id, >=, 0);
	return id;
}

static struct table_header *attach_raw(int id)
{
	struct table_header *header = shmat(id, NULL, 0);

	assert_op((intptr_t)header, !=, -1);
	return header;
}

static unsigned attached_count(int id)
{
	struct shmid_ds status;

	assert_int_equal(shmctl(id, IPC_STAT, &status), 0);
	return (unsigned)status.shm_nattch;
}

static void test_none(void **state)
{
	struct table_view view;
	unsigned class;

	(void)state;
	assert_int_equal(segment_attach(identity, 0, &view), -ENOENT);
	assert_int_equal(segment_attach_newest(identity, &view, &class), -ENOENT);
}

static void test_what_one_writes_another_reads(void **state)
{
	struct table_writer *writer;
	struct table_view view;
	struct table_read read;
	unsigned class;

	(void)state;
	assert_int_equal(table_writer_new(identity, &writer), 0);
	assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
	assert_int_equal(table_read_begin(&view, &read), -ENODATA);
	generation_publish(writer, 1);
	assert_int_equal(table_read_begin(&view, &read), 0);
	assert_int_equal(read.generation, 1);
	segment_detach(&view);
	table_writer_free(writer);
}

/* A reader's mapping cannot be written through, nor is the writer's one there in a child. */
static void test_who_may_write(void **state)
{
	struct region region;
	struct table_view view;
	int status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(region_own(identity, 0, &region), 0);
	assert_int_equal(segment_attach(identity, 0, &view), 0);
	for (int i = 0; i < 3; i++) {
		const void *const places[] = {view.header, region.view.header, region.writable};

		child = fork();
		assert_op(child, >=, 0);
		if (child == 0) {
			volatile uint64_t *word = (volatile uint64_t *)(uintptr_t)places[i];

			signal(SIGSEGV, SIG_DFL);
			*word = 0;
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
	segment_detach(&view);
	shmdt(region.writable);
	segment_detach(&region.view);
}

static void test_two_identities_are_two_tables(void **state)
{
	uint64_t other = segments_identity();
	struct table_writer *writers[2];
	struct table_view view;
	unsigned class;

	(void)state;
	assert_int_equal(table_writer_new(identity, &writers[0]), 0);
	assert_int_equal(table_writer_new(other, &writers[1]), 0);
	generation_publish(writers[0], 1);
	generation_publish(writers[1], 1);
	generation_publish(writers[1], 2);
	assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
	assert_int_equal(view.header->current >> 8, 1);
	segment_detach(&view);
	table_writer_free(writers[0]);
	table_writer_free(writers[1]);
	segments_remove(other);
}

/* Their keys are 31 bits of a hash: the second table is then not shared, and does no harm. */
static void test_a_key_that_another_table_has(void **state)
{
	struct segment segment = segments_make(identity, 0);
	struct table_header *header = attach_raw(segment.id);
	struct table_view view;

	(void)state;
	header->identity = identity + 1;
	assert_int_equal(segment_attach(identity, 0, &view), -EBADMSG);
	header->identity = identity;
	assert_int_equal(segment_attach(identity, 0, &view), 0);
	segment_detach(&view);
	shmdt(header);
}

/* What others may write to is neither read nor replaced. */
static void test_rights_of_others(void **state)
{
	static const int modes[] = {0666, 0660, 0644, 0604, 0606};

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct segment segment = segments_make(identity, 0);
		int id = put_in_place(&segment, class_size(0), modes[i]);
		struct table_writer *writer;
		struct table_view view;
		struct region region;

		assert_int_equal(segment_attach(identity, 0, &view), -EPERM);
		assert_int_equal(region_own(identity, 0, &region), -EPERM);
		assert_int_equal(table_writer_new(identity, &writer), -EPERM);
		assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	}
}

struct wrong {
	const char *what;
	size_t size; /* 0: the right one */
	size_t at;   /* of the word in the header that is wrong */
	uint64_t word;
};

#define AT(member) offsetof(struct table_header, member)

/* Our own, but no table of this layout: not read, and replaced by the writer. */
static void test_what_is_no_table_is_replaced(void **state)
{
	static const struct wrong wrongs[] = {
		{"too small", 4096, AT(magic), TABLE_MAGIC},
		{"one byte", 1, AT(magic), 0},
		{"another magic", 0, AT(magic), TABLE_MAGIC + 1},
		{"the next layout", 0, AT(version),
		 (uint64_t)TABLE_ARENAS << 32 | (TABLE_VERSION + 1)},
		{"more arenas", 0, AT(version), (uint64_t)200 << 32 | TABLE_VERSION},
		{"smaller arenas", 0, AT(arena_size), 4096},
		{"larger arenas", 0, AT(arena_size), 1 << 30},
		{"no arenas", 0, AT(arena_size), 0},
		{"arenas of any size", 0, AT(arena_size), UINT64_MAX},
		{"another identity", 0, AT(identity), 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const struct wrong *wrong = &wrongs[i];
		struct segment segment = segments_make(identity, 0);
		int id = wrong->size ? put_in_place(&segment, wrong->size, 0600) : segment.id;
		struct table_header *header = attach_raw(id);
		struct table_writer *writer;
		struct table_view view;
		struct table_read read;
		unsigned class;

		print_message("%s\n", wrong->what);
		memcpy((unsigned char *)header + wrong->at, &wrong->word, sizeof(wrong->word));
		assert_int_equal(segment_attach(identity, 0, &view), -EBADMSG);
		assert_int_equal(table_writer_new(identity, &writer), 0);
		generation_publish(writer, 1);
		assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
		assert_int_equal(table_read_begin(&view, &read), 0);
		segment_detach(&view);
		table_writer_free(writer);
		shmdt(header);
		segments_remove(identity);
	}
}

/* A writer that died before its first publish, or over any of it, leaves what the next one takes.
 */
static void test_any_header_is_taken_over(void **state)
{
	static const uint64_t currents[] = {
		0, 1, 1 << 8 | 3, 5 << 8 | 255, UINT64_MAX, 7 << 8 | 2, UINT64_MAX << 8 | 2,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(currents) / sizeof(currents[0]); i++) {
		struct segment segment = segments_make(identity, 0);
		struct table_header *header = attach_raw(segment.id);
		struct table_writer *writer;
		struct table_view view;
		struct table_read read;
		unsigned class;

		header->current = currents[i];
		header->state = UINT32_MAX;
		header->moved = i % 2 ? UINT32_MAX : 0;
		memset(header->parts_heard_ms, 0xff, sizeof(header->parts_heard_ms));
		assert_int_equal(table_writer_new(identity, &writer), 0);
		generation_put(writer, 1);
		assert_int_equal(table_writer_publish(writer), 0);
		assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
		assert_int_equal(table_read_begin(&view, &read), 0);
		assert_false(table_has_moved(&view));
		segment_detach(&view);
		table_writer_free(writer);
		shmdt(header);
		assert_int_equal(attached_count(segment.id), 0);
		segments_remove(identity);
	}
}

/* What the next writer goes by: that of the table, whoever began, until one has published. */
static void test_lists_that_nobody_finished_are_counted(void **state)
{
	uint64_t before_ms = clock_monotonic_ms();
	struct table_writer *writer;
	struct table_view view;
	unsigned class;

	(void)state;
	for (uint64_t writers = 1; writers <= 3; writers++) {
		assert_int_equal(table_writer_new(identity, &writer), 0);
		table_writer_begin_lists(writer);
		assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
		assert_int_equal(view.header->lists_unfinished, writers);
		assert_in_range(view.header->lists_begun_ms, before_ms, clock_monotonic_ms());
		if (writers == 3)
			generation_publish(writer, 1);
		assert_int_equal(view.header->lists_unfinished, writers == 3 ? 0 : writers);
		segment_detach(&view);
		table_writer_free(writer);
	}
}

/* ipcrm: with the next change those who have it are led to another one, which all can find. */
static void test_removed_while_in_use(void **state)
{
	struct segment segment = segments_make(identity, 0);
	struct table_writer *writer;
	struct table_view old;
	struct table_view view;
	struct table_read read;
	unsigned class;

	(void)state;
	assert_int_equal(table_writer_new(identity, &writer), 0);
	generation_publish(writer, 1);
	assert_int_equal(segment_attach_newest(identity, &old, &class), 0);
	assert_int_equal(shmctl(segment.id, IPC_RMID, NULL), 0);
	assert_int_equal(segment_attach(identity, 0, &view), -ENOENT);
	assert_int_equal(table_read_begin(&old, &read), 0);
	generation_publish(writer, 2);
	assert_true(table_has_moved(&old));
	for (uint64_t generation = 3; generation < 6; generation++) {
		generation_publish(writer, generation);
		assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
		assert_int_equal(class, 1);
		assert_int_equal(table_read_begin(&view, &read), 0);
		assert_int_equal(read.generation, generation);
		segment_detach(&view);
	}
	segment_detach(&old);
	table_writer_free(writer);

	/* Where the next one goes on. */
	assert_int_equal(table_writer_new(identity, &writer), 0);
	assert_int_equal(table_writer_size(writer).generation, 5);
	table_writer_free(writer);
}

/* From the first class over two others to the fourth: readers find their way, also when some of the
 * segments were there before, with anything in them. */
static void test_growth(void **state)
{
	static const unsigned bulks[] = {5000, 50000, 400000};
	struct table_writer *writer;
	struct table_view view;
	struct table_view first;
	struct table_read read;
	struct segment segment;
	unsigned class;

	(void)state;
	for (unsigned old = 0; old < 2; old++) {
		uint64_t generation = 1;

		assert_int_equal(table_writer_new(identity, &writer), 0);
		generation_publish(writer, generation);
		assert_int_equal(segment_attach_newest(identity, &first, &class), 0);
		assert_int_equal(class, 0);
		for (unsigned i = old ? 2 : 0; i < 3; i++) {
			generation_put_bulk(writer, bulks[i]);
			generation_publish(writer, ++generation);
			assert_true(table_has_moved(&first));
			assert_int_equal(segment_attach_newest(identity, &view, &class), 0);
			assert_int_equal(class, i + 1);
			assert_false(table_has_moved(&view));
			assert_int_equal(table_read_begin(&view, &read), 0);
			assert_int_equal(read.generation, generation);
			segment_detach(&view);
		}
		segment_detach(&first);
		table_writer_free(writer);
		segment = segments_make(identity, 0);
		/* Gone alone: the writer begins there again, and finds the others. */
		assert_int_equal(shmctl(segment.id, IPC_RMID, NULL), 0);
	}
}

/* The largest table there is, and then no more. */
static void test_too_much(void **state)
{
	struct table_writer *writer;
	struct selection more;

	(void)state;
	assert_int_equal(table_writer_new(identity, &writer), 0);
	generation_put(writer, 1);
	generation_put_bulk(writer, LIMIT_TABLE_ENDPOINTS - table_writer_size(writer).endpoints);
	test_selection(&more, "10.97.0.2", 80, "10.1.0.0", 1, 8080);
	assert_int_equal(table_writer_put(writer, "demo", "more", &more), -E2BIG);
	selection_clear(&more);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(table_writer_size(writer).endpoints, LIMIT_TABLE_ENDPOINTS);
	table_writer_free(writer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_none),
		TEST(test_what_one_writes_another_reads),
		TEST(test_who_may_write),
		TEST(test_two_identities_are_two_tables),
		TEST(test_a_key_that_another_table_has),
		TEST(test_rights_of_others),
		TEST(test_what_is_no_table_is_replaced),
		TEST(test_any_header_is_taken_over),
		TEST(test_lists_that_nobody_finished_are_counted),
		TEST(test_removed_while_in_use),
		TEST(test_growth),
		TEST(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
