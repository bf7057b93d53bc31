// SPDX-License-Identifier: Apache-2.0
/*
 * What the hooks of poll(), select() and epoll_wait() cost a wait for nothing.
 *
 *	waits VIP PORT
 *
 * Commands: wait (for the table); connect, which begins a connection and leaves it under way; then
 * poll, select, epoll_wait, and epoll_wait_1s: with something to be told, and a time-out; system_calls: what such a wait
 * makes more while a connection is under way, one prctl() and two rt_sigprocmask(). Answers:
 * nanoseconds a call, of the best and of the median batch.
 */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define BATCH	5000
#define BATCHES 25
#define WAITS	3000

static struct sockaddr_in vip;
static int quiet, ready; /* eventfds */
static int queue_of_quiet, queue_of_ready;

static int queue_with(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	int queue = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("epoll_ctl");
	return queue;
}

static void by_poll(void)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	poll(&one, 1, 0);
}

static void by_select(void)
{
	struct timeval none = {0, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(quiet, &set);
	select(quiet + 1, &set, NULL, NULL, &none);
}

static void by_epoll(void)
{
	struct epoll_event event;

	epoll_wait(queue_of_quiet, &event, 1, 0);
}

static void by_epoll_1s(void)
{
	struct epoll_event event;

	epoll_wait(queue_of_ready, &event, 1, 1000);
}

static void by_system_calls(void)
{
	sigset_t all, before;

	sigfillset(&all);
	prctl(PR_GET_SECCOMP);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static const struct {
	const char *name;
	void (*call)(void);
} waits[] = {
	{"system_calls", by_system_calls},
	{"poll", by_poll},
	{"select", by_select},
	{"epoll_wait", by_epoll},
	{"epoll_wait_1s", by_epoll_1s},
};

static void measure(void (*call)(void))
{
	uint64_t samples[BATCHES];

	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t start = bench_now_ns();

		for (int i = 0; i < BATCH; i++)
			call();
		samples[batch] = bench_now_ns() - start;
	}
	bench_sort(samples, BATCHES);
	printf("{\"best\": %.2f, \"median\": %.2f}\n", (double)samples[0] / BATCH,
	       (double)bench_percentile(samples, BATCHES, 50) / BATCH);
}

/* Blocking: the Service's address leads somewhere once there is a table. */
static void wait_for_table(void)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (int tries = 0; tries < WAITS; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int rc = connect(fd, (struct sockaddr *)&vip, sizeof(vip));

		close(fd);
		if (rc == 0) {
			puts("{}");
			return;
		}
		nanosleep(&pause, NULL);
	}
	bench_die("no table");
}

/* Nobody asks what comes of it. */
static void begin(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	connect(fd, (struct sockaddr *)&vip, sizeof(vip));
	puts("{}");
}

int main(int argc, char **argv)
{
	char line[64];
	char *command;

	if (argc != 3)
		bench_die("usage: waits VIP PORT");
	vip = bench_address(argv[1], (unsigned)atoi(argv[2]));
	quiet = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	queue_of_quiet = queue_with(quiet);
	queue_of_ready = queue_with(ready);
	bench_pin(0);
	while ((command = bench_command(line, sizeof(line)))) {
		if (strcmp(command, "wait") == 0)
			wait_for_table();
		else if (strcmp(command, "connect") == 0)
			begin();
		for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
			if (strcmp(command, waits[i].name) == 0)
				measure(waits[i].call);
		}
	}
	return 0;
}
