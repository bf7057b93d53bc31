// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *process_getenv(void *ctx, const char *name)
{
	(void)ctx;
	/* Whoever starts a privileged program must not steer it. The loader ignores LD_PRELOAD with
	 * a path there, but not a library of /etc/ld.so.preload. */
	if (getauxval(AT_SECURE))
		return NULL;
	return getenv(name);
}

static int process_read_file(void *ctx, const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t length = 0;
	ssize_t got;
	int rc = 0;

	(void)ctx;
	if (fd < 0)
		return -errno;
	do {
		got = read(fd, text + length, size - 1 - length);
		if (got > 0)
			length += (size_t)got;
	} while (got > 0 && length < size - 1);
	if (got < 0)
		rc = -errno;
	close(fd);
	if (rc < 0)
		return rc;
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		length--;
	text[length] = '\0';
	return 0;
}

struct config_source config_source_process(void)
{
	static char comm[16]; /* TASK_COMM_LEN of the kernel */
	struct config_source source = {
		.getenv = process_getenv,
		.read_file = process_read_file,
		.program_name = program_invocation_short_name,
	};

	if (!source.program_name || !*source.program_name) {
		prctl(PR_GET_NAME, comm);
		source.program_name = comm;
	}
	return source;
}
