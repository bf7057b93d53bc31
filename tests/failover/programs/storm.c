// SPDX-License-Identifier: Apache-2.0
/*
 * storm HOST PORT COUNT PARALLEL lt|et|oneshot EPOLLS SECONDS: connections that one thread makes, PARALLEL at
 * a time, and that three threads wait for in one epoll, or each connection in two epolls at once (EPOLLS).
 * Each says WHO and wants an answer. Prints how many got one ("answered"), had none after SECONDS
 * ("stuck"), were shown hung up without an error ("hung"), closed ("closed"), or ended in which errno.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

#define THREADS	      3
#define HIGHEST_ERRNO 133

enum state {
	CONNECTING,
	ASKED,
	DONE,
};

enum end {
	ANSWERED,
	HUNG,
	CLOSED,
	FAILED, /* + errno */
};

struct connection {
	int fd;
	atomic_int state;
	atomic_uint shown; /* events, all of them so far */
	atomic_uint turns; /* 0: nobody is at it; else who is at it looks again when more have come */
};

static int epolls[2], epoll_count;
static uint32_t flags;
static atomic_bool over;
static atomic_uint ended_in[FAILED + HIGHEST_ERRNO + 1];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void control(struct connection *one, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLRDHUP | flags, .data.ptr = one};

	for (int i = 0; i < epoll_count; i++)
		epoll_ctl(epolls[i], operation, one->fd, &event);
}

static void end(struct connection *one, int how)
{
	ended_in[how]++;
	control(one, EPOLL_CTL_DEL, 0);
	one->state = DONE; /* the last touch: main() closes it */
}

static void connected(struct connection *one, uint32_t shown)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (!(shown & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		end(one, FAILED + error);
	else if (shown & (EPOLLERR | EPOLLHUP))
		end(one, HUNG);
	else if (send(one->fd, "WHO\n", 4, MSG_NOSIGNAL) != 4)
		end(one, FAILED + errno);
	else {
		one->state = ASKED;
		control(one, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void answered(struct connection *one)
{
	char answer[64];
	ssize_t size = recv(one->fd, answer, sizeof(answer), 0);

	if (size > 0)
		end(one, ANSWERED);
	else if (size == 0)
		end(one, CLOSED);
	else if (errno != EAGAIN)
		end(one, FAILED + errno);
	else
		control(one, EPOLL_CTL_MOD, EPOLLIN); /* of ONESHOT */
}

/* Of all threads that have an event of it one takes the steps, as long as more come. */
static void handle(struct connection *one, uint32_t events)
{
	unsigned turns;

	one->shown |= events;
	if (one->turns++)
		return;
	do {
		turns = one->turns;
		if (one->state == CONNECTING)
			connected(one, one->shown);
		else if (one->state == ASKED)
			answered(one);
	} while (!atomic_compare_exchange_strong(&one->turns, &turns, 0));
}

static void *wait_for_all(void *epoll)
{
	struct epoll_event events[16];

	while (!over) {
		int count = epoll_wait(*(int *)epoll, events, 16, 50);

		for (int i = 0; i < count; i++)
			handle(events[i].data.ptr, events[i].events);
	}
	return NULL;
}

static void begin(struct connection *one, const struct sockaddr_in *target)
{
	one->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(one->fd, (const struct sockaddr *)target, sizeof(*target)) < 0 && errno != EINPROGRESS) {
		ended_in[FAILED + errno]++;
		one->state = DONE;
	} else {
		control(one, EPOLL_CTL_ADD, EPOLLOUT);
	}
}

static unsigned open_ones(struct connection *some, int count)
{
	unsigned found = 0;

	for (int i = 0; i < count; i++)
		found += some[i].state != DONE;
	return found;
}

static void tell_stuck(struct connection *one)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	getsockopt(one->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
	fprintf(stderr, "stuck: step %d, shown %x, TCP state %d\n", one->state, one->shown, info.tcpi_state);
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = {.sin_family = AF_INET};
	static const char *const names[] = {"answered", "hung", "closed"};
	int count, parallel;
	unsigned stuck = 0;
	pthread_t threads[THREADS];
	struct connection *all;

	if (argc != 8)
		return 2;
	inet_pton(AF_INET, argv[1], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	count = atoi(argv[3]);
	parallel = atoi(argv[4]);
	wait_for_table();
	flags = argv[5][0] == 'e' ? EPOLLET : argv[5][0] == 'o' ? EPOLLONESHOT : 0;
	epoll_count = atoi(argv[6]) == 2 ? 2 : 1;
	for (int i = 0; i < epoll_count; i++)
		epolls[i] = epoll_create1(EPOLL_CLOEXEC);
	/* Never freed: an event may come late. */
	all = calloc((size_t)count, sizeof(*all));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_for_all, &epolls[i % epoll_count]);
	for (int first = 0; first < count; first += parallel) {
		int some = count - first < parallel ? count - first : parallel;
		double until = now() + atof(argv[7]);

		for (int i = first; i < first + some; i++)
			begin(&all[i], &target);
		while (open_ones(&all[first], some) && now() < until)
			usleep(200);
		for (int i = first; i < first + some; i++) {
			if (all[i].state != DONE) {
				stuck++;
				tell_stuck(&all[i]);
			} else {
				close(all[i].fd);
			}
		}
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("stuck %u\n", stuck);
	for (int i = 0; i < FAILED; i++)
		printf("%s %u\n", names[i], ended_in[i]);
	for (int i = FAILED; i <= FAILED + HIGHEST_ERRNO; i++) {
		if (ended_in[i])
			printf("errno-%d %u\n", i - FAILED, ended_in[i]);
	}
	return 0;
}
