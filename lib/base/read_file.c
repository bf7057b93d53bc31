// SPDX-License-Identifier: Apache-2.0
#include "base/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CHUNK_SIZE (16 * 1024)

int file_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

ssize_t file_fill(int fd, void *data, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, (char *)data + length, size - length);

		if (got == 0)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			length += (size_t)got;
	}
	return (ssize_t)length;
}

int file_append(int fd, struct buffer *content)
{
	char chunk[CHUNK_SIZE];
	ssize_t got;
	int rc;

	do {
		got = file_fill(fd, chunk, sizeof(chunk));
		rc = got < 0 ? (int)got : buffer_append(content, chunk, (size_t)got);
	} while (rc == 0 && got == sizeof(chunk));
	return rc;
}
