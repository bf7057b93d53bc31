// SPDX-License-Identifier: Apache-2.0
/*
 * signalled WAY HOST PORT COUNT PERIOD_US restart|plain: COUNT connections, each begun without blocking and waited for, without an
 * end, by the call WAY while signals come: one every PERIOD_US, or where that is 0 those that somebody else sends. Calls with a
 * mask (ppoll, pselect, epoll_pwait, epoll_pwait2) have the signal open while they wait, and only then.
 *
 * Prints how many connections came about ("connected") or failed, calls ("waits"), calls that said EINTR; handlers that ran within a
 * call; calls in which one ran and that did not say so, or in which two did ("lost"); calls after which the thread's mask was
 * another one ("masks"); handlers whose context had another mask than the program's ("contexts").
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static int queue;
static sigset_t own_mask, open_mask;
static volatile sig_atomic_t is_waiting, ran;
static unsigned contexts;

static bool is_same(const sigset_t *one, const sigset_t *other)
{
	for (int number = 1; number <= SIGRTMAX; number++) {
		if (sigismember(one, number) != sigismember(other, number))
			return false;
	}
	return true;
}

static void note(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	if (!is_waiting)
		return;
	ran++;
	if (!is_same(&((ucontext_t *)context)->uc_sigmask, &own_mask))
		contexts++;
}

static int by_poll(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};

	return poll(&one, 1, -1);
}

static int by_ppoll(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};

	return ppoll(&one, 1, NULL, &open_mask);
}

static int by_ppoll_bare(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};

	return ppoll(&one, 1, NULL, NULL);
}

static int by_select(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, NULL, &set, NULL, NULL);
}

static int by_pselect(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return pselect(fd + 1, NULL, &set, NULL, NULL, &open_mask);
}

static int by_epoll_wait(int fd)
{
	struct epoll_event event;

	(void)fd;
	return epoll_wait(queue, &event, 1, -1);
}

static int by_epoll_pwait(int fd)
{
	struct epoll_event event;

	(void)fd;
	return epoll_pwait(queue, &event, 1, -1, &open_mask);
}

static int by_epoll_pwait2(int fd)
{
	struct epoll_event event;

	(void)fd;
	return epoll_pwait2(queue, &event, 1, NULL, &open_mask);
}

static const struct {
	const char *name;
	int (*wait)(int fd);
	bool has_mask;
} ways[] = {
	{"poll", by_poll, false},
	{"ppoll", by_ppoll, true},
	{"ppoll_bare", by_ppoll_bare, false},
	{"select", by_select, false},
	{"pselect", by_pselect, true},
	{"epoll_wait", by_epoll_wait, false},
	{"epoll_pwait", by_epoll_pwait, true},
	{"epoll_pwait2", by_epoll_pwait2, true},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Signals come from here on. */
static void prepare(bool has_mask, long period_us, bool restarts)
{
	static const int numbers[] = {SIGUSR1, SIGALRM};
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | (restarts ? SA_RESTART : 0)};
	struct itimerval timer = {.it_interval.tv_usec = period_us, .it_value.tv_usec = period_us};

	sigemptyset(&action.sa_mask);
	sigprocmask(SIG_SETMASK, NULL, &own_mask);
	open_mask = own_mask;
	for (unsigned i = 0; i < 2; i++) {
		sigaction(numbers[i], &action, NULL);
		if (has_mask)
			sigaddset(&own_mask, numbers[i]);
	}
	sigprocmask(SIG_SETMASK, &own_mask, NULL);
	if (period_us)
		setitimer(ITIMER_REAL, &timer, NULL);
}

/* A connection that blocks waits for it; others do so for a moment. */
static void wait_for_table(const struct sockaddr_in *target)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGUSR1, SIG_IGN);
	connect(fd, (const struct sockaddr *)target, sizeof(*target));
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = {.sin_family = AF_INET};
	unsigned connected = 0, failed = 0, waits = 0, interrupted = 0, handlers = 0, lost = 0, masks = 0;
	unsigned way = 0;

	while (argc == 7 && way < WAYS && strcmp(ways[way].name, argv[1]) != 0)
		way++;
	if (argc != 7 || way == WAYS)
		return 2;
	inet_pton(AF_INET, argv[2], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[3]));
	queue = epoll_create1(EPOLL_CLOEXEC);
	wait_for_table(&target);
	prepare(ways[way].has_mask, atol(argv[5]), argv[6][0] == 'r');
	for (int i = atoi(argv[4]); i > 0; i--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0, rc;
		struct epoll_event event = {.events = EPOLLOUT};
		socklen_t size = sizeof(error);

		connect(fd, (struct sockaddr *)&target, sizeof(target));
		epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
		do {
			sigset_t mask;
			bool says_so;

			ran = 0;
			is_waiting = 1;
			rc = ways[way].wait(fd);
			is_waiting = 0;
			says_so = rc < 0 && errno == EINTR;
			waits++;
			interrupted += says_so;
			handlers += (unsigned)ran;
			lost += ran > 1 || (ran && !says_so);
			sigprocmask(SIG_SETMASK, NULL, &mask);
			masks += !is_same(&mask, &own_mask);
		} while (rc < 0 && errno == EINTR);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		connected += rc > 0 && !error;
		failed += rc < 0 || error;
		close(fd);
	}
	printf("connected %u\nfailed %u\nwaits %u\nEINTR %u\nhandlers %u\nlost %u\nmasks %u\ncontexts %u\n", connected, failed,
	       waits, interrupted, handlers, lost, masks, contexts);
	return 0;
}
