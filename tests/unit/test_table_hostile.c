/* table: a reader survives any bytes in the file. Run under AddressSanitizer to see more. */
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

#include "publish/writer.h"
#include "support/objects.h"
#include "support/table_walk.h"
#include "table/keys.h"

/* Small arenas in memory of exactly their size, so that a read beyond them is seen. */
#define ARENA_SIZE 8192u
#define TABLE_SIZE (TABLE_HEADER_SIZE + TABLE_ARENAS * ARENA_SIZE)

static unsigned char *memory;
static unsigned char pristine[TABLE_SIZE];
static struct table_view view;
static struct ip_address vip;

static struct table_header *header(void)
{
	return (struct table_header *)(void *)memory;
}

static struct table_snapshot *snapshot(void)
{
	return (struct table_snapshot *)(void *)(memory + TABLE_HEADER_SIZE);
}

static void reset(void)
{
	memcpy(memory, pristine, TABLE_SIZE);
}

/* A good table with a few Services, copied into arena 0 of a small one. */
static int group_setup(void **state)
{
	struct table_header good = {
		.magic = TABLE_MAGIC,
		.version = TABLE_VERSION,
		.arena_count = TABLE_ARENAS,
		.arena_size = ARENA_SIZE,
		.current = 1 << 8,
	};
	struct table_writer *writer;
	const struct table_view *from;

	(void)state;
	vip = ip_of("10.96.0.1");
	assert_int_equal(table_writer_new(0, &writer), 0);
	for (unsigned i = 0; i < 12; i++) {
		struct selection selection;
		char name[16], address[16];

		snprintf(name, sizeof(name), i ? "web-%u" : "web", i);
		snprintf(address, sizeof(address), "10.96.0.%u", i + 1);
		test_selection(&selection, i % 4 == 3 ? NULL : address, 80, "10.1.0.1", i, 8080);
		assert_int_equal(table_writer_put(writer, "demo", name, &selection), 1);
		selection_clear(&selection);
	}
	assert_int_equal(table_writer_publish(writer), 0);
	assert_in_range(table_writer_size(writer).bytes, 1, ARENA_SIZE);
	from = table_writer_view(writer);
	memcpy(pristine, &good, sizeof(good));
	memcpy(pristine + TABLE_HEADER_SIZE,
	       (const unsigned char *)from->header + TABLE_HEADER_SIZE, ARENA_SIZE);
	table_writer_free(writer);
	memory = malloc(TABLE_SIZE);
	assert_non_null(memory);
	reset();
	assert_int_equal(table_view_open(memory, TABLE_SIZE, &view), 0);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static enum pick_result find_vip(void)
{
	struct found_port found;

	return pick_find(&view, &vip, 80, PROTOCOL_TCP, &found);
}

static const uint64_t interesting[] = {
	0,
	1,
	2,
	7,
	8,
	9,
	0x7f,
	0x80,
	0xff,
	0x100,
	0xfff,
	0x1000,
	ARENA_SIZE - 8,
	ARENA_SIZE - 1,
	ARENA_SIZE,
	ARENA_SIZE + 8,
	3 * ARENA_SIZE,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0xfffffff8,
	0xffffffff,
	0x100000000,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xfffffffffffffff8,
	0xffffffffffffffff,
};
#define INTERESTING (sizeof(interesting) / sizeof(interesting[0]))

/* ---- the header ---- */

/* The copy is a good table: what follows would prove nothing otherwise. */
static void test_the_pristine_table_is_read(void **state)
{
	(void)state;
	reset();
	assert_in_range(table_walk(&view, &vip, 80), 40, 1000);
	assert_int_equal(find_vip(), PICK_NO_ENDPOINT);
}

/* What is no table of this version and size is refused before anything of it is used. */
static void test_wrong_headers_are_refused(void **state)
{
	struct table_view opened = {.arena_size = 4711};

	(void)state;
	for (size_t size = 0; size < TABLE_SIZE; size += 1 + size / 7) {
		unsigned char *shorter = malloc(size ? size : 1);

		assert_non_null(shorter);
		memcpy(shorter, pristine, size);
		assert_int_equal(table_view_open(shorter, size, &opened), -EBADMSG);
		free(shorter);
	}
	for (size_t i = 0; i < INTERESTING; i++) {
		reset();
		header()->magic = interesting[i];
		assert_int_equal(table_view_open(memory, TABLE_SIZE, &opened), -EBADMSG);
		reset();
		if ((uint32_t)interesting[i] != TABLE_VERSION) {
			header()->version = (uint32_t)interesting[i];
			assert_int_equal(table_view_open(memory, TABLE_SIZE, &opened), -EBADMSG);
		}
		reset();
		header()->arena_count = (uint32_t)interesting[i];
		assert_int_equal(table_view_open(memory, TABLE_SIZE, &opened), -EBADMSG);
		assert_int_equal(opened.arena_size, 4711);
	}
	for (size_t i = 0; i < INTERESTING; i++) {
		struct table_view other;

		reset();
		header()->arena_size = interesting[i];
		if (table_view_open(memory, TABLE_SIZE, &other) == 0)
			assert_in_range(other.arena_size, sizeof(struct table_snapshot),
					ARENA_SIZE);
	}
}

/* header.current may say anything, and arena_size may change after it was checked. */
static void test_header_words_that_change_later(void **state)
{
	(void)state;
	for (size_t i = 0; i < INTERESTING; i++) {
		struct table_read read;

		reset();
		header()->current = interesting[i];
		table_walk(&view, &vip, 80);
		header()->current = 1 << 8 | (interesting[i] & 0xff);
		if ((interesting[i] & 0xff) >= TABLE_ARENAS)
			assert_int_equal(table_read_begin(&view, &read), -EBADMSG);
		reset();
		header()->arena_size = interesting[i];
		assert_in_range(table_walk(&view, &vip, 80), 40, 1000);
	}
	reset();
	header()->current = 0;
	assert_int_equal(find_vip(), PICK_NO_TABLE);
	/* Another generation than the arena's: the writer was faster, but not for ever. */
	header()->current = 2 << 8;
	assert_int_equal(find_vip(), PICK_NO_TABLE);
}

/* ---- the snapshot ---- */

/* Every word of the snapshot's head, as 64 and as 32 bits, with every interesting value. */
static void test_every_field_of_a_snapshot(void **state)
{
	(void)state;
	for (size_t at = 8; at < sizeof(struct table_snapshot); at += 4) {
		for (size_t i = 0; i < INTERESTING; i++) {
			uint32_t low = (uint32_t)interesting[i];

			reset();
			memcpy((unsigned char *)snapshot() + at, &low, sizeof(low));
			table_walk(&view, &vip, 80);
			if (at % 8)
				continue;
			memcpy((unsigned char *)snapshot() + at, &interesting[i], 8);
			table_walk(&view, &vip, 80);
		}
	}
}

/* A snapshot of a size that no arena has is none. */
static void test_wrong_sizes_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < INTERESTING; i++) {
		struct table_read read;

		if (interesting[i] >= sizeof(struct table_snapshot) && interesting[i] <= ARENA_SIZE)
			continue;
		reset();
		snapshot()->size = interesting[i];
		assert_int_equal(table_read_begin(&view, &read), -EBADMSG);
		assert_int_equal(find_vip(), PICK_NO_TABLE);
	}
}

