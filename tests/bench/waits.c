// SPDX-License-Identifier: Apache-2.0
/*
 * What the hooks of poll(), select() and epoll_wait() cost a wait for nothing.
 *
 *	waits VIP PORT
 *
 * Commands: wait (for the table); connect, which begins a connection and leaves it under way; then
 *	poll, select, epoll_wait	look, and find nothing
 *	poll_1s, ..., poll_ever, ...	find something at once, with and without a time-out
 * which answer nanoseconds a call, of the best and of the median batch; and
 *	late_poll, ...		how much later a wait of 3 ms ends
 *	eintr_poll, ...		how much later one says EINTR than the timer of its signal was set to
 * which answer microseconds, the median; and system_calls: what a wait makes more that may be cut, one prctl() and two
 * rt_sigprocmask().
 */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"

#define BATCH	5000
#define BATCHES 25
#define WAITS	3000
#define SLEEPS	60
#define SLEEP_MS 3

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

static void by_poll(int ms)
{
	struct pollfd one = {.fd = ms ? ready : quiet, .events = POLLIN};

	poll(&one, 1, ms);
}

static void by_select(int ms)
{
	struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int fd = ms ? ready : quiet;
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	select(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &time);
}

static void by_epoll(int ms)
{
	struct epoll_event event;

	epoll_wait(ms ? queue_of_ready : queue_of_quiet, &event, 1, ms);
}

static void by_system_calls(int unused)
{
	sigset_t all, before;

	(void)unused;
	sigfillset(&all);
	prctl(PR_GET_SECCOMP);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static const struct {
	const char *name;
	void (*call)(int ms);
	int ms;
} waits[] = {
	{"system_calls", by_system_calls, 0},
	{"poll", by_poll, 0},
	{"poll_1s", by_poll, 1000},
	{"poll_ever", by_poll, -1},
	{"select", by_select, 0},
	{"select_1s", by_select, 1000},
	{"select_ever", by_select, -1},
	{"epoll_wait", by_epoll, 0},
	{"epoll_wait_1s", by_epoll, 1000},
	{"epoll_wait_ever", by_epoll, -1},
};

/* Waits for what never comes. */
static int sleep_poll(int ms)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	return poll(&one, 1, ms);
}

static int sleep_select(int ms)
{
	struct timeval time = {.tv_usec = ms * 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(quiet, &set);
	return select(quiet + 1, &set, NULL, NULL, ms < 0 ? NULL : &time);
}

static int sleep_epoll(int ms)
{
	struct epoll_event event;

	return epoll_wait(queue_of_quiet, &event, 1, ms);
}

static const struct {
	const char *name;
	int (*call)(int ms);
} sleeps[] = {
	{"poll", sleep_poll},
	{"select", sleep_select},
	{"epoll_wait", sleep_epoll},
};

static void ignore(int number)
{
	(void)number;
}

static void measure_sleep(int (*call)(int ms), int by_signal)
{
	const struct itimerval timer = {.it_value.tv_usec = SLEEP_MS * 1000};
	struct sigaction action = {.sa_handler = ignore};
	uint64_t samples[SLEEPS];

	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < SLEEPS; i++) {
		uint64_t start = bench_now_ns();

		if (by_signal)
			setitimer(ITIMER_REAL, &timer, NULL);
		if (call(by_signal ? -1 : SLEEP_MS) != (by_signal ? -1 : 0))
			bench_die("a wait did not end as it had to");
		samples[i] = bench_now_ns() - start - (uint64_t)SLEEP_MS * 1000000;
	}
	bench_sort(samples, SLEEPS);
	printf("{\"median\": %.1f}\n", (double)(int64_t)bench_percentile(samples, SLEEPS, 50) / 1000);
}

static void measure(void (*call)(int ms), int ms)
{
	uint64_t samples[BATCHES];

	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t start = bench_now_ns();

		for (int i = 0; i < BATCH; i++)
			call(ms);
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
				measure(waits[i].call, waits[i].ms);
		}
		for (unsigned i = 0; i < sizeof(sleeps) / sizeof(sleeps[0]); i++) {
			const char *word = strchr(command, '_');

			if (word && strcmp(word + 1, sleeps[i].name) == 0)
				measure_sleep(sleeps[i].call, command[0] == 'e');
		}
	}
	return 0;
}
