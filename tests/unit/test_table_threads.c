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
#include "pick/pick.h"
#include "publish/writer.h"
#include "support/generations.h"
#include "support/objects.h"
#include "support/assert_op.h"

#define READERS 4
/* More than fits the first table: from half-way on the readers follow to a larger one. */
#define BULK_ENDPOINTS 4000u

static const struct table_view *current_view; /* publish_pointer() / observe_pointer() */
static uint32_t stop;			      /* publish_u32() / observe_u32() */

static void publish_generation(struct table_writer *writer, uint64_t generation)
{
	generation_publish(writer, generation);
	publish_pointer(&current_view, table_writer_view(writer));
}

struct reader {
	pthread_t thread;
	struct generation_reader checks;
};

static void *read_until_stopped(void *ctx)
{
	struct reader *reader = ctx;

	while (!observe_u32(&stop))
		generation_read(&reader->checks, observe_pointer(&current_view));
	return NULL;
}

/* No pick is torn, none fails, no generation goes back; also while the table moves. */
static void test_readers_beside_a_writer(void **state)
{
	uint64_t publishes = test_count(3000, 20000);
	struct reader readers[READERS] = {0};
	struct pick_memory *memory = calloc(1, sizeof(*memory));
	struct table_writer *writer;

	(void)state;
	assert_non_null(memory);
	assert_int_equal(table_writer_new(0, &writer), 0);
	publish_generation(writer, 1);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].checks.number = i;
		readers[i].checks.memory = memory;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_until_stopped,
						&readers[i]),
				 0);
	}
	for (uint64_t generation = 2; generation <= publishes; generation++) {
		if (generation == publishes / 2)
			generation_put_bulk(writer, BULK_ENDPOINTS);
		publish_generation(writer, generation);
	}
	publish_u32(&stop, 1);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		print_message("reader %u: %llu picks, %llu misses\n", i,
			      (unsigned long long)readers[i].checks.picks,
			      (unsigned long long)readers[i].checks.misses);
		assert_int_equal(readers[i].checks.torn, 0);
		assert_int_equal(readers[i].checks.went_back, 0);
		assert_int_equal(readers[i].checks.misses, 0);
	}
	table_writer_free(writer);
	free(memory);
}

/* A forked child sees what its parent publishes afterwards. */
static void test_a_forked_child_follows(void **state)
{
	struct ip_address vip = generation_vip();
	const struct table_view *view;
	struct table_writer *writer;
	int ready[2], published[2];
	char byte = 0;
	int status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(published), 0);
	assert_int_equal(table_writer_new(0, &writer), 0);
	generation_put(writer, 1);
	assert_int_equal(table_writer_publish(writer), 0);
	view = table_writer_view(writer);
	child = fork();
	assert_op(child, >=, 0);
	if (child == 0) {
		struct table_read reading;
		struct table_port port;
		bool good;

		good = table_read_begin(view, &reading) == 0 && reading.generation == 1 &&
		       write(ready[1], &byte, 1) == 1 && read(published[0], &byte, 1) == 1 &&
		       table_read_begin(view, &reading) == 0 && reading.generation == 2 &&
		       table_find_vip(&reading, &vip, 80, PROTOCOL_TCP, &port) == 0 &&
		       port.endpoint_count == generation_count(2);
		_exit(good ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	generation_put(writer, 2);
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