/* What each kind of lookup makes of the table: all of them find something in a good one. */
enum lookup { BY_VIP, BY_NAME, SERVICES, PORTS, ENDPOINTS, TEXTS, LOOKUPS };

static int look_up(enum lookup lookup)
{
	const struct table_service service = {.port_count = 1};
	const struct table_port port = {.endpoint_count = 1};
	struct table_service found_service;
	struct table_endpoint found_endpoint;
	struct table_port found_port;
	struct table_read read;
	char text[16];

	assert_int_equal(table_read_begin(&view, &read), 0);
	switch (lookup) {
	case BY_VIP:
		return table_find_vip(&read, &vip, 80, PROTOCOL_TCP, &found_port);
	case BY_NAME:
		return table_find_service(&read, "demo", "web", &found_service);
	case SERVICES:
		return table_service_at(&read, 0, &found_service);
	case PORTS:
		return table_service_port(&read, &service, 0, &found_port);
	case ENDPOINTS:
		return table_port_endpoint(&read, &port, 0, &found_endpoint);
	default:
		return table_text(&read, 0, text, sizeof(text));
	}
}

static const struct {
	size_t at, count; /* in the snapshot's head */
	bool used_by[LOOKUPS];
} runs[] = {
#define RUN(at, count, ...)                                                                  \
	{                                                                                    \
		offsetof(struct table_snapshot, at), offsetof(struct table_snapshot, count), \
		{                                                                            \
			__VA_ARGS__                                                          \
		}                                                                            \
	}
	RUN(vips_at, vip_slots, [BY_VIP] = true),
	RUN(names_at, name_slots, [BY_NAME] = true),
	RUN(services_at, service_count, [BY_NAME] = true, [SERVICES] = true),
	RUN(ports_at, port_count, [BY_VIP] = true, [PORTS] = true),
	RUN(endpoints_at, endpoint_count, [ENDPOINTS] = true),
	RUN(text_at, text_size, [BY_NAME] = true, [TEXTS] = true),
};

