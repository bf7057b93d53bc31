// SPDX-License-Identifier: Apache-2.0
/*
 * under_way WAY NAME PORT COUNT [LONGEST_MS]: COUNT connections (0: for ever), one after the other, each begun without
 * blocking and waited for in the WAY of a kind of programs, LONGEST_MS at most (5000). Then it asks
 * "WHO" and waits for the answer in the same way. Prints a line for each: how long the connection
 * took, in ms, and the pod that answered, the name of the error, or "late"; and as a third word what
 * waits showed too much, if anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../hazards/programs/filter.h"

#define HIGH_NUMBER 1500 /* beyond FD_SETSIZE */

static struct sockaddr_in target = {.sin_family = AF_INET};
static int longest_ms = 5000;
static char excess[64];

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct timespec as_timespec(int ms)
{
	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* --- waits: the events of poll(2) that @fd shows, 0: none in time, -1: errno ----------------- */

static int shown(struct pollfd *one, int rc)
{
	return rc <= 0 ? rc : one->revents;
}

static int by_poll(int fd, short events, int ms)
{
	struct pollfd one = {.fd = fd, .events = events};

	return shown(&one, poll(&one, 1, ms));
}

static int by_ppoll(int fd, short events, int ms)
{
	struct pollfd one = {.fd = fd, .events = events};
	struct timespec time = as_timespec(ms);
	sigset_t mask;

	sigemptyset(&mask);
	return shown(&one, ppoll(&one, 1, &time, &mask));
}

static int by_poll_chk(int fd, short events, int ms)
{
	struct pollfd one = {.fd = fd, .events = events};

	return shown(&one, __poll_chk(&one, 1, ms, sizeof(one)));
}

static int by_ppoll_chk(int fd, short events, int ms)
{
	struct pollfd one = {.fd = fd, .events = events};
	struct timespec time = as_timespec(ms);

	return shown(&one, __ppoll_chk(&one, 1, &time, NULL, sizeof(one)));
}

/* A busy loop: a wait for nothing, again and again. */
static int by_poll_0(int fd, short events, int ms)
{
	double end = now_ms() + ms;
	int found;

	do {
		found = by_poll(fd, events, 0);
	} while (!found && now_ms() < end);
	return found;
}

/* In short steps, as programs with timers of their own. */
static int by_poll_steps(int fd, short events, int ms)
{
	double end = now_ms() + ms;
	int found;

	do {
		found = by_poll(fd, events, 7);
	} while (!found && now_ms() < end);
	return found;
}

static int by_sets(int fd, short events, int ms, bool has_mask)
{
	unsigned long in[HIGH_NUMBER / 64 + 1] = {0}, out[HIGH_NUMBER / 64 + 1] = {0};
	unsigned long bit = 1ul << fd % 64;
	struct timeval left = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	struct timespec time = as_timespec(ms);
	double began = now_ms();
	sigset_t mask;
	int rc;

	sigemptyset(&mask);
	if (events & POLLIN)
		in[fd / 64] |= bit;
	if (events & POLLOUT)
		out[fd / 64] |= bit;
	if (has_mask)
		rc = pselect(fd + 1, (fd_set *)in, (fd_set *)out, NULL, &time, &mask);
	else
		rc = select(fd + 1, (fd_set *)in, (fd_set *)out, NULL, &left);
	if (!has_mask && rc >= 0) {
		double told = (double)left.tv_sec * 1e3 + (double)left.tv_usec / 1e3;
		double really = ms - (now_ms() - began);

		if (told - really > 20 || told - really < -20)
			snprintf(excess, sizeof(excess), "left=%.0f,not=%.0f", told, really);
	}
	if (rc <= 0)
		return rc;
	rc = (in[fd / 64] & bit ? POLLIN : 0) | (out[fd / 64] & bit ? POLLOUT : 0);
	for (unsigned i = 0; i < HIGH_NUMBER / 64; i++) {
		if ((in[i] | out[i]) & ~(i == (unsigned)fd / 64 ? bit : 0))
			snprintf(excess, sizeof(excess), "bits-of-others");
	}
	return rc;
}

static int by_select(int fd, short events, int ms)
{
	return by_sets(fd, events, ms, false);
}

static int by_pselect(int fd, short events, int ms)
{
	return by_sets(fd, events, ms, true);
}

/* --- epoll: the registration stays for the life of the connection ---------------------------- */

static int queue = -1;
static uint32_t extra; /* EPOLLET, EPOLLONESHOT */
static enum { WAIT, PWAIT, PWAIT2 } kind;
static int registered = -1;

static int wait_once(struct epoll_event *event, int ms)
{
	struct timespec time = as_timespec(ms);
	sigset_t mask;

	sigemptyset(&mask);
	if (kind == PWAIT)
		return epoll_pwait(queue, event, 1, ms, &mask);
	if (kind == PWAIT2)
		return epoll_pwait2(queue, event, 1, &time, &mask);
	return epoll_wait(queue, event, 1, ms);
}

static int by_epoll(int fd, short events, int ms)
{
	struct epoll_event wanted = {.events = (uint32_t)(unsigned short)events | extra,
				     .data.u64 = UINT64_C(0xabcdef0000000000) + (unsigned)fd};
	struct epoll_event event;
	int rc;

	if (queue < 0)
		queue = epoll_create1(EPOLL_CLOEXEC);
	/* As asyncio and others: changed before each wait. */
	if (epoll_ctl(queue, registered == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &wanted) < 0)
		return -1;
	registered = fd;
	rc = wait_once(&event, ms);
	if (rc <= 0)
		return rc;
	if (event.data.u64 != wanted.data.u64)
		snprintf(excess, sizeof(excess), "data=%llx", (unsigned long long)event.data.u64);
	return (int)event.events;
}

/* What else of this epoll has the same data: a surprise to whoever wants to know whose an event is. */
static int by_epoll_same(int fd, short events, int ms)
{
	static int other = -1;
	struct epoll_event same = {.events = EPOLLIN,
				   .data.u64 = UINT64_C(0xabcdef0000000000) + (unsigned)fd};

	if (queue < 0)
		queue = epoll_create1(EPOLL_CLOEXEC);
	if (other < 0) {
		other = eventfd(0, EFD_CLOEXEC);
		epoll_ctl(queue, EPOLL_CTL_ADD, other, &same);
	}
	epoll_ctl(queue, EPOLL_CTL_MOD, other, &same);
	return by_epoll(fd, events, ms);
}

static bool is_over;
static int shared_fd;

static void *wait_too(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		by_poll(shared_fd, POLLOUT, 20);
	return NULL;
}

/* Two threads wait for the same socket. */
static int by_poll_two(int fd, short events, int ms)
{
	pthread_t thread;
	int shows;

	shared_fd = fd;
	is_over = false;
	if (pthread_create(&thread, NULL, wait_too, NULL))
		return -1;
	shows = by_poll(fd, events, ms);
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return shows;
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

/* A thread that is there for good, and does nothing. */
static int beside_idle(int fd, short events, int ms, int (*wait)(int fd, short events, int ms))
{
	static bool is_there;
	pthread_t thread;

	if (!is_there && pthread_create(&thread, NULL, idle, NULL))
		return -1;
	is_there = true;
	return wait(fd, events, ms);
}

static int by_poll_idle(int fd, short events, int ms)
{
	return beside_idle(fd, events, ms, by_poll);
}

static int by_epoll_idle(int fd, short events, int ms)
{
	return beside_idle(fd, events, ms, by_epoll);
}

static void *leave(void *unused)
{
	return unused;
}

/* As curl looks up a name: a thread that has been joined, and that the kernel may still count. */
static int by_poll_joined(int fd, short events, int ms)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leave, NULL))
		return -1;
	pthread_join(thread, NULL);
	return by_poll(fd, events, ms);
}

