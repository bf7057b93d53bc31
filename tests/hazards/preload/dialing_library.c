// SPDX-License-Identifier: Apache-2.0
/*
 * A library that connects in its constructor and its destructor when DIAL_AT=ADDRESS:PORT says
 * where to, and offers dial_from_library(). Its own: none of it comes from a program, so that it
 * can be opened into another namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connects, asks who answers and writes that, without the end of its line, into @name. Returns 0 or
 * -errno. */
__attribute__((visibility("default"))) int dial_from_library(const char *host, int port, char *name,
							     size_t size);

int dial_from_library(const char *host, int port, char *name, size_t size)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t got = -1;
	int error;

	inet_pton(AF_INET, host, &address.sin_addr);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    write(fd, "WHO\n", 4) == 4)
		got = read(fd, name, size - 1);
	error = got > 0 ? 0 : -errno;
	if (got > 0)
		name[got - 1] = '\0';
	close(fd);
	return error;
}

static void dial_at(const char *point)
{
	const char *target = getenv("DIAL_AT");
	char host[64];
	char name[64];
	int port;

	if (!target || sscanf(target, "%63[^:]:%d", host, &port) != 2)
		return;
	if (dial_from_library(host, port, name, sizeof(name)) < 0)
		snprintf(name, sizeof(name), "%s", strerror(errno));
	dprintf(STDOUT_FILENO, "%s %s\n", point, name);
}

__attribute__((constructor)) static void at_constructor(void)
{
	dial_at("constructor");
}

__attribute__((destructor)) static void at_destructor(void)
{
	dial_at("destructor");
}
