// SPDX-License-Identifier: Apache-2.0
/*
 * A library whose constructor begins to connect to PENDING_CONNECTION=HOST:PORT without blocking, and
 * keeps the socket at a high number: whoever waits in this process does so beside a connection
 * that is under way.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NUMBER 900

__attribute__((constructor)) static void begin(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const char *target = getenv("PENDING_CONNECTION");
	char host[INET_ADDRSTRLEN];
	unsigned short port;
	int fd, high;

	if (!target || sscanf(target, "%15[0-9.]:%hu", host, &port) != 2)
		return;
	inet_pton(AF_INET, host, &address.sin_addr);
	address.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Before it connects: the connection is this descriptor's. */
	high = fcntl(fd, F_DUPFD_CLOEXEC, NUMBER);
	close(fd);
	connect(high, (struct sockaddr *)&address, sizeof(address));
}