/* A child has the socket, too, and waits for it. */
static int by_poll_forked(int fd, short events, int ms)
{
	pid_t child = fork();
	int shows;

	if (child == 0) {
		by_poll(fd, events, 300);
		_exit(0);
	}
	shows = by_poll(fd, events, ms);
	waitpid(child, NULL, 0);
	return shows;
}

/* From here on this thread may wait, ask and tell, and everything else ends the program. */
static int by_poll_sandboxed(int fd, short events, int ms)
{
	static const struct filter_rule rules[] = {
#ifdef SYS_poll
		{SYS_poll, SECCOMP_RET_ALLOW},
#endif
		{SYS_ppoll, SECCOMP_RET_ALLOW},	     {SYS_getsockopt, SECCOMP_RET_ALLOW},
		{SYS_prctl, SECCOMP_RET_ALLOW},	     {SYS_write, SECCOMP_RET_ALLOW},
		{SYS_exit_group, SECCOMP_RET_ALLOW}, {SYS_close, SECCOMP_RET_ALLOW},
	};

	printf(" "); /* so that stdout is ready */
	fflush(stdout);
	if (filter_install(rules, sizeof(rules) / sizeof(rules[0]), SECCOMP_RET_KILL_PROCESS, 0))
		return -1;
	return by_poll(fd, events, ms);
}

