// SPDX-License-Identifier: Apache-2.0
/*
 * What proxifiers of the tsocks kind do, without the proxy: stands before connect(), getaddrinfo()
 * and getpeername(), appends "connect ADDRESS:PORT", "getaddrinfo NAME" or "getpeername" to the
 * file of HOOK_LOG, and calls the next one.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Looked up at the first call, as the old ones do; no constructor. */
#define NEXT(name)                      \
	static union {                  \
		void *object;           \
		__typeof__(name) *call; \
	} next;                         \
	if (!next.object)               \
	next.object = dlsym(RTLD_NEXT, #name)

static void note(const char *line)
{
	int saved_errno = errno;
	const char *path = getenv("HOOK_LOG");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;

	if (fd >= 0) {
		dprintf(fd, "%s\n", line);
		close(fd);
	}
	errno = saved_errno;
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
	char text[INET_ADDRSTRLEN];
	char line[64];
	NEXT(connect);

	if (in && in->sin_family == AF_INET && size >= sizeof(*in)) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(line, sizeof(line), "connect %s:%u", text, ntohs(in->sin_port));
		note(line);
	}
	return next.call(fd, address, size);
}

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **result)
{
	char line[128];
	NEXT(getaddrinfo);

	snprintf(line, sizeof(line), "getaddrinfo %.80s", node ? node : "(none)");
	note(line);
	return next.call(node, service, hints, result);
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *size)
{
	NEXT(getpeername);

	note("getpeername");
	return next.call(fd, address, size);
}
