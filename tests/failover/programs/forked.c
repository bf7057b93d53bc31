// SPDX-License-Identifier: Apache-2.0
/*
 * forked HOST PORT COUNT parent|child|both: a process forks while its connection is under way, and one of the two waits for
 * its outcome, or both; the other one holds the descriptor or closes it. Prints for each of the two how many were
 * answered, refused, shown hung up without an error, without an outcome after five seconds, or otherwise.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table.h"

#define PATIENCE_MS 5000

enum outcome {
	CONNECTED,
	REFUSED,
	HUNG,
	STUCK,
	OTHER,
	OUTCOMES,
};

static enum outcome wait_for(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	if (poll(&poller, 1, PATIENCE_MS) != 1)
		return STUCK;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error && error != ECONNREFUSED)
		fprintf(stderr, "process %d: %s\n", getpid(), strerror(error));
	if (error)
		return error == ECONNREFUSED ? REFUSED : OTHER;
	return poller.revents & (POLLERR | POLLHUP) ? HUNG : CONNECTED;
}

static void tell(const char *who, const unsigned *found)
{
	static const char *const names[OUTCOMES] = {"connected", "refused", "hung", "stuck", "other"};

	for (int i = 0; i < OUTCOMES; i++)
		printf("%s-%s %u\n", who, names[i], found[i]);
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = {.sin_family = AF_INET};
	unsigned parents[OUTCOMES] = {0}, children[OUTCOMES] = {0};

	if (argc != 5)
		return 2;
	inet_pton(AF_INET, argv[1], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	wait_for_table();
	for (int i = atoi(argv[3]); i > 0; i--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), status;
		pid_t child;

		connect(fd, (struct sockaddr *)&target, sizeof(target));
		child = fork();
		if (child == 0) {
			if (argv[4][0] == 'p')
				for (;;)
					pause();
			_exit((int)wait_for(fd));
		}
		if (argv[4][0] == 'c')
			close(fd);
		else
			parents[wait_for(fd)]++;
		if (argv[4][0] == 'p')
			kill(child, SIGKILL);
		waitpid(child, &status, 0);
		if (argv[4][0] != 'p')
			children[WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES ? WEXITSTATUS(status) : OTHER]++;
		if (WIFEXITED(status) && WEXITSTATUS(status) >= OUTCOMES)
			fprintf(stderr, "the child ended with status %d\n", WEXITSTATUS(status));
		if (argv[4][0] != 'c')
			close(fd);
	}
	tell("parent", parents);
	tell("child", children);
	return 0;
}
