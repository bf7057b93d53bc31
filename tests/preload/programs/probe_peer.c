// SPDX-License-Identifier: Apache-2.0
/*
 * probe_peer VIP PORT: connects and asks getpeername() in every way that a program can: buffers of
 * all sizes, bad pointers, duplicates, a child, and after the socket went elsewhere.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address_of(const char *ip, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ip, &address.sin_addr);
	return address;
}

static void show(const char *what, int fd)
{
	struct sockaddr_in peer = {0};
	socklen_t len = sizeof(peer);
	char text[INET_ADDRSTRLEN];
	int rc;

	errno = 77;
	rc = getpeername(fd, (struct sockaddr *)&peer, &len);
	inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
	printf("%s: %d errno %d length %u %s:%u\n", what, rc, errno, len, text,
	       ntohs(peer.sin_port));
	fflush(stdout);
}

static void show_truncated(int fd, socklen_t room)
{
	unsigned char buffer[32];
	socklen_t len = room;
	int rc;

	memset(buffer, 0xee, sizeof(buffer));
	rc = getpeername(fd, (struct sockaddr *)buffer, &len);
	printf("room %u: %d length %u bytes ", room, rc, len);
	for (size_t i = 0; i < 20; i++)
		printf("%02x", buffer[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct sockaddr_in vip = address_of(argv[1], (uint16_t)atoi(argv[2]));
	struct sockaddr_in unspecified = {.sin_family = AF_UNSPEC};
	socklen_t len = (socklen_t)-1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int copy;
	int rc;

	(void)argc;
	show("not connected", fd);
	if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) < 0) {
		perror("connect");
		return 2;
	}
	show("connected", fd);
	copy = dup(fd);
	show("duplicate", copy);
	if (fork() == 0) {
		show("child", copy);
		_exit(0);
	}
	wait(NULL);
	for (socklen_t room = 0; room <= 16; room += 4)
		show_truncated(fd, room);
	show_truncated(fd, 20);
	rc = getpeername(fd, (struct sockaddr *)&vip, &len);
	printf("negative length: %d errno %d\n", rc, errno);
	rc = getpeername(fd, NULL, &len);
	printf("no buffer: %d\n", rc);
/* A sanitizer's own getpeername() reads what the pointers point to. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	rc = getpeername(copy + 100, (void *)-1, (void *)-1);
	printf("bad fd: %d errno %d\n", rc, errno);
	rc = getpeername(socket(AF_INET, SOCK_STREAM, 0), (void *)-1, (void *)-1);
	printf("bad pointers, not connected: %d errno %d\n", rc, errno);
#endif
	if (connect(fd, (struct sockaddr *)&unspecified, sizeof(unspecified)) == 0)
		show("disconnected", fd);
	return 0;
}
