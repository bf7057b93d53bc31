// SPDX-License-Identifier: Apache-2.0
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int read_all(int fd, struct buffer *content)
{
	char chunk[64 * 1024];

	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		int rc;

		if (got == 0)
			return 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		rc = buffer_append(content, chunk, (size_t)got);
		if (rc < 0)
			return rc;
	}
}

int input_read(const char *path, struct buffer *content)
{
	int fd;
	int rc;

	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, content);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	rc = read_all(fd, content);
	close(fd);
	return rc;
}
