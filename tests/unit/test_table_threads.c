/* table: readers beside a writer that publishes without a pause never see half of a snapshot. */
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/hash.h"
#include "pick/pick.h"
#include "support/objects.h"
#include "table/writer.h"

#define READERS	      4
#define SERVICES      3
#define ENDPOINTS_MAX 40u
/* More than fits the first table: from half-way on the readers follow to a larger one. */
#define BULK_ENDPOINTS 4000u

static const char *const vips[SERVICES] = {"10.96.0.1", "10.96.0.2", "10.96.0.3"};

static struct ip_address vip_ips[SERVICES];
static const struct table_view *current_view; /* publish_pointer() / observe_pointer() */
static uint32_t stop;			      /* publish_u32() / observe_u32() */

/* What generation @generation says: how many endpoints, and what each of them carries. */
static unsigned count_at(uint64_t generation, unsigned service)
{
	return 1 + (unsigned)(hash_mix(generation * SERVICES + service) % ENDPOINTS_MAX);
}

static uint64_t mark_of(uint64_t generation, unsigned service, unsigned index)
{
	return hash_mix(generation << 16 ^ service << 8 ^ index);
}

static void put_generation(struct table_writer *writer, uint64_t generation)
{
	static struct slice_endpoint marks[ENDPOINTS_MAX];

	for (unsigned s = 0; s < SERVICES; s++) {
		struct selection selection;
		char name[16];

		test_selection(&selection, vips[s], 80, "10.1.0.0", count_at(generation, s),
			       (uint16_t)(1 + generation % 60000));
		for (unsigned i = 0; i < selection.ports[0].endpoint_count; i++) {
			marks[i] = *selection.ports[0].endpoints[i].endpoint;
			marks[i].target_uid_hash = mark_of(generation, s, i);
			selection.ports[0].endpoints[i].endpoint = &marks[i];
		}
		snprintf(name, sizeof(name), "web-%u", s);
		assert_true(table_writer_put(writer, "demo", name, &selection) >= 0);
		selection_clear(&selection);
	}
}

static void publish_generation(struct table_writer *writer, uint64_t generation)
{
	put_generation(writer, generation);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(table_writer_size(writer).generation, generation);
	publish_pointer(&current_view, table_writer_view(writer));
}

struct reader {
	pthread_t thread;
	unsigned number;
	uint32_t *cursors; /* of all readers, as the threads of one program share them */
	uint64_t picks;
	uint64_t torn;
	uint64_t went_back;
	uint64_t misses;
	uint64_t last_generation;
};

static void check_pick(struct reader *reader, const struct picked *picked, unsigned service)
{
	unsigned index = picked->endpoint.address.bytes[15];

	reader->torn += index >= count_at(picked->generation, service) ||
			picked->endpoint.uid_hash != mark_of(picked->generation, service, index) ||
			picked->endpoint.port != 1 + picked->generation % 60000;
	reader->went_back += picked->generation < reader->last_generation;
	reader->last_generation = picked->generation;
	reader->picks++;
}

/* All ports of one snapshot must be of one generation. */
static void check_snapshot(struct reader *reader, const struct table_view *view)
{
	unsigned counts[SERVICES] = {0};
	struct table_read read;

	if (table_read_begin(view, &read) < 0)
		return;
	for (unsigned s = 0; s < SERVICES; s++) {
		struct table_port port;

		if (table_find_vip(&read, &vip_ips[s], 80, PROTOCOL_TCP, &port) == 0)
			counts[s] = port.endpoint_count;
	}
	if (!table_read_valid(&read))
		return;
	for (unsigned s = 0; s < SERVICES; s++)
		reader->torn += counts[s] != count_at(table_read_generation(&read), s);
}

static void *read_until_stopped(void *ctx)
{
	struct reader *reader = ctx;
	struct pick_state state = {
		.cursors = reader->cursors,
		.seed = reader->number,
		.policy = reader->number % 2 ? PICK_RANDOM : PICK_ROUND_ROBIN,
	};

	for (unsigned i = 0; !observe_u32(&stop); i++) {
		const struct table_view *view = observe_pointer(&current_view);
		unsigned service = i % SERVICES;
		struct picked picked;

		if (pick_by_vip(view, &state, &vip_ips[service], 80, PROTOCOL_TCP, &picked) ==
		    PICK_ENDPOINT)
			check_pick(reader, &picked, service);
		else
			reader->misses++;
		check_snapshot(reader, view);
	}
	return NULL;
}

/* No pick is torn, none fails, no generation goes back; also while the table moves. */
static void test_readers_beside_a_writer(void **state)
{
	uint64_t publishes = test_count(3000, 20000);
	struct reader readers[READERS] = {0};
	uint32_t *cursors = calloc(PICK_CURSORS, sizeof(cursors[0]));
	struct table_writer *writer;

	(void)state;
	assert_non_null(cursors);
	for (unsigned s = 0; s < SERVICES; s++)
		vip_ips[s] = ip_of(vips[s]);
	assert_int_equal(table_writer_new(&writer), 0);
	publish_generation(writer, 1);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].number = i;
		readers[i].cursors = cursors;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_until_stopped,
						&readers[i]),
				 0);
	}
	for (uint64_t generation = 2; generation <= publishes; generation++) {
		if (generation == publishes / 2) {
			struct selection bulk;

			test_selection(&bulk, "10.97.0.1", 80, "10.2.0.0", BULK_ENDPOINTS, 8080);
			assert_int_equal(table_writer_put(writer, "demo", "bulk", &bulk), 1);
			selection_clear(&bulk);
		}
		publish_generation(writer, generation);
	}
	publish_u32(&stop, 1);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		print_message("reader %u: %llu picks, %llu misses\n", i,
			      (unsigned long long)readers[i].picks,
			      (unsigned long long)readers[i].misses);
		assert_int_equal(readers[i].torn, 0);
		assert_int_equal(readers[i].went_back, 0);
		assert_int_equal(readers[i].misses, 0);
	}
	table_writer_free(writer);
	free(cursors);
}

/* A forked child sees what its parent publishes afterwards. */
static void test_a_forked_child_follows(void **state)
{
	struct ip_address vip = ip_of(vips[0]);
	const struct table_view *view;
	struct table_writer *writer;
	int ready[2], published[2];
	char byte = 0;
	int status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(published), 0);
	assert_int_equal(table_writer_new(&writer), 0);
	put_generation(writer, 1);
	assert_int_equal(table_writer_publish(writer), 0);
	view = table_writer_view(writer);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct table_read reading;
		struct table_port port;
		bool good;

		good = table_read_begin(view, &reading) == 0 &&
		       table_read_generation(&reading) == 1 && write(ready[1], &byte, 1) == 1 &&
		       read(published[0], &byte, 1) == 1 && table_read_begin(view, &reading) == 0 &&
		       table_read_generation(&reading) == 2 &&
		       table_find_vip(&reading, &vip, 80, PROTOCOL_TCP, &port) == 0 &&
		       port.endpoint_count == count_at(2, 0);
		_exit(good ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	put_generation(writer, 2);
	assert_int_equal(table_writer_publish(writer), 0);
	assert_int_equal(write(published[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (unsigned i = 0; i < 2; i++) {
		close(ready[i]);
		close(published[i]);
	}
	table_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_beside_a_writer),
		cmocka_unit_test(test_a_forked_child_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
