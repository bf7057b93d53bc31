// SPDX-License-Identifier: Apache-2.0
/*
 * stack_depth VIP PORT NAME CALL [SIZE]: how many bytes of stack a call takes at its deepest, with
 * signals as they come. connect ADDRESS of the Service, elsewhere (127.0.0.1), getpeername of such
 * a connection, getaddrinfo NAME, gethostbyname_r NAME; poll, select, epoll_wait: for a connection without
 * blocking that began before, until it is there or a second is over; again-CALL: the second one, when everything
 * is bound and read; nothing: what a thread costs. The call is made by a thread on a stack that was
 * painted before. Prints "CALL BYTES", and an answer for each call: "address A.B.C.D" or "pod
 * NAME". With SIZE the stack is so large instead, unpainted, with a guard page below it, as
 * pthread_attr_setstacksize() makes it, and only the answer is printed.
 */
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>

#include "dial.h"

#define STACK_SIZE (256 * 1024)
#define PAINT	   0xa5

static struct sockaddr_in vip;
static const char *host;
static const char *call;

static char answer[128];

static void say(const char *kind, const char *text)
{
	size_t used = strlen(kind);

	memcpy(answer, kind, used);
	answer[used++] = ' ';
	memcpy(answer + used, text, strlen(text) + 1);
}

static void say_address(const void *address)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, address, text, sizeof(text));
	say("address", text);
}

static void by_connect(void)
{
	char name[DIAL_NAME_SIZE];

	dial(&vip, name);
	say("pod", name);
}

static void by_elsewhere(void)
{
	struct sockaddr_in address = dial_address("127.0.0.1", "1");
	char name[DIAL_NAME_SIZE];

	dial(&address, name);
	say("pod", name);
}

static void by_getpeername(void)
{
	struct sockaddr_in peer = {0};
	socklen_t size = sizeof(peer);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&vip, sizeof(vip)) == 0)
		getpeername(fd, (struct sockaddr *)&peer, &size);
	close(fd);
	say_address(&peer.sin_addr);
}

static void by_getaddrinfo(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;

	if (getaddrinfo(host, NULL, &hints, &list) == 0) {
		say_address(&((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr);
		freeaddrinfo(list);
	} else {
		say("address", "none");
	}
}

static void by_gethostbyname_r(void)
{
	static char buffer[2048];
	struct hostent entry;
	struct hostent *found = NULL;
	int error;

	if (gethostbyname_r(host, &entry, buffer, sizeof(buffer), &found, &error) == 0 && found)
		say_address(found->h_addr_list[0]);
	else
		say("address", "none");
}

static int under_way = -1;

static void by_poll(void)
{
	struct pollfd one = {.fd = under_way, .events = POLLOUT};

	poll(&one, 1, 1000);
	say("pod", "none");
}

static void by_select(void)
{
	struct timeval time = {.tv_sec = 1};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(under_way, &set);
	select(under_way + 1, NULL, &set, NULL, &time);
	say("pod", "none");
}

static void by_epoll_wait(void)
{
	struct epoll_event event = {.events = EPOLLOUT};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, under_way, &event);
	epoll_wait(epoll, &event, 1, 1000);
	say("pod", "none");
}

static void begin(void)
{
	under_way = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(under_way, (struct sockaddr *)&vip, sizeof(vip)) == 0 || errno != EINPROGRESS)
		exit(4);
}

static void nothing(void)
{
	say("pod", "none");
}

static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	{"nothing", nothing},
	{"connect", by_connect},
	{"elsewhere", by_elsewhere},
	{"getpeername", by_getpeername},
	{"poll", by_poll},
	{"select", by_select},
	{"epoll_wait", by_epoll_wait},
	{"getaddrinfo", by_getaddrinfo},
	{"gethostbyname_r", by_gethostbyname_r},
};

static void *run(void *unused)
{
	const char *name = strncmp(call, "again-", 6) == 0 ? call + 6 : call;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(calls[i].name, name) == 0)
			calls[i].run();
	}
	return unused;
}

static void in_thread(const pthread_attr_t *attributes)
{
	pthread_t thread;

	if (pthread_create(&thread, attributes, run, NULL))
		exit(3);
	pthread_join(thread, NULL);
}

/* A thread on a painted stack; the bytes between its top and the deepest one that changed. */
static size_t depth(void)
{
	unsigned char *stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	size_t untouched = 0;

	if (stack == MAP_FAILED)
		exit(3);
	memset(stack, PAINT, STACK_SIZE);
	pthread_attr_init(&attributes);
	if (pthread_attr_setstack(&attributes, stack, STACK_SIZE))
		exit(3);
	in_thread(&attributes);
	while (untouched < STACK_SIZE && stack[untouched] == PAINT)
		untouched++;
	munmap(stack, STACK_SIZE);
	return STACK_SIZE - untouched;
}

static void in_small_stack(size_t size)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	if (pthread_attr_setstacksize(&attributes, size))
		exit(3);
	in_thread(&attributes);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	vip = dial_address(argv[1], argv[2]);
	host = argv[3];
	call = argv[4];
	if (strncmp(call, "again-", 6) == 0)
		run(NULL);
	if (strstr("poll select epoll_wait", call))
		begin();
	if (argc > 5) {
		long least = sysconf(_SC_THREAD_STACK_MIN);
		long size = atol(argv[5]) * 1024;

		in_small_stack((size_t)(size < least ? least : size));
	} else {
		printf("%s %zu\n", call, depth());
	}
	printf("%s\n", answer);
	return 0;
}
