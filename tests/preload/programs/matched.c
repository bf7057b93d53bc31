// SPDX-License-Identifier: Apache-2.0
/*
 * matched VIP PORT COUNT: one matched connection, then COUNT more of each kind, between getppid()
 * calls that a system call trace shows: blocking; blocking again when a socket was given a
 * TCP_USER_TIMEOUT, which lies between the two; made non-blocking; and set so after socket().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in vip;

static void dial(int type, int flags)
{
	int fd = socket(AF_INET, type, 0);

	if (flags)
		fcntl(fd, F_SETFL, flags);
	if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) < 0 && errno != EINPROGRESS)
		exit(2);
	close(fd);
}

int main(int argc, char **argv)
{
	int count, fd;
	unsigned none = 0;

	if (argc < 4)
		return 2;
	vip = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &vip.sin_addr);
	count = atoi(argv[3]);
	dial(SOCK_STREAM, 0);
	getppid();
	for (int i = 0; i < count; i++)
		dial(SOCK_STREAM, 0);
	getppid();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &none, sizeof(none));
	close(fd);
	getppid();
	for (int i = 0; i < count; i++)
		dial(SOCK_STREAM, 0);
	getppid();
	for (int i = 0; i < count; i++)
		dial(SOCK_STREAM | SOCK_NONBLOCK, 0);
	getppid();
	for (int i = 0; i < count; i++)
		dial(SOCK_STREAM, O_RDWR | O_NONBLOCK);
	getppid();
	return 0;
}
