/* The shared table: its writer is killed again and again, at any instruction. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "engine/writer_lock.h"
#include "pick/pick.h"
#include "support/generations.h"
#include "support/objects.h"
#include "support/segments.h"
#include "table/segment.h"
#include "support/assert_op.h"

#define READERS		4u
#define LONGEST_KILL_US 3000u
#define PATIENCE_MS	10000u

/* More than fits the first segment, and the second: the table moves twice during the storm. */
#define BULK_SMALL 4000u
#define BULK_LARGE 40000u

/* What the processes tell each other. */
struct storm {
	uint32_t stop;
	uint32_t writer; /* the process that writes */
	uint32_t bulk;
	uint64_t takeovers;
	uint64_t published; /* the last generation that a writer was done with */
	uint64_t forgotten; /* takeovers that did not go on from there */
	uint64_t moves;	    /* that readers followed */
	struct generation_reader readers[READERS];
	struct pick_memory memory;
};

static struct storm *storm;
static uint64_t identity;

static void pause_us(unsigned us)
{
	struct timespec pause = {.tv_nsec = (long)us * 1000};

	nanosleep(&pause, NULL);
}

/* Waits for its turn, then publishes without a pause, to its end. */
static void write_until_killed(void)
{
	struct table_writer *writer;
	struct writer_lock lock;
	uint64_t generation;
	uint32_t bulk = 0;

	if (writer_lock_open(identity, &lock) < 0 || writer_lock_wait(&lock, NULL) < 0 ||
	    table_writer_new(identity, &writer) < 0)
		_exit(1);
	generation = table_writer_size(writer).generation;
	if (generation < peek_u64(&storm->published))
		add_u64(&storm->forgotten, 1);
	add_u64(&storm->takeovers, 1);
	publish_u32(&storm->writer, (uint32_t)getpid()); /* observed by the killer */
	for (;;) {
		if (bulk != peek_u32(&storm->bulk)) {
			bulk = peek_u32(&storm->bulk);
			generation_put_bulk(writer, bulk);
		}
		generation_publish(writer, ++generation);
		poke_u64(&storm->published, generation);
	}
}

/* As the hooks do: a table that moved is looked for where it is now. */
static void read_until_stopped(struct generation_reader *reader)
{
	struct table_view view;
	unsigned class;

	if (segment_attach_newest(identity, &view, &class) < 0)
		_exit(1);
	while (!observe_u32(&storm->stop)) {
		if (table_has_moved(&view)) {
			segment_detach(&view);
			if (segment_attach_newest(identity, &view, &class) < 0)
				_exit(1);
			add_u64(&storm->moves, 1);
		}
		generation_read(reader, &view);
	}
	_exit(0);
}

static pid_t start_writer(void)
{
	pid_t pid = fork();

	assert_op(pid, >=, 0);
	if (pid == 0)
		write_until_killed();
	return pid;
}

/* Until the takeover was made, and something was published since. */
static void await_takeover(uint64_t takeovers)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
	uint64_t before = peek_u64(&storm->published);

	while (peek_u64(&storm->takeovers) < takeovers || observe_u32(&storm->writer) == 0 ||
	       peek_u64(&storm->published) == before) {
		assert_op(clock_monotonic_ms(), <, deadline_ms);
		pause_us(50);
	}
}

/* Until each reader has followed so many moves: a starved one would follow two of them at once. */
static void await_moves(uint64_t moves)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (peek_u64(&storm->moves) < moves * READERS) {
		assert_op(clock_monotonic_ms(), <, deadline_ms);
		pause_us(50);
	}
}

static void kill_writer(void)
{
	pid_t writer = (pid_t)observe_u32(&storm->writer);
	int status = 0;

	publish_u32(&storm->writer, 0); /* observed in await_takeover() */
	assert_int_equal(kill(writer, SIGKILL), 0);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_true(WIFSIGNALED(status));
}

static void start_readers(pid_t *pids)
{
	for (unsigned i = 0; i < READERS; i++) {
		storm->readers[i].number = i;
		storm->readers[i].memory = &storm->memory;
		pids[i] = fork();
		assert_op(pids[i], >=, 0);
		if (pids[i] == 0)
			read_until_stopped(&storm->readers[i]);
	}
}

static void stop_readers(const pid_t *pids)
{
	publish_u32(&storm->stop, 1); /* observed in read_until_stopped() */
	for (unsigned i = 0; i < READERS; i++) {
		int status = 0;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void check_readers(void)
{
	for (unsigned i = 0; i < READERS; i++) {
		const struct generation_reader *reader = &storm->readers[i];

		print_message("reader %u: %llu picks, %llu torn, %llu backwards, %llu misses\n", i,
			      (unsigned long long)reader->picks, (unsigned long long)reader->torn,
			      (unsigned long long)reader->went_back,
			      (unsigned long long)reader->misses);
		assert_op(reader->picks, >, 0u);
		assert_int_equal(reader->torn, 0);
		assert_int_equal(reader->went_back, 0);
		assert_int_equal(reader->misses, 0);
	}
}

/* No pick is torn, none fails, no generation goes back, and there is a next writer each time. */
static void test_kills_at_any_instruction(void **state)
{
	unsigned kills = test_count(60, 1500);
	uint64_t random = random_u64();
	pid_t readers[READERS];
	pid_t last;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)random);
	start_writer();
	await_takeover(1);
	start_readers(readers);
	for (unsigned i = 0; i < kills; i++) {
		if (i == kills / 3)
			poke_u32(&storm->bulk, BULK_SMALL);
		if (i == kills * 2 / 3)
			poke_u32(&storm->bulk, BULK_LARGE);
		start_writer();
		pause_us(test_random(&random) % LONGEST_KILL_US);
		kill_writer();
		await_takeover(i + 2);
		await_moves((i >= kills / 3) + (i >= kills * 2 / 3));
	}
	stop_readers(readers);
	last = (pid_t)storm->writer;
	kill_writer();
	print_message("%u kills, %llu takeovers, %llu forgotten, %llu generations, %llu moves\n",
		      kills, (unsigned long long)storm->takeovers,
		      (unsigned long long)storm->forgotten, (unsigned long long)storm->published,
		      (unsigned long long)storm->moves);
	assert_op(last, >, 0);
	assert_int_equal(storm->takeovers, kills + 1);
	assert_int_equal(storm->forgotten, 0);
	assert_int_equal(storm->moves, 2 * READERS);
	check_readers();
}

static int begin(void **state)
{
	(void)state;
	identity = segments_identity();
	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return storm == MAP_FAILED;
}

static int end(void **state)
{
	(void)state;
	segments_remove(identity);
	segments_remove_lock(identity);
	return munmap(storm, sizeof(*storm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kills_at_any_instruction, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
