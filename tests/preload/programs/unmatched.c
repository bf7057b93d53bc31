// SPDX-License-Identifier: Apache-2.0
/*
 * unmatched VIP PORT: one matched connection, then calls that are none of the shim's business,
 * between two getppid() that a system call trace shows.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void dial(int type, const char *ip, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type, 0);

	inet_pton(AF_INET, ip, &address.sin_addr);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && type == SOCK_STREAM)
		exit(2);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/nonexistent"};
	int fd;

	if (argc < 3)
		return 2;
	dial(SOCK_STREAM, argv[1], atoi(argv[2]));
	getppid();
	dial(SOCK_STREAM | SOCK_NONBLOCK, "127.0.0.1", 1);
	dial(SOCK_STREAM | SOCK_NONBLOCK, "10.97.3.3", atoi(argv[2]));
	dial(SOCK_STREAM | SOCK_NONBLOCK, argv[1], atoi(argv[2]) + 1);
	dial(SOCK_DGRAM, "10.97.3.3", 53);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd, (struct sockaddr *)&path, sizeof(path));
	close(fd);
	getppid();
	return 0;
}