static void expect_run_refused(size_t run)
{
	for (enum lookup lookup = 0; lookup < LOOKUPS; lookup++)
		assert_int_equal(look_up(lookup), runs[run].used_by[lookup] ? -ENOENT : 0);
}

/* A run that does not lie in the snapshot has no records, and the other ones are as they were. */
static void test_runs_out_of_bounds_have_no_records(void **state)
{
	(void)state;
	reset();
	for (enum lookup lookup = 0; lookup < LOOKUPS; lookup++)
		assert_int_equal(look_up(lookup), 0);
	for (size_t run = 0; run < sizeof(runs) / sizeof(runs[0]); run++) {
		for (size_t i = 0; i < INTERESTING; i++) {
			uint32_t count = (uint32_t)interesting[i];

			reset();
			/* Beyond the snapshot, or not at a multiple of 8. */
			if (interesting[i] >= snapshot()->size || interesting[i] % 8 != 0) {
				memcpy((unsigned char *)snapshot() + runs[run].at, &interesting[i],
				       8);
				expect_run_refused(run);
			}
			reset();
			/* So many that even single bytes would not fit; a power of two or not. */
			if (count > ARENA_SIZE) {
				memcpy((unsigned char *)snapshot() + runs[run].count, &count, 4);
				expect_run_refused(run);
			}
		}
	}
}

/* Indexes whose size is no power of two are none. */
static void test_odd_indexes_are_empty(void **state)
{
	(void)state;
	reset();
	snapshot()->vip_slots -= 1;
	snapshot()->name_slots -= 1;
	assert_int_equal(look_up(BY_VIP), -ENOENT);
	assert_int_equal(look_up(BY_NAME), -ENOENT);
}

/* Every word of the records, one after the other: offsets and counts may lie anywhere. */
static void test_every_word_of_the_records(void **state)
{
	static const uint32_t values[] = {0, 1, 0x7fffffff, 0xffffffff};
	size_t size;

	(void)state;
	reset();
	size = snapshot()->size;
	for (size_t at = sizeof(struct table_snapshot); at < size; at += 4) {
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			reset();
			memcpy((unsigned char *)snapshot() + at, &values[i], sizeof(values[i]));
			table_walk(&view, &vip, 80);
		}
	}
}

