/* libc_compat: what stands in for libc's functions does as they do, or nothing at all. */
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/libc_compat.h"
#include "support/assert_op.h"

static void assert_same_file(const struct stat *one, const struct stat *other)
{
	assert_int_equal(one->st_dev, other->st_dev);
	assert_int_equal(one->st_ino, other->st_ino);
	assert_int_equal(one->st_mode, other->st_mode);
	assert_int_equal(one->st_uid, other->st_uid);
	assert_int_equal(one->st_size, other->st_size);
	assert_int_equal(one->st_mtim.tv_sec, other->st_mtim.tv_sec);
	assert_int_equal(one->st_mtim.tv_nsec, other->st_mtim.tv_nsec);
}

/* The kernel fills in what libc's own would. */
static void test_stat_tells_the_same(void **state)
{
	struct stat ours, theirs;
	int fd = open("/proc/self/cwd", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_op(fd, >=, 0);
	assert_int_equal(fstat(fd, &theirs), 0);
	assert_int_equal(k8slb_fstat(fd, &ours), 0);
	assert_same_file(&ours, &theirs);
	assert_int_equal(k8slb_stat("/proc/self/cwd", &ours), 0); /* links are followed */
	assert_same_file(&ours, &theirs);
	close(fd);
	assert_int_equal(k8slb_fstat(fd, &ours), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(k8slb_stat("/proc/none", &ours), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_bzero_zeroes_no_more(void **state)
{
	char secret[] = "secret";

	(void)state;
	k8slb_explicit_bzero(secret, 3);
	assert_memory_equal(secret, "\0\0\0ret", sizeof(secret));
}

static void test_errors_have_names(void **state)
{
	char text[64];

	(void)state;
	assert_string_equal(k8slb_strerror_r(ENOENT, text, sizeof(text)), strerror(ENOENT));
}

/* Streams of the program stay untouched, and callers are told of a failure. */
static void test_no_stream(void **state)
{
	char data[4];

	(void)state;
	assert_null(k8slb_no_stdin);
	assert_null(k8slb_no_stdout);
	assert_null(k8slb_no_stderr);
	assert_null(k8slb_no_fopen("/proc/self/cwd", "rb"));
	assert_int_equal(errno, ENOSYS);
	assert_int_equal(k8slb_no_fread(data, 1, sizeof(data), stdin), 0);
	assert_int_equal(k8slb_no_fwrite(data, 1, sizeof(data), stdout), 0);
	assert_int_equal(k8slb_no_fputc('x', stdout), EOF);
	assert_int_equal(k8slb_no_fseek(stdin, 0, SEEK_SET), -1);
	assert_int_equal(k8slb_no_ftell(stdin), -1);
	assert_int_equal(k8slb_no_fclose(stdin), EOF);
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_tells_the_same),
		cmocka_unit_test(test_bzero_zeroes_no_more),
		cmocka_unit_test(test_errors_have_names),
		cmocka_unit_test(test_no_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
