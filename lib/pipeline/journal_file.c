// SPDX-License-Identifier: Apache-2.0
#include "pipeline/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/libc_compat.h"

#define SUFFIX ".new"

struct journal_file {
	int directory_fd;
	char name[JOURNAL_NAME_SIZE];
	char new_name[JOURNAL_NAME_SIZE + sizeof(SUFFIX)];
	int read_fd;	     /* -1: not open */
	int write_fd;	     /* -1: not open */
	uint64_t write_size; /* nobody else writes to it */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Ours alone: else somebody could make us balance to where he likes. */
static int check_file(int fd)
{
	struct stat status;

	if (k8slb_fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0)
		return -EPERM;
	return status.st_size > (off_t)JOURNAL_SIZE_LIMIT ? -EFBIG : 0;
}

static int open_for_reading(struct journal_file *file)
{
	/* Non-blocking: a FIFO without writer must not stop us. */
	int fd = openat(file->directory_fd, file->name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = check_file(fd);
	if (rc < 0)
		close(fd);
	else
		file->read_fd = fd;
	return rc;
}

static ptrdiff_t file_read_on(void *ctx, void *data, size_t size)
{
	struct journal_file *file = ctx;
	ssize_t got;

	if (file->read_fd < 0) {
		int rc = open_for_reading(file);

		if (rc < 0)
			return rc;
	}
	do
		got = read(file->read_fd, data, size);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		got = -errno;
	return got;
}

static int file_begin(void *ctx)
{
	struct journal_file *file = ctx;

	close_fd(&file->read_fd);
	close_fd(&file->write_fd);
	/* A writer may have died over it. */
	unlinkat(file->directory_fd, file->new_name, 0);
	file->write_fd =
		openat(file->directory_fd, file->new_name,
		       O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	file->write_size = 0;
	if (file->write_fd < 0)
		return -errno;
	/* The program's umask may have taken away even our own right to read it again. */
	return fchmod(file->write_fd, 0600) < 0 ? -errno : 0;
}

/* Beyond RLIMIT_FSIZE the kernel raises SIGXFSZ, which ends most programs. */
static bool may_grow(const struct journal_file *file, size_t size)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	       file->write_size + size <= limit.rlim_cur;
}

static int file_append(void *ctx, const void *data, size_t size)
{
	struct journal_file *file = ctx;
	const char *rest = data;

	if (!may_grow(file, size))
		return -EFBIG;
	while (size > 0) {
		ssize_t written = write(file->write_fd, rest, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		rest += written;
		size -= (size_t)written;
		file->write_size += (uint64_t)written;
	}
	return 0;
}

static int file_commit(void *ctx)
{
	struct journal_file *file = ctx;

	return renameat(file->directory_fd, file->new_name, file->directory_fd, file->name) < 0
		       ? -errno
		       : 0;
}

static void file_discard(void *ctx)
{
	struct journal_file *file = ctx;

	unlinkat(file->directory_fd, file->name, 0);
	unlinkat(file->directory_fd, file->new_name, 0);
	close_fd(&file->write_fd);
}

static uint64_t file_realtime_s(void *ctx)
{
	(void)ctx;
	return clock_realtime_s();
}

int journal_file_new(const struct journal_file_options *options, struct journal_file **ret_file)
{
	struct journal_file *file;

	if (strlen(options->name) >= JOURNAL_NAME_SIZE)
		return -ENAMETOOLONG;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->directory_fd = options->directory_fd;
	file->read_fd = -1;
	file->write_fd = -1;
	strcpy(file->name, options->name);
	snprintf(file->new_name, sizeof(file->new_name), "%s%s", options->name, SUFFIX);
	*ret_file = file;
	return 0;
}

struct journal_io journal_file_io(struct journal_file *file)
{
	return (struct journal_io){
		.begin = file_begin,
		.append = file_append,
		.commit = file_commit,
		.discard = file_discard,
		.read = file_read_on,
		.realtime_s = file_realtime_s,
		.ctx = file,
	};
}

void journal_file_free(struct journal_file *file)
{
	if (!file)
		return;
	close_fd(&file->read_fd);
	close_fd(&file->write_fd);
	free(file);
}
