/* One connection to a Service, from anywhere: no malloc, no stdio, no lock of its own. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_HAZARDS_DIAL_H
#define K8SLB_TESTS_HAZARDS_DIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DIAL_NAME_SIZE 64

/* The result of a call that is made anew when a handler interrupted it. */
#define DIAL_AGAIN(call)                                     \
	({                                                   \
		ssize_t dial_result;                         \
                                                             \
		do {                                         \
			dial_result = (call);                \
		} while (dial_result < 0 && errno == EINTR); \
		dial_result;                                 \
	})

/* @port: a decimal number; strtol() is the libc's and asks for the locale. */
static inline struct sockaddr_in dial_address(const char *host, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	unsigned number = 0;

	for (; *port >= '0' && *port <= '9'; port++)
		number = number * 10 + (unsigned)(*port - '0');
	address.sin_port = htons((uint16_t)number);
	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

/*
 * Connects, asks who answers, closes. Writes the name of the pod, or "errno N", into @name.
 * A handler that interrupts connect() leaves it going on: what follows waits for its end.
 */
static inline void dial(const struct sockaddr_in *address, char name[DIAL_NAME_SIZE])
{
	struct timeval longest = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t size = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EINTR) {
		size = DIAL_AGAIN(write(fd, "WHO\n", 4));
		if (size > 0)
			size = DIAL_AGAIN(read(fd, name, DIAL_NAME_SIZE - 1));
	}
	if (size > 0) {
		name[size - 1] = '\0'; /* the end of the line */
	} else {
		memcpy(name, "errno 000", sizeof("errno 000"));
		name[6] = (char)('0' + errno / 100);
		name[7] = (char)('0' + errno / 10 % 10);
		name[8] = (char)('0' + errno % 10);
	}
	if (fd >= 0)
		close(fd);
}

/* One line of standard output by one write(2): @what, a space, @name. */
static inline void dial_tell(const char *what, const char *name)
{
	char line[2 * DIAL_NAME_SIZE + 2];
	size_t size = strlen(what);

	memcpy(line, what, size);
	line[size++] = ' ';
	memcpy(line + size, name, strlen(name));
	size += strlen(name);
	line[size++] = '\n';
	if (write(STDOUT_FILENO, line, size) < 0)
		_exit(3);
}

static inline void dial_and_tell(const char *what, const struct sockaddr_in *address)
{
	char name[DIAL_NAME_SIZE];

	dial(address, name);
	dial_tell(what, name);
}

#endif