/* An index without a free slot ends a lookup all the same, found or not. */
static void test_full_indexes_end_a_lookup(void **state)
{
	struct ip_address other = ip_of("10.99.0.1");
	struct table_service service;
	struct table_read read;
	struct table_port port;

	(void)state;
	reset();
	memset((unsigned char *)snapshot() + snapshot()->vips_at, 0xff,
	       snapshot()->vip_slots * sizeof(struct table_vip_slot));
	memset((unsigned char *)snapshot() + snapshot()->names_at, 0x01,
	       snapshot()->name_slots * sizeof(struct table_name_slot));
	assert_int_equal(table_read_begin(&view, &read), 0);
	assert_int_equal(table_find_vip(&read, &other, 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(table_find_service(&read, "demo", "none", &service), -ENOENT);
}

/* Index entries that point beyond the records are no finds. */
static void test_index_entries_out_of_bounds(void **state)
{
	struct table_service service;
	struct table_read read;
	struct table_port port;

	(void)state;
	reset();
	for (uint32_t i = 0; i < snapshot()->vip_slots; i++) {
		struct table_vip_slot slot = {
			.vip = vip,
			.key = table_vip_key(80, PROTOCOL_TCP),
			.port_index_plus_1 = snapshot()->port_count + 1 + i,
		};

		memcpy((unsigned char *)snapshot() + snapshot()->vips_at + i * sizeof(slot), &slot,
		       sizeof(slot));
	}
	for (uint32_t i = 0; i < snapshot()->name_slots; i++) {
		struct table_name_slot slot = {
			.hash_high = (uint32_t)(table_name_hash("demo", "web") >> 32),
			.service_index_plus_1 = 0xffffffff - i,
		};

		memcpy((unsigned char *)snapshot() + snapshot()->names_at + i * sizeof(slot), &slot,
		       sizeof(slot));
	}
	assert_int_equal(table_read_begin(&view, &read), 0);
	assert_int_equal(table_find_vip(&read, &vip, 80, PROTOCOL_TCP, &port), -ENOENT);
	assert_int_equal(table_find_service(&read, "demo", "web", &service), -ENOENT);
}

/* A text without an end stops at the end of the text. */
static void test_text_without_an_end(void **state)
{
	struct table_service service;
	struct table_read read;
	char text[2 * ARENA_SIZE];

	(void)state;
	reset();
	memset((unsigned char *)snapshot() + snapshot()->text_at, 'x', snapshot()->text_size);
	assert_int_equal(table_read_begin(&view, &read), 0);
	assert_int_equal(table_service_at(&read, 0, &service), 0);
	assert_int_equal(table_text(&read, 0, text, sizeof(text)), 0);
	assert_int_equal(strlen(text), snapshot()->text_size);
	assert_int_equal(table_text(&read, snapshot()->text_size - 1, text, sizeof(text)), 0);
	assert_string_equal(text, "x");
	assert_int_equal(table_text(&read, snapshot()->text_size, text, sizeof(text)), -ENOENT);
}

/* ---- anything ---- */

/* Bytes flipped anywhere behind the header. */
static void test_random_damage(void **state)
{
	uint64_t seed = 1;
	size_t size;

	(void)state;
	reset();
	size = snapshot()->size;
	for (unsigned round = 0; round < test_count(5000, 100000); round++) {
		unsigned flips = 1 + test_random(&seed) % 16;

		reset();
		for (unsigned i = 0; i < flips; i++)
			memory[TABLE_HEADER_SIZE + 8 + test_random(&seed) % (size - 8)] =
				(unsigned char)test_random(&seed);
		table_walk(&view, &vip, 80);
	}
}

/* Nothing but random bytes, with a head that leads a reader into them. */
static void test_random_content(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (unsigned round = 0; round < test_count(300, 10000); round++) {
		reset();
		for (size_t at = sizeof(struct table_snapshot); at < ARENA_SIZE; at += 4) {
			uint32_t bits = test_random(&seed);

			/* Half of them small, so that offsets and counts are often in bounds. */
			if (bits & 1)
				bits %= 256;
			memcpy((unsigned char *)snapshot() + at, &bits, sizeof(bits));
		}
		table_walk(&view, &vip, 80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_pristine_table_is_read),
		cmocka_unit_test(test_wrong_headers_are_refused),
		cmocka_unit_test(test_header_words_that_change_later),
		cmocka_unit_test(test_every_field_of_a_snapshot),
		cmocka_unit_test(test_wrong_sizes_are_refused),
		cmocka_unit_test(test_runs_out_of_bounds_have_no_records),
		cmocka_unit_test(test_odd_indexes_are_empty),
		cmocka_unit_test(test_every_word_of_the_records),
		cmocka_unit_test(test_full_indexes_end_a_lookup),
		cmocka_unit_test(test_index_entries_out_of_bounds),
		cmocka_unit_test(test_text_without_an_end),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_random_content),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
