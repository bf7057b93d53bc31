// SPDX-License-Identifier: Apache-2.0
/*
 * connect_loop HOST PORT COUNT [plain]: connects COUNT times in the way of Java's NioSocketImpl and
 * prints the pod that answered each time: an AF_INET6 socket whose IPV6_V6ONLY is off,
 * non-blocking, connected to the v4-mapped address, poll(), SO_ERROR. plain: a blocking AF_INET
 * socket instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int finish_connect(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	if (errno != EINPROGRESS)
		return -1;
	if (poll(&wait, 1, 5000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

static int connect_mapped(const struct sockaddr_in *vip)
{
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = vip->sin_port};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int off = 0;

	mapped.sin6_addr.s6_addr[10] = 0xff;
	mapped.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&mapped.sin6_addr.s6_addr[12], &vip->sin_addr, 4);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)) < 0 && finish_connect(fd) < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static int connect_plain(const struct sockaddr_in *vip)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)vip, sizeof(*vip)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void ask(int fd)
{
	char name[64];
	ssize_t size = write(fd, "WHO\n", 4) == 4 ? read(fd, name, sizeof(name)) : -1;

	printf("%.*s", size > 0 ? (int)size : 0, name);
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	struct sockaddr_in vip;
	int rc;

	if (argc < 4)
		return 2;
	rc = getaddrinfo(argv[1], argv[2], &hints, &found);
	if (rc) {
		fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(rc));
		return 1;
	}
	memcpy(&vip, found->ai_addr, sizeof(vip));
	freeaddrinfo(found);
	for (int i = atoi(argv[3]); i > 0; i--) {
		int fd = argc > 4 ? connect_plain(&vip) : connect_mapped(&vip);

		if (fd < 0) {
			printf("%s\n", strerror(errno));
			continue;
		}
		ask(fd);
		close(fd);
	}
	return 0;
}
