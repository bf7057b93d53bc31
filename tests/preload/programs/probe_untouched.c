// SPDX-License-Identifier: Apache-2.0
/*
 * probe_untouched VIP PORT: connects from an address in read-only memory, blocking and not, IPv4
 * and v4-mapped; prints errno afterwards and what changed at the socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void probe(const char *what, int type, const void *address, socklen_t len)
{
	const struct sockaddr *readable = address;
	int fd = socket(readable->sa_family, type, 0);
	int flags = fcntl(fd, F_GETFL);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);
	int rc;

	memcpy(page, address, len);
	mprotect(page, 4096, PROT_READ);
	errno = 77;
	rc = connect(fd, page, len);
	printf("%s: %d errno %d, address %s, flags %s", what, rc, errno,
	       memcmp(page, address, len) == 0 ? "kept" : "changed",
	       fcntl(fd, F_GETFL) == flags ? "kept" : "changed");
	poll(&writable, 1, 5000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	printf(", then %d", error);
	/* What hiredis does, twice. The first may still be 0, as without the shim. */
	connect(fd, page, len);
	errno = 77;
	rc = connect(fd, page, len);
	printf(", again %d errno %d\n", rc, errno);
	munmap(page, 4096);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_flowinfo = htonl(5)};
	char mapped[64];

	if (argc < 3)
		return 2;
	in.sin_port = in6.sin6_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &in.sin_addr);
	snprintf(mapped, sizeof(mapped), "::ffff:%s", argv[1]);
	inet_pton(AF_INET6, mapped, &in6.sin6_addr);
	for (int i = 0; i < 4; i++) {
		probe("blocking", SOCK_STREAM, &in, sizeof(in));
		probe("non-blocking", SOCK_STREAM | SOCK_NONBLOCK, &in, sizeof(in));
		probe("mapped", SOCK_STREAM, &in6, sizeof(in6));
	}
	return 0;
}
