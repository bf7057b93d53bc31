/* journal: records with a right checksum that no writer would have written end the reading. */
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
#include "sync/bytes.h"
#include "sync/journal_format.h"

#define SALT 99u

static struct memory_journal memory;
static struct buffer file;
static struct buffer payload;

static void frame(enum journal_record_type type)
{
	assert_int_equal(journal_frame(&file, SALT, type, payload.data, payload.length), 0);
	buffer_clear(&payload);
}

static void number(uint64_t value)
{
	assert_int_equal(bytes_append_number(&payload, value), 0);
}

static void word(const char *value)
{
	assert_int_equal(bytes_append_text(&payload, value), 0);
}

static void header(void)
{
	struct journal_header it = {JOURNAL_MAGIC, JOURNAL_LAYOUT, WORLD_CONFIG, SALT};

	assert_int_equal(buffer_append(&payload, &it, sizeof(it)), 0);
	frame(JOURNAL_HEADER);
}

static void collection(uint64_t named, enum object_kind kind, const char *key)
{
	number(named);
	number(kind);
	word(key);
	frame(JOURNAL_COLLECTION);
}

static void of(enum journal_record_type type, uint64_t named)
{
	number(named);
	frame(type);
}

static void list_end(uint64_t named, const char *version)
{
	number(named);
	word(version);
	frame(JOURNAL_LIST_END);
}

/* An Endpoints object without subsets. */
static void object(enum journal_record_type type, uint64_t named, const char *name,
		   const char *version)
{
	number(named);
	word("demo");
	word(name);
	word(version);
	number(0);
	number(0);
	frame(type);
}

static void deletion(uint64_t named, const char *version, const char *name)
{
	number(named);
	word(version);
	word("demo");
	word(name);
	frame(JOURNAL_DELETE);
}

/* A good journal: object "a" at version 10. What is appended next is what is tried. */
static int setup(void **state)
{
	(void)state;
	memory_journal_init(&memory);
	buffer_append_text(&payload, "");
	header();
	collection(1, OBJECT_ENDPOINTS, "/endpoints?");
	of(JOURNAL_LIST_BEGIN, 1);
	object(JOURNAL_LIST_ITEM, 1, "a", "9");
	list_end(1, "10");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	memory_journal_free(&memory);
	buffer_free(&file);
	buffer_free(&payload);
	return 0;
}

static void start(struct process *process)
{
	memory_journal_set(&memory, file.data, file.length);
	process_start(process, &memory, WORLD_CONFIG);
}

/* Version and names of the Endpoints that are restored. */
static void expect(const char *version, bool a, bool b)
{
	struct process process;

	start(&process);
	assert_string_equal(process.collections[WORLD_ENDPOINTS].version, version);
	assert_int_equal(process.restored, 1);
	assert_int_equal(store_scope_find(process.scopes[WORLD_ENDPOINTS], "demo", "a") != NULL, a);
	assert_int_equal(store_scope_find(process.scopes[WORLD_ENDPOINTS], "demo", "b") != NULL, b);
	process_kill(&process);
}

/* Tries what was appended; a good event after it must not count. */
static void expect_refused(const char *what)
{
	print_message("%s\n", what);
	object(JOURNAL_PUT, 1, "b", "12");
	expect("10", true, false);
	teardown(NULL);
	setup(NULL);
}

static void test_good_records_count(void **state)
{
	(void)state;
	expect("10", true, false);
	object(JOURNAL_PUT, 1, "b", "11");
	expect("11", true, true);
	deletion(1, "12", "a");
	expect("12", false, true);
	of(JOURNAL_LIST_BEGIN, 1);
	expect("12", false, true);
	object(JOURNAL_LIST_ITEM, 1, "a", "13");
	expect("12", false, true);
	list_end(1, "14");
	expect("14", true, false);
}

static void test_a_record_out_of_place_ends_it(void **state)
{
	(void)state;
	header();
	expect_refused("a second header");
	object(JOURNAL_LIST_ITEM, 1, "b", "11");
	expect_refused("an item without a list");
	list_end(1, "11");
	expect_refused("an end without a list");
	of(JOURNAL_LIST_BEGIN, 1);
	of(JOURNAL_LIST_BEGIN, 1);
	list_end(1, "11");
	expect_refused("a list in a list");
	of(JOURNAL_LIST_BEGIN, 1);
	object(JOURNAL_PUT, 1, "b", "11");
	list_end(1, "12");
	expect_refused("an event in a list");
	of(JOURNAL_LIST_BEGIN, 1);
	collection(2, OBJECT_SERVICE, "/services?");
	list_end(1, "12");
	expect_refused("a collection in a list");
	of(JOURNAL_LIST_BEGIN, 1);
	of(JOURNAL_HEARD, 7);
	list_end(1, "12");
	expect_refused("contact in a list");
	collection(2, OBJECT_SERVICE, "/services?");
	of(JOURNAL_LIST_BEGIN, 1);
	list_end(2, "12");
	expect_refused("the end of another list");
	collection(2, OBJECT_SERVICE, "/services?");
	deletion(2, "12", "a");
	expect_refused("an event before a list");
	of(JOURNAL_DENIED, 1);
	expect_refused("a refusal of what was listed");
}

