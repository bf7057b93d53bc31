/* The shared table: its writer is stopped at any instruction, its place is taken, and it wakes. */
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

#include <errno.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "engine/writer_lock.h"
#include "publish/shared_region.h"
#include "support/generations.h"
#include "support/objects.h"
#include "support/segments.h"
#include "table/segment.h"
#include "support/assert_op.h"

#define WRITERS		2u
#define READERS		4u
#define LONGEST_STOP_US 3000u
#define PATIENCE_MS	20000u
#define PICKS_A_LOOK	256u

/* What the processes tell each other. */
struct storm {
	uint32_t stop;
	uint32_t writer;    /* the process that writes */
	uint64_t takeovers; /* tables that were begun */
	uint64_t woken;	    /* stops that are over */
	uint64_t lost;	    /* writers that found their lock gone */
	uint64_t published;
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

/* As lib/pipeline does: looks at the lock before each publish. Returns when it is lost. */
static void write_until_lost(const struct writer_lock *lock)
{
	struct table_writer *writer;
	uint64_t generation = 0;

	if (table_writer_new(lock->table, &writer) < 0)
		_exit(1);
	/* Nobody has written to it before. */
	if (table_writer_size(writer).generation != 0)
		_exit(2);
	while (!observe_u32(&storm->stop)) {
		uint64_t now_ms = clock_coarse_ms();

		if (writer_lock_check(lock) < 0)
			break;
		generation_publish(writer, ++generation);
		table_writer_beat(writer, TABLE_LIVE, now_ms);
		if (generation == 1) {
			publish_u32(&storm->writer, (uint32_t)getpid()); /* observed by main */
			add_u64(&storm->takeovers, 1);
		}
		add_u64(&storm->published, 1);
	}
	table_writer_free(writer);
	region_remove_all(lock->table);
}

static void write_and_follow(void)
{
	while (!observe_u32(&storm->stop)) {
		struct writer_lock lock;
		int rc;

		if (writer_lock_open(identity, &lock) < 0)
			_exit(3);
		/* Those who wait asleep are woken by their hooks, which there are none of here. */
		while ((rc = writer_lock_try(&lock)) == -EAGAIN && !observe_u32(&storm->stop))
			pause_us(50);
		if (rc == 0) {
			write_until_lost(&lock);
			add_u64(&storm->lost, 1);
		}
		writer_lock_close(&lock);
	}
	_exit(0);
}

/* Those of even numbers stay with the old table until its writer has woken in it. */
static void read_until_stopped(struct generation_reader *reader)
{
	uint64_t woken = 0;
	struct writer_lock lock = {.fd = -1, .line = LIFELINE_NONE};
	struct table_view view = {.header = NULL};

	while (!observe_u32(&storm->stop)) {
		unsigned class;

		if (view.header &&
		    (writer_lock_check(&lock) == 0 ||
		     (reader->number % 2 == 0 && peek_u64(&storm->woken) == woken))) {
			for (unsigned i = 0; i < PICKS_A_LOOK; i++)
				generation_read(reader, &view);
			continue;
		}
		if (view.header)
			segment_detach(&view);
		view.header = NULL;
		writer_lock_close(&lock);
		reader->last_generation = 0;
		woken = peek_u64(&storm->woken);
		if (writer_lock_open(identity, &lock) < 0)
			_exit(1);
		if (segment_attach_newest(lock.table, &view, &class) < 0 ||
		    observe_u64(&view.header->current) == 0) {
			if (view.header)
				segment_detach(&view);
			view.header = NULL;
			pause_us(50);
		}
	}
	_exit(0);
}

static pid_t start(void (*run)(void))
{
	pid_t pid = fork();

	assert_op(pid, >=, 0);
	if (pid == 0)
		run();
	return pid;
}

static void await(const uint64_t *count, uint64_t least)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (peek_u64(count) < least) {
		assert_op(clock_monotonic_ms(), <, deadline_ms);
		pause_us(50);
	}
}

/* Takes the lock's file away, as a follower does. */
static void take_its_place(void)
{
	struct writer_lock lock;

	assert_int_equal(writer_lock_open(identity, &lock), 0);
	assert_int_equal(writer_lock_remove(&lock), 0);
	region_remove_all(lock.table);
	writer_lock_close(&lock);
}

static void await_ends(const pid_t *pids, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int status = 0;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void check_readers(void)
{
	uint64_t picks = 0;

	for (unsigned i = 0; i < READERS; i++) {
		const struct generation_reader *reader = &storm->readers[i];

		picks += reader->picks;
		assert_op(reader->picks, >, 0u);
		assert_int_equal(reader->torn, 0);
		assert_int_equal(reader->went_back, 0);
		assert_int_equal(reader->misses, 0);
	}
	print_message("%llu checked picks\n", (unsigned long long)picks);
}

/* Each time the other one writes, in a table of its own; the first goes on where it was stopped,
 * and then finds that it has lost. */
static void test_stops_at_any_instruction(void **state)
{
	unsigned stops = test_count(60, 1500);
	uint64_t random = random_u64();
	pid_t readers[READERS], writers[WRITERS];

	(void)state;
	print_message("seed %llu\n", (unsigned long long)random);
	for (unsigned i = 0; i < WRITERS; i++)
		writers[i] = start(write_and_follow);
	await(&storm->takeovers, 1);
	for (unsigned i = 0; i < READERS; i++) {
		storm->readers[i].number = i;
		storm->readers[i].memory = &storm->memory;
		readers[i] = fork();
		assert_op(readers[i], >=, 0);
		if (readers[i] == 0)
			read_until_stopped(&storm->readers[i]);
	}
	for (unsigned i = 0; i < stops; i++) {
		pid_t stopped = (pid_t)observe_u32(&storm->writer);

		pause_us(test_random(&random) % LONGEST_STOP_US);
		assert_int_equal(kill(stopped, SIGSTOP), 0);
		take_its_place();
		await(&storm->takeovers, i + 2);
		assert_int_not_equal(observe_u32(&storm->writer), stopped);
		pause_us(test_random(&random) % LONGEST_STOP_US);
		assert_int_equal(kill(stopped, SIGCONT), 0);
		await(&storm->lost, i + 1);
		add_u64(&storm->woken, 1);
	}
	publish_u32(&storm->stop, 1); /* observed by all */
	await_ends(readers, READERS);
	/* The one that waits for the lock has it when the other one has ended. */
	await_ends(writers, WRITERS);
	print_message("%u stops, %llu tables, %llu lost, %llu generations\n", stops,
		      (unsigned long long)storm->takeovers, (unsigned long long)storm->lost,
		      (unsigned long long)storm->published);
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
	struct writer_lock lock;

	(void)state;
	assert_int_equal(writer_lock_open(identity, &lock), 0);
	region_remove_all(lock.table);
	writer_lock_close(&lock);
	segments_remove_lock(identity);
	return munmap(storm, sizeof(*storm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stops_at_any_instruction, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
