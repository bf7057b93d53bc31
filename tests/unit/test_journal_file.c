/* journal_file: ours alone, whole or not there, and never a reason to stop or to be ended. */
// SPDX-License-Identifier: Apache-2.0
#include "pipeline/journal_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static int folder_fd;
static struct journal_file *file;
static struct journal_io io;

static void open_file(void)
{
	struct journal_file_options options = {.directory_fd = folder_fd, .name = "j"};

	assert_int_equal(journal_file_new(&options, &file), 0);
	io = journal_file_io(file);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/k8slb-test-journal-XXXXXX");
	assert_non_null(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder_fd >= 0);
	open_file();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	journal_file_free(file);
	unlinkat(folder_fd, "j", 0);
	unlinkat(folder_fd, "j.new", 0);
	unlinkat(folder_fd, "other", 0);
	close(folder_fd);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static void reopen(void)
{
	journal_file_free(file);
	open_file();
}

static bool exists(const char *name)
{
	return faccessat(folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a process that starts reads: the content, or the error as text. */
static const char *content(void)
{
	static char text[256];
	ptrdiff_t got;
	size_t size = 0;

	reopen();
	while ((got = io.read(io.ctx, text + size, 3)) > 0)
		size += (size_t)got;
	if (got < 0)
		return strerror((int)-got);
	text[size] = '\0';
	return text;
}

static void write_journal(const char *text)
{
	assert_int_equal(io.begin(io.ctx), 0);
	assert_int_equal(io.append(io.ctx, text, strlen(text)), 0);
	assert_int_equal(io.commit(io.ctx), 0);
}

static void test_it_is_there_once_it_is_whole(void **state)
{
	(void)state;
	write_journal("first");
	assert_int_equal(io.begin(io.ctx), 0);
	assert_int_equal(io.append(io.ctx, "sec", 3), 0);
	assert_true(exists("j.new"));
	assert_string_equal(content(), "first");
	/* A new one takes the place of what a dead writer left half done. */
	write_journal("third");
	assert_false(exists("j.new"));
	assert_string_equal(content(), "third");
}

static void test_appends_go_on_after_the_commit(void **state)
{
	(void)state;
	write_journal("one ");
	assert_int_equal(io.append(io.ctx, "two ", 4), 0);
	assert_int_equal(io.append(io.ctx, "three", 5), 0);
	assert_string_equal(content(), "one two three");
}

/* Whatever the program's umask. */
static void test_only_we_may_open_it(void **state)
{
	static const mode_t masks[] = {0, 022, 0777};

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		mode_t before = umask(masks[i]);
		struct stat status;

		write_journal("x");
		umask(before);
		assert_int_equal(fstatat(folder_fd, "j", &status, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(status.st_mode, S_IFREG | 0600);
	}
}

static void test_discarded_it_is_gone(void **state)
{
	(void)state;
	write_journal("x");
	assert_int_equal(io.begin(io.ctx), 0);
	io.discard(io.ctx);
	assert_false(exists("j"));
	assert_false(exists("j.new"));
	assert_string_equal(content(), strerror(ENOENT));
}

static void test_what_is_not_ours_alone_is_not_read(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601};

	(void)state;
	write_journal("x");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(fchmodat(folder_fd, "j", modes[i], 0), 0);
		assert_string_equal(content(), strerror(EPERM));
	}
	assert_int_equal(fchmodat(folder_fd, "j", 0600, 0), 0);
	assert_string_equal(content(), "x");
	if (geteuid() == 0) {
		assert_int_equal(fchownat(folder_fd, "j", 12345, 0, 0), 0);
		assert_string_equal(content(), strerror(EPERM));
	}
}

static void test_what_is_no_file_is_not_read(void **state)
{
	(void)state;
	write_journal("x");
	assert_int_equal(renameat(folder_fd, "j", folder_fd, "other"), 0);
	assert_int_equal(symlinkat("other", folder_fd, "j"), 0);
	assert_string_equal(content(), strerror(ELOOP));
	unlinkat(folder_fd, "j", 0);
	assert_int_equal(mkfifoat(folder_fd, "j", 0600), 0);
	assert_string_equal(content(), strerror(EPERM));
	unlinkat(folder_fd, "j", 0);
	assert_int_equal(symlinkat("/dev/zero", folder_fd, "j"), 0);
	assert_string_equal(content(), strerror(ELOOP));
	unlinkat(folder_fd, "j", 0);
	assert_int_equal(mkdirat(folder_fd, "j", 0700), 0);
	assert_string_equal(content(), strerror(EPERM));
	unlinkat(folder_fd, "j", AT_REMOVEDIR);
	assert_string_equal(content(), strerror(ENOENT));
}

static void test_a_huge_file_is_not_read(void **state)
{
	int fd;

	(void)state;
	write_journal("x");
	fd = openat(folder_fd, "j", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)JOURNAL_SIZE_LIMIT + 1), 0);
	close(fd);
	assert_string_equal(content(), strerror(EFBIG));
}

