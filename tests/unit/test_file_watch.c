/* file_watch: every way in which the file may change is told, and nothing else that is written. */
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/file.h"

#define LONG_MS 20000

static char directory[] = "/tmp/k8slb-file-watch-XXXXXX";
static struct file_watch *watch;

static const char *in(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void append(const char *name, const char *text)
{
	int fd = open(in(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* All that was done up to here has been told. */
static void drain(void)
{
	while (file_watch_wait(watch, 0, NULL) > 0)
		;
}

static void changed(void)
{
	/* Among what is told may be what is not ours. */
	uint64_t end_ms = clock_monotonic_ms() + LONG_MS;
	int rc = 0;

	while (rc == 0 && clock_monotonic_ms() < end_ms)
		rc = file_watch_wait(watch, LONG_MS, NULL);
	assert_int_equal(rc, 1);
	drain();
}

/* Nothing ends a wait of @ms: it is never shorter. */
static void quiet(int ms)
{
	uint64_t start_ms = clock_monotonic_ms();

	assert_int_equal(file_watch_wait(watch, ms, NULL), 0);
	/* The clock goes by ticks of up to 10 ms. */
	assert_in_range(clock_monotonic_ms() - start_ms, (uint64_t)ms - 10, UINT32_MAX);
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	append("dump", "1");
	append("log", "1");
	return file_watch_new(in("dump"), &watch);
}

static int teardown(void **state)
{
	static const char *const names[] = {"dump", "log", "other", "old"};

	(void)state;
	file_watch_free(watch);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in(names[i]));
	return rmdir(directory);
}

/* Each line of the log opens it, writes and closes: 55 rounds a second came of that. */
static void test_a_log_beside_it_wakes_nobody(void **state)
{
	(void)state;
	drain();
	for (unsigned i = 0; i < 20; i++)
		append("log", "a line\n");
	quiet(50);
	/* Nor does it after a change that was ours. */
	append("dump", "2");
	changed();
	for (unsigned i = 0; i < 20; i++)
		append("log", "a line\n");
	quiet(50);
}

static void test_written_in_place(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		append("dump", "2");
		changed();
	}
}

static void test_replaced(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		append("other", "2");
		drain();
		assert_int_equal(rename(in("other"), in("dump")), 0);
		changed();
		append("dump", "in place again");
		changed();
	}
}

/* What was the file once and has another name now is none of ours. */
static void test_renamed_away(void **state)
{
	(void)state;
	assert_int_equal(rename(in("dump"), in("old")), 0);
	changed();
	append("old", "2");
	quiet(50);
	append("dump", "new");
	changed();
	append("old", "3");
	quiet(50);
	append("dump", "4");
	changed();
}

static void test_removed_and_made_anew(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(unlink(in("dump")), 0);
		changed();
		append("dump", "new");
		changed();
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_log_beside_it_wakes_nobody),
		TEST(test_written_in_place),
		TEST(test_replaced),
		TEST(test_renamed_away),
		TEST(test_removed_and_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
