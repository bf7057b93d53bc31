/* read_file: a file in pieces is read whole, limits hold, and nothing waits for a writer. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/read_file.h"
#include "support/assert_op.h"

/* Gives what it has one packet a read(2), as a pipe, a terminal or a signal may: pipe(2), O_DIRECT.
 */
static void make_pipe(int ends[2], const char *const packets[])
{
	assert_int_equal(pipe2(ends, O_DIRECT | O_NONBLOCK), 0);
	for (; *packets; packets++)
		assert_int_equal(write(ends[1], *packets, strlen(*packets)), strlen(*packets));
}

/* Pieces are put together until there is as much as was asked for; less is the end. */
static void test_fill_asks_until_it_is_full(void **state)
{
	char text[8] = "";
	int ends[2];

	(void)state;
	make_pipe(ends, (const char *const[]){"abc", "def", "gh", NULL});
	close(ends[1]);
	assert_int_equal(file_fill(ends[0], text, 6), 6);
	assert_memory_equal(text, "abcdef", 6);
	assert_int_equal(file_fill(ends[0], text, sizeof(text)), 2);
	assert_memory_equal(text, "gh", 2);
	assert_int_equal(file_fill(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
}

/* An error is the result, also when something was read before it. */
static void test_errors_are_told(void **state)
{
	char text[8];
	int ends[2];

	(void)state;
	assert_int_equal(file_open("/no/such/file"), -ENOENT);
	assert_int_equal(file_fill(-1, text, sizeof(text)), -EBADF);
	assert_int_equal(file_fill(-1, text, 0), 0);
	make_pipe(ends, (const char *const[]){"abc", NULL});
	assert_int_equal(file_fill(ends[0], text, sizeof(text)), -EAGAIN);
	close(ends[0]);
	close(ends[1]);
}

/* Several chunks are appended to what is there; beyond the limit what fits a chunk stays. */
static void test_append_reads_to_the_end_or_the_limit(void **state)
{
	struct buffer buffer = {.limit = 200001};
	char path[] = "/tmp/k8slb-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_op(fd, >=, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, 200000), 0);
	assert_int_equal(buffer_append_text(&buffer, "x"), 0);
	assert_int_equal(file_append(fd, &buffer), 0);
	assert_int_equal(buffer.length, 200001);
	assert_int_equal(buffer.data[0], 'x');
	assert_int_equal(buffer.data[200000], '\0');
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(file_append(fd, &buffer), -E2BIG);
	assert_int_equal(buffer.length, 200001);
	buffer_free(&buffer);
	close(fd);
}

/* A FIFO without a writer: an empty file, at once. */
static void test_a_fifo_is_not_waited_for(void **state)
{
	char folder[] = "/tmp/k8slb-test-XXXXXX";
	char path[sizeof(folder) + 8];
	char text[8];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = file_open(path);
	assert_op(fd, >=, 0);
	assert_int_equal(file_fill(fd, text, sizeof(text)), 0);
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_asks_until_it_is_full),
		cmocka_unit_test(test_errors_are_told),
		cmocka_unit_test(test_append_reads_to_the_end_or_the_limit),
		cmocka_unit_test(test_a_fifo_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
