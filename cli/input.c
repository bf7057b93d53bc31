// SPDX-License-Identifier: Apache-2.0
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/read_file.h"

int input_read(const char *path, struct buffer *content)
{
	int fd;
	int rc;

	if (strcmp(path, "-") == 0)
		return file_append(STDIN_FILENO, content);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	rc = file_append(fd, content);
	close(fd);
	return rc;
}
