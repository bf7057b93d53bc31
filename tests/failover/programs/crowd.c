// SPDX-License-Identifier: Apache-2.0
/*
 * crowd HOST PORT THREADS COUNT: each thread makes COUNT non-blocking connections, up to 16 of them
 * open at once, and treats them in turn as programs do: waits and asks SO_ERROR; waits and connects
 * again; asks for the peer; closes at once; disconnects by AF_UNSPEC and connects again, blocking.
 * Prints how many ended in which errno.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OPEN_AT_ONCE  16
#define HIGHEST_ERRNO 133

static struct sockaddr_in target = {.sin_family = AF_INET};
static unsigned count;
static unsigned ended_in[HIGHEST_ERRNO + 1];

static void tally(int error)
{
	__atomic_fetch_add(&ended_in[error], 1, __ATOMIC_RELAXED);
}

static int begin(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		perror("socket");
		exit(2);
	}
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0 && errno != EINPROGRESS)
		tally(errno);
	return fd;
}

static void wait_for(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};

	poll(&poller, 1, 10000);
}

static int result_of(int rc)
{
	return rc < 0 ? errno : 0;
}

static void finish(int fd, unsigned way)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in peer;
	socklen_t size = sizeof(int);
	int error = 0;

	switch (way % 5) {
	case 0:
		wait_for(fd);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		tally(error);
		break;
	case 1:
		wait_for(fd);
		tally(result_of(connect(fd, (struct sockaddr *)&target, sizeof(target))));
		break;
	case 2:
		wait_for(fd);
		size = sizeof(peer);
		getpeername(fd, (struct sockaddr *)&peer, &size);
		break;
	case 3:
		break;
	case 4:
		connect(fd, &none, sizeof(none));
		fcntl(fd, F_SETFL, 0);
		tally(result_of(connect(fd, (struct sockaddr *)&target, sizeof(target))));
		break;
	}
	close(fd);
}

static void *run(void *unused)
{
	int fds[OPEN_AT_ONCE];

	for (unsigned i = 0; i < count; i++) {
		if (i >= OPEN_AT_ONCE)
			finish(fds[i % OPEN_AT_ONCE], i);
		fds[i % OPEN_AT_ONCE] = begin();
	}
	for (unsigned i = count; i < count + OPEN_AT_ONCE && i >= OPEN_AT_ONCE; i++)
		finish(fds[i % OPEN_AT_ONCE], i);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	unsigned thread_count;

	if (argc != 5)
		return 2;
	inet_pton(AF_INET, argv[1], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	thread_count = (unsigned)atoi(argv[3]) % 65;
	count = (unsigned)atoi(argv[4]);
	for (unsigned i = 0; i < thread_count; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	for (unsigned i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	for (int error = 0; error <= HIGHEST_ERRNO; error++) {
		if (ended_in[error])
			printf("%d %u\n", error, ended_in[error]);
	}
	return 0;
}