/* A link that somebody put where ours is to be: nothing is written through it. */
static void test_nothing_is_written_through_a_link(void **state)
{
	struct stat status;
	int fd = openat(folder_fd, "other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(symlinkat("other", folder_fd, "j.new"), 0);
	assert_int_equal(symlinkat("other", folder_fd, "j"), 0);
	write_journal("x");
	assert_string_equal(content(), "x");
	assert_int_equal(fstatat(folder_fd, "other", &status, 0), 0);
	assert_int_equal(status.st_size, 0);
}

/* In a child, as the limit cannot be raised again. SIGXFSZ would end it. */
static void test_the_file_size_limit_is_kept(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit limit = {.rlim_cur = 10, .rlim_max = 10};
		bool good;

		signal(SIGXFSZ, SIG_DFL);
		good = setrlimit(RLIMIT_FSIZE, &limit) == 0 && io.begin(io.ctx) == 0 &&
		       io.append(io.ctx, "12345678", 8) == 0 &&
		       io.append(io.ctx, "901", 3) == -EFBIG && io.append(io.ctx, "90", 2) == 0 &&
		       io.append(io.ctx, "1", 1) == -EFBIG;
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_a_folder_that_is_gone_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(io.begin(io.ctx), -ENOENT);
	io.discard(io.ctx);
	assert_string_equal(content(), strerror(ENOENT));
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_a_long_name_is_refused(void **state)
{
	static char name[JOURNAL_NAME_SIZE + 1];
	struct journal_file_options options = {.directory_fd = folder_fd, .name = name};
	struct journal_file *other;

	(void)state;
	memset(name, 'n', JOURNAL_NAME_SIZE);
	assert_int_equal(journal_file_new(&options, &other), -ENAMETOOLONG);
	name[JOURNAL_NAME_SIZE - 1] = '\0';
	assert_int_equal(journal_file_new(&options, &other), 0);
	journal_file_free(other);
}

/* Nothing of ours stays open for a program that is started from here. */
static void test_its_descriptors_are_closed_on_exec(void **state)
{
	unsigned open_fds = 0;
	struct dirent *entry;
	char byte;
	DIR *fds;

	(void)state;
	write_journal("xyz");
	reopen();
	assert_int_equal(io.read(io.ctx, &byte, 1), 1);
	assert_int_equal(io.begin(io.ctx), 0);
	fds = opendir("/proc/self/fd");
	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char path[512] = "";
		char target[32];

		snprintf(target, sizeof(target), "/proc/self/fd/%.10s", entry->d_name);
		if (readlink(target, path, sizeof(path) - 1) < 0 || !strstr(path, "/j"))
			continue;
		if (strncmp(path, folder, strlen(folder)) != 0)
			continue;
		open_fds++;
		assert_int_equal(fcntl(atoi(entry->d_name), F_GETFD), FD_CLOEXEC);
	}
	closedir(fds);
	assert_int_equal(open_fds, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_there_once_it_is_whole),
		TEST(test_appends_go_on_after_the_commit),
		TEST(test_only_we_may_open_it),
		TEST(test_discarded_it_is_gone),
		TEST(test_what_is_not_ours_alone_is_not_read),
		TEST(test_what_is_no_file_is_not_read),
		TEST(test_a_huge_file_is_not_read),
		TEST(test_nothing_is_written_through_a_link),
		TEST(test_the_file_size_limit_is_kept),
		TEST(test_a_folder_that_is_gone_is_an_error),
		TEST(test_a_long_name_is_refused),
		TEST(test_its_descriptors_are_closed_on_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
