// SPDX-License-Identifier: Apache-2.0
/*
 * hook_allocations VIP PORT NAME: calls each intercepted function, and prints how often the calling
 * thread asked malloc() and its kin for memory meanwhile. The allocator is this program's own, as
 * that of many programs is. What a first call prepares counts in the last line only, the whole life
 * of the first thread, constructors included.
 */
#include <arpa/inet.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static __thread unsigned allocations;

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	allocations++;
	return __libc_realloc(memory, size);
}

void free(void *memory)
{
	__libc_free(memory);
}

static const char *name;
static struct sockaddr_in vip;
static struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_port = 1};

static void call_connect(const struct sockaddr_in *address)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		getpeername(fd, (struct sockaddr *)&peer, &size);
	close(fd);
}

static void connect_to_service(void)
{
	call_connect(&vip);
}

static void connect_elsewhere(void)
{
	call_connect(&elsewhere);
}

static void look_up(const char *host, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *list;

	if (getaddrinfo(host, "80", &hints, &list) == 0)
		freeaddrinfo(list);
}

static void getaddrinfo_number(void)
{
	look_up("127.0.0.1", AI_NUMERICHOST);
}

static void getaddrinfo_name(void)
{
	look_up(name, 0);
}

static void gethostbyname_name(void)
{
	gethostbyname(name);
}

static void gethostbyname_r_name(void)
{
	char buffer[1024];
	struct hostent host, *found;
	int error;

	gethostbyname_r(name, &host, buffer, sizeof(buffer), &found, &error);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"connect and getpeername, Service", connect_to_service},
	{"connect and getpeername, elsewhere", connect_elsewhere},
	{"getaddrinfo, number", getaddrinfo_number},
	{"getaddrinfo, name", getaddrinfo_name},
	{"gethostbyname, name", gethostbyname_name},
	{"gethostbyname_r, name", gethostbyname_r_name},
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	vip = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &vip.sin_addr);
	elsewhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	name = argv[3];
	setlocale(LC_ALL, "");
	printf("\n"); /* the stream's buffer */
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned before;

		calls[i].call();
		before = allocations;
		calls[i].call();
		printf("%s: %u\n", calls[i].name, allocations - before);
	}
	printf("whole program: %u\n", allocations);
	return 0;
}
