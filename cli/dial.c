// SPDX-License-Identifier: Apache-2.0
#include "dial.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

/* Returns 0 with the socket in @ret_fd, which connects, or the result: 1 it answered, -errno. */
static int begin(const struct dial_target *target, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t size = sockaddr_make(&address, &target->address, target->port);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	*ret_fd = -1;
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) == 0)
		rc = 1;
	else
		rc = errno == EINPROGRESS ? 0 : errno == ECONNREFUSED ? 1 : -errno;
	if (rc == 0)
		*ret_fd = fd;
	else
		close(fd);
	return rc;
}

static int outcome(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error == 0 || error == ECONNREFUSED ? 1 : -error;
}

int dial_any(const struct dial_target *targets, unsigned count, int timeout_ms)
{
	struct pollfd polled[DIAL_TARGETS];
	uint64_t end_ms = clock_monotonic_ms() + (uint64_t)timeout_ms;
	unsigned left = 0;
	int failure = -ETIMEDOUT;
	bool answered = false;

	for (unsigned i = 0; i < count && i < DIAL_TARGETS && !answered; i++) {
		int rc = begin(&targets[i], &polled[left].fd);

		polled[left].events = POLLOUT;
		answered = rc > 0;
		if (rc == 0)
			left++;
		else if (rc < 0)
			failure = rc;
	}
	while (left && !answered) {
		uint64_t now_ms = clock_monotonic_ms();

		if (now_ms >= end_ms || poll(polled, left, (int)(end_ms - now_ms)) == 0) {
			failure = -ETIMEDOUT;
			break;
		}
		for (unsigned i = 0; i < left;) {
			int rc = polled[i].revents ? outcome(polled[i].fd) : 0;

			answered |= rc > 0;
			if (rc == 0) {
				i++;
				continue;
			}
			if (rc < 0)
				failure = rc;
			close(polled[i].fd);
			polled[i] = polled[--left];
		}
	}
	while (left)
		close(polled[--left].fd);
	return answered ? 0 : failure;
}
