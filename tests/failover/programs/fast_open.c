// SPDX-License-Identifier: Apache-2.0
/*
 * fast_open HOST PORT COUNT LONGEST_MS: COUNT connections with TCP_FASTOPEN_CONNECT, one after the other, which do not block. When
 * one is writable it says WHO, and waits LONGEST_MS for the answer. Prints a line for each: the pod, or
 * "state=N" of TCP then, and as a second word "sent" if connect() said 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

int main(int argc, char **argv)
{
	struct sockaddr_in target = {.sin_family = AF_INET};
	int on = 1;

	if (argc != 5)
		return 2;
	inet_pton(AF_INET, argv[1], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	for (int i = 0; i < atoi(argv[3]); i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		struct pollfd one = {.fd = fd, .events = POLLOUT};
		char answer[64] = "";
		uint8_t state = 0;
		socklen_t size = sizeof(state);
		int rc;

		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
		rc = connect(fd, (struct sockaddr *)&target, sizeof(target));
		poll(&one, 1, 5000);
		send(fd, "WHO\n", 4, MSG_NOSIGNAL);
		one.events = POLLIN;
		poll(&one, 1, atoi(argv[4]));
		if (recv(fd, answer, sizeof(answer) - 1, 0) > 0) {
			answer[strcspn(answer, "\n")] = '\0';
		} else {
			getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size);
			snprintf(answer, sizeof(answer), "state=%u", state);
		}
		printf("%s%s\n", answer, rc ? "" : " sent");
		fflush(stdout);
		close(fd);
	}
	return 0;
}
