// SPDX-License-Identifier: Apache-2.0
/*
 * owed HOST PORT HOW: a connection that does not block, of which all endpoints are dead. When it is shown as failed another one begins
 * (which looks after the first), and the first one's end is asked for: HOW is error (SO_ERROR), write, read, or connect. Prints the
 * events, and what that said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in target = {.sin_family = AF_INET};
	struct pollfd one = {.events = POLLOUT};
	int other, error = 0;
	socklen_t size = sizeof(error);
	char byte;

	if (argc != 4)
		return 2;
	inet_pton(AF_INET, argv[1], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	one.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	connect(one.fd, (struct sockaddr *)&target, sizeof(target));
	if (errno != EINPROGRESS) {
		perror("connect");
		return 3;
	}
	poll(&one, 1, 5000);
	printf("%s%s", one.revents & POLLERR ? "error " : "", one.revents & POLLHUP ? "hang-up " : "");
	for (int i = 0; i < 8; i++) {
		other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(other, (struct sockaddr *)&target, sizeof(target));
		close(other);
	}
	errno = 0;
	if (strcmp(argv[3], "error") == 0)
		getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	else if (strcmp(argv[3], "write") == 0)
		error = send(one.fd, "x", 1, MSG_NOSIGNAL) < 0 ? errno : 0;
	else if (strcmp(argv[3], "read") == 0)
		error = recv(one.fd, &byte, 1, 0) < 0 ? errno : 0;
	else
		error = connect(one.fd, (struct sockaddr *)&target, sizeof(target)) < 0 ? errno : 0;
	puts(strerrorname_np(error) ? strerrorname_np(error) : "nothing");
	return 0;
}