/* --- a connection ---------------------------------------------------------------------------- */

struct way {
	const char *name;
	int (*wait)(int fd, short events, int ms);
	short events; /* for the connection */
	bool asks_again; /* connect() tells the outcome, not SO_ERROR */
	bool just_writes;
	bool is_high;
	uint32_t extra;
	int kind;
};

static const struct way ways[] = {
	{.name = "poll", .wait = by_poll, .events = POLLOUT},
	{.name = "poll_both", .wait = by_poll, .events = POLLIN | POLLOUT},
	{.name = "poll_chk", .wait = by_poll_chk, .events = POLLOUT},
	{.name = "ppoll_chk", .wait = by_ppoll_chk, .events = POLLOUT},
	{.name = "ppoll", .wait = by_ppoll, .events = POLLOUT},
	{.name = "poll_0", .wait = by_poll_0, .events = POLLOUT},
	{.name = "poll_steps", .wait = by_poll_steps, .events = POLLOUT},
	{.name = "poll_connect", .wait = by_poll, .events = POLLOUT, .asks_again = true},
	{.name = "poll_two", .wait = by_poll_two, .events = POLLOUT},
	{.name = "poll_idle", .wait = by_poll_idle, .events = POLLOUT},
	{.name = "epoll_idle", .wait = by_epoll_idle, .events = POLLOUT},
	{.name = "poll_joined", .wait = by_poll_joined, .events = POLLOUT},
	{.name = "poll_forever", .wait = by_poll, .events = POLLOUT},
	{.name = "poll_forked", .wait = by_poll_forked, .events = POLLOUT},
	{.name = "sandbox", .wait = by_poll_sandboxed, .events = POLLOUT},
	{.name = "unspec", .wait = by_poll, .events = POLLOUT},
	{.name = "poll_write", .wait = by_poll, .events = POLLOUT, .just_writes = true},
	{.name = "select", .wait = by_select, .events = POLLOUT},
	{.name = "select_both", .wait = by_select, .events = POLLIN | POLLOUT},
	{.name = "select_high", .wait = by_select, .events = POLLOUT, .is_high = true},
	{.name = "select_connect", .wait = by_select, .events = POLLOUT, .asks_again = true},
	{.name = "pselect", .wait = by_pselect, .events = POLLOUT},
	{.name = "epoll", .wait = by_epoll, .events = POLLOUT},
	{.name = "epoll_both", .wait = by_epoll, .events = POLLIN | POLLOUT | POLLRDHUP},
	{.name = "epoll_et", .wait = by_epoll, .events = POLLIN | POLLOUT, .extra = EPOLLET},
	{.name = "epoll_oneshot", .wait = by_epoll, .events = POLLOUT, .extra = EPOLLONESHOT},
	{.name = "epoll_et_oneshot", .wait = by_epoll, .events = POLLOUT,
	 .extra = EPOLLET | EPOLLONESHOT},
	{.name = "epoll_same", .wait = by_epoll_same, .events = POLLOUT},
	{.name = "epoll_write", .wait = by_epoll, .events = POLLOUT, .just_writes = true},
	{.name = "epoll_pwait", .wait = by_epoll, .events = POLLOUT, .kind = PWAIT},
	{.name = "epoll_pwait2", .wait = by_epoll, .events = POLLOUT, .kind = PWAIT2},
};

