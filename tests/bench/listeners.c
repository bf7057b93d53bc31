// SPDX-License-Identifier: Apache-2.0
/*
 * The pods of the measurement: answers each byte with the letter of the listener that it came to.
 *
 *	listeners PORT IP...		prints {} when it listens, ends with its standard input
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

/* The event data: the kind of descriptor and its letter above, the descriptor below. */
enum kind {
	KIND_INPUT,
	KIND_LISTENER,
	KIND_CONNECTION,
};

static int epoll;

static void add(int fd, enum kind kind, unsigned letter)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)kind << 48 | (uint64_t)letter << 32 | (uint32_t)fd,
	};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("epoll_ctl: %m");
}

static void listen_on(const char *ip, unsigned port, unsigned letter)
{
	struct sockaddr_in address = bench_address(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0)
		bench_die("%s:%u: %m", ip, port);
	add(fd, KIND_LISTENER, letter);
}

static void answer(int fd, unsigned letter)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 1) {
		close(fd);
		return;
	}
	byte = (char)letter;
	send(fd, &byte, 1, MSG_NOSIGNAL);
}

static void handle(uint64_t data)
{
	int fd = (int)(uint32_t)data;
	unsigned letter = (unsigned)(data >> 32) & 0xffff;
	int accepted;

	switch ((enum kind)(data >> 48)) {
	case KIND_INPUT:
		exit(0);
	case KIND_LISTENER:
		accepted = accept4(fd, NULL, NULL, 0);
		if (accepted >= 0)
			add(accepted, KIND_CONNECTION, letter);
		break;
	case KIND_CONNECTION:
		answer(fd, letter);
		break;
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];

	if (argc < 3)
		bench_die("usage: listeners PORT IP...");
	bench_pin(0);
	epoll = epoll_create1(0);
	add(0, KIND_INPUT, 0);
	for (int i = 2; i < argc; i++)
		listen_on(argv[i], (unsigned)atoi(argv[1]), 'a' + (unsigned)(i - 2));
	puts("{}");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < count; i++)
			handle(events[i].data.u64);
	}
}
