// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/raw_calls.h"
#include "base/read_file.h"

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
	int fd = file_open(path);
	ssize_t length;

	(void)ctx;
	if (fd < 0)
		return fd;
	length = file_fill(fd, text, size - 1);
	k8slb_raw_close(fd);
	if (length < 0)
		return (int)length;
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