static void test_a_wrong_number_ends_it(void **state)
{
	(void)state;
	object(JOURNAL_PUT, 0, "b", "11");
	expect_refused("number 0");
	object(JOURNAL_PUT, 2, "b", "11");
	expect_refused("a number that was not given");
	object(JOURNAL_PUT, UINT64_MAX, "b", "11");
	expect_refused("a huge number");
	collection(1, OBJECT_SERVICE, "/services?");
	expect_refused("a number that was given");
	collection(3, OBJECT_SERVICE, "/services?");
	expect_refused("a number that is left out");
	collection(2, (enum object_kind)3, "/services?");
	expect_refused("a kind that is none");
}

static void test_a_wrong_payload_ends_it(void **state)
{
	static char long_key[JOURNAL_KEY_LIMIT + 2];
	static char long_version[RESOURCE_VERSION_SIZE + 1];

	(void)state;
	memset(long_key, 'k', sizeof(long_key) - 1);
	memset(long_version, '1', sizeof(long_version) - 1);
	collection(2, OBJECT_SERVICE, long_key);
	expect_refused("a long key");
	object(JOURNAL_PUT, 1, "b", "");
	expect_refused("an event without a version");
	object(JOURNAL_PUT, 1, "b", "1 1");
	expect_refused("a version with a space");
	object(JOURNAL_PUT, 1, "b", long_version);
	expect_refused("a long version");
	object(JOURNAL_PUT, 1, "B", "11");
	expect_refused("an illegal name");
	deletion(1, "", "a");
	expect_refused("a deletion without a version");
	deletion(1, "1\x7f", "a");
	expect_refused("a version with a control character");
	of(JOURNAL_LIST_BEGIN, 1);
	list_end(1, "1 1");
	expect_refused("a list version with a space");
	number(1);
	word("");
	frame(JOURNAL_VERSION);
	expect_refused("no version");
	number(1);
	word("11");
	number(0);
	frame(JOURNAL_VERSION);
	expect_refused("bytes left over");
	frame(JOURNAL_VERSION);
	expect_refused("no bytes at all");
	of(JOURNAL_HEARD + 1, 1);
	expect_refused("an unknown type");
	of(0, 1);
	expect_refused("type 0");
}

static void test_a_huge_record_is_not_read(void **state)
{
	struct journal_record record = {.length = UINT32_MAX, .type = JOURNAL_PUT};

	(void)state;
	buffer_append(&file, &record, sizeof(record));
	expect("10", true, false);
	teardown(NULL);
	setup(NULL);
	record.length = JOURNAL_PAYLOAD_LIMIT + 1;
	buffer_append(&file, &record, sizeof(record));
	expect_refused("one byte too many");
}

/* The configuration is the same, but what it asks for may be found another way. */
static void test_a_collection_that_nobody_asks_for_is_passed_over(void **state)
{
	(void)state;
	collection(2, OBJECT_ENDPOINTS, "/gone?");
	of(JOURNAL_DENIED, 2);
	of(JOURNAL_LIST_BEGIN, 2);
	object(JOURNAL_LIST_ITEM, 2, "b", "20");
	list_end(2, "21");
	object(JOURNAL_PUT, 2, "b", "22");
	deletion(2, "23", "a");
	object(JOURNAL_PUT, 1, "b", "11");
	expect("11", true, true);
}

static void test_a_list_that_is_cut_leaves_the_one_before(void **state)
{
	(void)state;
	of(JOURNAL_LIST_BEGIN, 1);
	object(JOURNAL_LIST_ITEM, 1, "b", "11");
	expect("10", true, false);
}

static void test_a_refused_collection_is_told_of_once_it_is_found(void **state)
{
	struct process process;

	(void)state;
	collection(2, OBJECT_SERVICE, "/services?");
	of(JOURNAL_DENIED, 2);
	start(&process);
	assert_int_equal(process.denied, 1);
	assert_true(process.collections[WORLD_SERVICES].denied);
	assert_int_equal(process.restored, 2);
	process_kill(&process);
}

static void test_random_bytes_are_nothing(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct process process;

		buffer_clear(&file);
		for (unsigned i = 0; i < round * 8; i++) {
			uint64_t value = random *= 6364136223846793005ULL;

			buffer_append(&file, &value, sizeof(value));
		}
		start(&process);
		assert_int_equal(process.restored, 0);
		process_kill(&process);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good_records_count),
		TEST(test_a_record_out_of_place_ends_it),
		TEST(test_a_wrong_number_ends_it),
		TEST(test_a_wrong_payload_ends_it),
		TEST(test_a_huge_record_is_not_read),
		TEST(test_a_collection_that_nobody_asks_for_is_passed_over),
		TEST(test_a_list_that_is_cut_leaves_the_one_before),
		TEST(test_a_refused_collection_is_told_of_once_it_is_found),
		TEST(test_random_bytes_are_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