static const char *error_name(int error)
{
	static char number[16];

	if (strerrorname_np(error))
		return strerrorname_np(error);
	snprintf(number, sizeof(number), "%d", error);
	return number;
}

static int begin(const struct way *way)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (way->is_high) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_NUMBER - 100);

		close(fd);
		fd = high;
	}
	if (fd < 0) {
		perror("socket");
		exit(2);
	}
	return fd;
}

/* 0, or an errno. */
static int outcome(const struct way *way, int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (way->just_writes)
		return 0;
	if (way->asks_again) {
		if (connect(fd, (struct sockaddr *)&target, sizeof(target)) == 0 || errno == EISCONN)
			return 0;
		return errno;
	}
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* Returns NULL where *answer is set, else what went wrong. */
static const char *talk(const struct way *way, int fd, char *answer, size_t size, double *ret_ms)
{
	double began = now_ms();
	int events, error;
	ssize_t got;

	*ret_ms = 0;
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0 && errno != EINPROGRESS)
		return error_name(errno);
	events = way->wait(fd, way->events, longest_ms);
	*ret_ms = now_ms() - began;
	if (events < 0)
		return error_name(errno);
	if (!events)
		return "late";
	error = outcome(way, fd);
	if (error)
		return error_name(error);
	if (events & (POLLERR | POLLHUP))
		snprintf(excess, sizeof(excess), "events=%x", (unsigned)events);
	if (send(fd, "WHO\n", 4, MSG_NOSIGNAL) != 4)
		return error_name(errno);
	events = way->wait(fd, POLLIN, 5000);
	if (events <= 0)
		return events ? error_name(errno) : "silent";
	got = recv(fd, answer, size - 1, 0);
	if (got <= 0)
		return got ? error_name(errno) : "closed";
	answer[got] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	return NULL;
}

/* The program takes its connection back, and waits on. */
static void disconnect(const struct way *way)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint8_t state = 0;
	socklen_t size = sizeof(state);
	int fd = begin(way);

	connect(fd, (struct sockaddr *)&target, sizeof(target));
	by_poll(fd, POLLOUT, 100);
	connect(fd, &none, sizeof(none));
	poll(NULL, 0, 500); /* longer than a try */
	poll(NULL, 0, 500);
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size);
	printf("0.000 state=%u\n", state);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct way *way = NULL;
	struct hostent *host;
	int count;

	for (unsigned i = 0; argc > 4 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, argv[1]) == 0)
			way = &ways[i];
	}
	if (!way) {
		fputs("usage: under_way WAY NAME PORT COUNT [LONGEST_MS]\n", stderr);
		return 2;
	}
	/* A lookup waits for the table; a connection that is not to block does so for a moment. */
	host = gethostbyname(argv[2]);
	if (!host || host->h_addrtype != AF_INET) {
		fprintf(stderr, "%s: no address\n", argv[2]);
		return 2;
	}
	memcpy(&target.sin_addr, host->h_addr_list[0], sizeof(target.sin_addr));
	target.sin_port = htons((uint16_t)atoi(argv[3]));
	count = atoi(argv[4]);
	if (argc > 5)
		longest_ms = atoi(argv[5]);
	extra = way->extra;
	kind = way->kind;
	if (strcmp(way->name, "unspec") == 0) {
		disconnect(way);
		return 0;
	}
	for (int i = 0; i < count || !count; i++) {
		char answer[64];
		double ms;
		int fd = begin(way);
		const char *wrong;

		excess[0] = '\0';
		errno = EDOM;
		wrong = talk(way, fd, answer, sizeof(answer), &ms);
		printf("%.3f %s%s%s\n", ms, wrong ? wrong : answer, excess[0] ? " " : "", excess);
		fflush(stdout);
		close(fd);
		registered = -1;
		if (!count)
			poll(NULL, 0, 2);
	}
	return 0;
}
