// SPDX-License-Identifier: Apache-2.0
#include "engine/log_file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/libc_compat.h"
#include "base/raw_syscall.h"
#include "table/trust.h"

/* Used by the engine's thread only. */
static struct {
	uint64_t refilled_ms;
	uint32_t tokens;
	uint32_t dropped;
	bool started;
} bucket;

/* What standard error was at the start; only for a log without a path. */
static struct {
	bool remembered;
	dev_t device;
	ino_t inode;
} standard_error;

void log_file_init(const struct config *config)
{
	KEEP_ERRNO();
	struct stat status;

	if (config->log_level > LOG_LEVEL_OFF && !config->log_path[0] &&
	    k8slb_fstat(STDERR_FILENO, &status) == 0) {
		standard_error.device = status.st_dev;
		standard_error.inode = status.st_ino;
		standard_error.remembered = true;
	}
}

/* A program that was started without descriptor 2, or closes it, gets that number for a file of
 * its own. */
static bool is_standard_error(int fd)
{
	struct stat status;

	return standard_error.remembered && k8slb_fstat(fd, &status) == 0 &&
	       status.st_dev == standard_error.device && status.st_ino == standard_error.inode;
}

static void format_utc(char *text, size_t size)
{
	time_t now = (time_t)clock_realtime_s();
	struct tm utc;

	if (k8slb_gmtime_r(&now, &utc))
		snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900,
			 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
	else
		text[0] = '\0';
}

/* Beyond RLIMIT_FSIZE the kernel raises SIGXFSZ, which ends most programs. */
static bool may_grow(int fd, size_t length)
{
	struct rlimit limit;
	struct stat status;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return true;
	return k8slb_fstat(fd, &status) == 0 &&
	       (!S_ISREG(status.st_mode) || (rlim_t)status.st_size + length <= limit.rlim_cur);
}

/* Non-blocking: a full pipe or a FIFO without reader must not stop the host. No cancellation point:
 * hooks write lines too. */
static int open_to_append(const char *path, int flags)
{
	return (int)raw_syscall(
		SYS_openat, AT_FDCWD, path,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0644);
}

/* A link, or a file, that another user has put there would be written to with the program's rights.
 * -1: so it is, or it cannot be opened. */
static int open_path(const char *path)
{
	const struct trust trust = {.user = geteuid(), .named = TRUST_NO_USER};
	bool is_link;
	int fd;

	if (trust_folder(&trust, path) < 0)
		return -1;
	is_link = trust_link(&trust, path); /* as /dev/stderr */
	fd = open_to_append(path, is_link ? 0 : O_NOFOLLOW);
	if (fd >= 0 && !is_link && !trust_file(&trust, fd)) {
		raw_syscall(SYS_close, fd);
		fd = -1;
	}
	return fd;
}

/* Descriptor 2 may be another file by now. */
static int open_standard_error(void)
{
	int fd = open_to_append("/dev/stderr", 0);

	if (fd >= 0 && !is_standard_error(fd)) {
		raw_syscall(SYS_close, fd);
		fd = -1;
	}
	return fd;
}

void log_file_write(const struct config *config, enum log_level level, const char *line)
{
	KEEP_ERRNO();
	char text[LOG_LINE_SIZE + 128];
	char when[80];
	int length;
	int fd;

	if (level > config->log_level)
		return;
	format_utc(when, sizeof(when));
	length = snprintf(text, sizeof(text), "%s k8slb[%d] %s: %s\n", when, (int)getpid(),
			  log_level_name(level), line);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof(text))
		length = (int)sizeof(text) - 1;
	fd = config->log_path[0] ? open_path(config->log_path) : open_standard_error();
	if (fd >= 0) {
		if (may_grow(fd, (size_t)length))
			raw_syscall(SYS_write, fd, text, length);
		raw_syscall(SYS_close, fd);
	}
}

static bool take_token(void)
{
	uint64_t now_ms = clock_monotonic_ms();
	uint64_t earned;

	if (!bucket.started) {
		bucket.started = true;
		bucket.refilled_ms = now_ms;
		bucket.tokens = LOG_FILE_BURST;
	}
	earned = (now_ms - bucket.refilled_ms) * LOG_FILE_RATE / 1000;
	if (earned) {
		bucket.refilled_ms = now_ms;
		bucket.tokens = earned + bucket.tokens > LOG_FILE_BURST
					? LOG_FILE_BURST
					: bucket.tokens + (uint32_t)earned;
	}
	if (!bucket.tokens) {
		bucket.dropped++;
		return false;
	}
	bucket.tokens--;
	return true;
}

static void write_rated(void *ctx, enum log_level level, const char *line)
{
	const struct config *config = ctx;

	if (!take_token())
		return;
	if (bucket.dropped) {
		char note[64];

		snprintf(note, sizeof(note), "%u lines were left out", bucket.dropped);
		bucket.dropped = 0;
		log_file_write(config, level, note);
	}
	log_file_write(config, level, line);
}

struct logger log_file_logger(const struct config *config)
{
	union {
		const struct config *config;
		void *ctx;
	} self = {.config = config};

	return (struct logger){
		.level = config->log_level,
		.write = write_rated,
		.ctx = self.ctx,
	};
}
