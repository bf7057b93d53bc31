// SPDX-License-Identifier: Apache-2.0
/*
 * probe_connect VIP PORT [warm]: makes every odd connect() that a program can make and prints what
 * came of it: result, errno, and the bytes of the address afterwards. With `warm` it connects to
 * VIP:PORT first, so that a table is there; without the shim nobody answers at a VIP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_PORT 17171

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	unsigned char bytes[256];
};

static int listener;

static union address v4(const char *ip, uint16_t port)
{
	union address address;

	memset(&address, 0, sizeof(address));
	address.in.sin_family = AF_INET;
	address.in.sin_port = htons(port);
	inet_pton(AF_INET, ip, &address.in.sin_addr);
	return address;
}

static union address v6(const char *ip, uint16_t port)
{
	union address address;

	memset(&address, 0, sizeof(address));
	address.in6.sin6_family = AF_INET6;
	address.in6.sin6_port = htons(port);
	inet_pton(AF_INET6, ip, &address.in6.sin6_addr);
	return address;
}

static union address mapped(const char *ip, uint16_t port)
{
	char text[64];

	snprintf(text, sizeof(text), "::ffff:%s", ip);
	return v6(text, port);
}

static union address unix_path(const char *path)
{
	union address address;

	memset(&address, 0, sizeof(address));
	address.un.sun_family = AF_UNIX;
	strcpy(address.un.sun_path, path);
	return address;
}

static void report(const char *what, int fd, const void *address, socklen_t len)
{
	int rc;

	errno = 77; /* what a successful call must leave */
	rc = connect(fd, address, len);
	printf("%s: %d errno %d", what, rc, errno);
	if ((uintptr_t)address > 4096 && address != (void *)-1) {
		const unsigned char *bytes = address;

		printf(" bytes ");
		for (size_t i = 0; i < 32; i++)
			printf("%02x", bytes[i]);
	}
	printf("\n");
}

static void probe(const char *what, int domain, int type, union address address, socklen_t len)
{
	int fd = socket(domain, type | SOCK_NONBLOCK, 0);

	report(what, fd, &address, len);
	close(fd);
}

static void probe_streams(const char *vip, uint16_t port)
{
	const socklen_t in = sizeof(struct sockaddr_in);
	const socklen_t in6 = sizeof(struct sockaddr_in6);

	probe("loopback", AF_INET, SOCK_STREAM, v4("127.0.0.1", LISTEN_PORT), in);
	probe("loopback refused", AF_INET, SOCK_STREAM, v4("127.0.0.1", 1), in);
	probe("loopback mapped", AF_INET6, SOCK_STREAM, mapped("127.0.0.1", LISTEN_PORT), in6);
	probe("loopback v6 refused", AF_INET6, SOCK_STREAM, v6("::1", 1), in6);
	probe("another VIP", AF_INET, SOCK_STREAM, v4("10.97.3.3", port), in);
	probe("another port", AF_INET, SOCK_STREAM, v4(vip, port + 1), in);
	probe("another VIP, mapped", AF_INET6, SOCK_STREAM, mapped("10.97.3.3", port), in6);
	probe("multicast", AF_INET, SOCK_STREAM, v4("224.0.0.1", port), in);
	probe("any", AF_INET, SOCK_STREAM, v4("0.0.0.0", 1), in);
	probe("AF_UNSPEC", AF_INET, SOCK_STREAM, (union address){.any.sa_family = AF_UNSPEC}, in);
	probe("AF_UNSPEC, short", AF_INET, SOCK_STREAM, (union address){.any.sa_family = AF_UNSPEC},
	      2);
	probe("unknown family", AF_INET, SOCK_STREAM, (union address){.any.sa_family = 222}, in);
	probe("VIP, v4 address on a v6 socket", AF_INET6, SOCK_STREAM, v4(vip, port), in);
	probe("VIP, v6 address on a v4 socket", AF_INET, SOCK_STREAM, v6("fd00::1", port), in6);
	for (socklen_t len = 0; len < in; len++)
		probe("VIP, short", AF_INET, SOCK_STREAM, v4(vip, port), len);
	probe("VIP, mapped, short", AF_INET6, SOCK_STREAM, mapped(vip, port), 23);
	probe("VIP, 129 bytes", AF_INET, SOCK_STREAM, v4(vip, port), 129);
	probe("VIP, negative length", AF_INET, SOCK_STREAM, v4(vip, port), (socklen_t)-1);
}

static void probe_descriptors(const char *vip, uint16_t port)
{
	union address address = v4(vip, port);
	union address loopback = v4("127.0.0.1", LISTEN_PORT);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int v6_only = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int one = 1;
	int null = open("/dev/null", O_RDWR);

	report("NULL", fd, NULL, sizeof(address.in));
	report("NULL, no length", fd, NULL, 0);
	report("impossible pointer", fd, (void *)-1, sizeof(address.in));
	report("page 0", fd, (void *)16, sizeof(address.in));
	report("VIP, listening socket", listener, &address, sizeof(address.in));
	report("loopback", fd, &loopback, sizeof(loopback.in));
	report("VIP, connected socket", fd, &address, sizeof(address.in));
	close(fd);
	report("VIP, closed fd", fd, &address, sizeof(address.in));
	report("VIP, fd -1", -1, &address, sizeof(address.in));
	report("VIP, no socket", null, &address, sizeof(address.in));
	setsockopt(v6_only, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	address = mapped(vip, port);
	report("VIP, mapped, V6ONLY", v6_only, &address, sizeof(address.in6));
	close(v6_only);
	close(null);
}

static void probe_others(const char *vip, uint16_t port)
{
	union address path = unix_path("/nonexistent/socket");
	union address abstract = unix_path("");
	const socklen_t head = offsetof(struct sockaddr_un, sun_path);

	strcpy(abstract.un.sun_path + 1, "k8slb-nobody");
	probe("UDP to the VIP", AF_INET, SOCK_DGRAM, v4(vip, port), sizeof(struct sockaddr_in));
	probe("unix", AF_UNIX, SOCK_STREAM, path, sizeof(path.un));
	for (socklen_t len = 0; len <= head + 6; len++)
		probe("unix, odd length", AF_UNIX, SOCK_STREAM, path, len);
	probe("unix, long", AF_UNIX, SOCK_STREAM, path, sizeof(path.un) + 1);
	probe("unix, abstract", AF_UNIX, SOCK_STREAM, abstract, head + 13);
	probe("unix, VIP", AF_UNIX, SOCK_STREAM, v4(vip, port), sizeof(struct sockaddr_in));
	probe("VIP, unix address", AF_INET, SOCK_STREAM, path, sizeof(path.un));
}

static int warm_up(const char *vip, uint16_t port)
{
	union address address = v4(vip, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int rc = connect(fd, &address.any, sizeof(address.in));

	close(fd);
	return rc;
}

int main(int argc, char **argv)
{
	union address address = v4("127.0.0.1", LISTEN_PORT);
	const char *vip = argv[1];
	uint16_t port = (uint16_t)atoi(argv[2]);
	int one = 1;

	if (argc > 3 && warm_up(vip, port) < 0) {
		perror("warm-up");
		return 2;
	}
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, &address.any, sizeof(address.in)) < 0 || listen(listener, 10) < 0) {
		perror("listener");
		return 2;
	}
	probe_streams(vip, port);
	probe_descriptors(vip, port);
	probe_others(vip, port);
	return 0;
}
