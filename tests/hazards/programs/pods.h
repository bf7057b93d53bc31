/* What the programs of the hazard tests share: a question to a pod, its answer on standard output.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_HAZARDS_PODS_H
#define K8SLB_TESTS_HAZARDS_PODS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A program that hangs is ended by SIGALRM: a failure that the test sees, not one that it waits
 * for. */
#define PODS_WATCHDOG_S 30

/* The address of the command line; also sets the watchdog of this process (fork() does not). */
static inline struct sockaddr_in pods_address(const char *host, const char *port)
{
	struct sockaddr_in vip = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	alarm(PODS_WATCHDOG_S);
	if (inet_pton(AF_INET, host, &vip.sin_addr) != 1)
		exit(2);
	return vip;
}

/* One write(), so that the lines of threads and processes do not mix. */
static inline void pods_say(const char *tag, const char *text)
{
	char line[128];
	size_t used = 0;

	for (; *tag && used < sizeof(line) - 2; tag++)
		line[used++] = *tag;
	line[used++] = ' ';
	for (; *text && *text != '\n' && used < sizeof(line) - 1; text++)
		line[used++] = *text;
	line[used++] = '\n';
	if (write(STDOUT_FILENO, line, used) < 0)
		_exit(3);
}

/* Connects and asks; writes the pod's name to @name, or "errno N". Async-signal-safe, so that a
 * child of a process with threads may call it too. */
static inline void pods_question(const struct sockaddr_in *vip, char *name, size_t size)
{
	struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t got = -1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)vip, sizeof(*vip)) == 0 &&
	    write(fd, "WHO\n", 4) == 4)
		got = read(fd, name, size - 1);
	if (got < 0) {
		int error = errno;

		memcpy(name, "errno 000", sizeof("errno 000"));
		for (int digit = 8; digit > 5; digit--, error /= 10)
			name[digit] = (char)('0' + error % 10);
	} else {
		name[got] = '\0';
	}
	close(fd);
}

/* Asks @count times and prints "TAG NAME" each time. Async-signal-safe. */
static inline void pods_ask(const struct sockaddr_in *vip, const char *tag, int count)
{
	char name[64];

	for (int i = 0; i < count; i++) {
		pods_question(vip, name, sizeof(name));
		pods_say(tag, name);
	}
}

static inline void pods_pause_us(long us)
{
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
		continue;
}

#endif
