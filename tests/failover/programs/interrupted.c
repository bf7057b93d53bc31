// SPDX-License-Identifier: Apache-2.0
/*
 * interrupted WAY END HOST PORT [LATER_MS]: begins to connect without blocking, and waits for ever for something else, which
 * never comes, in one WAY of each call. What ends the wait: END=
 *	return	a signal, whose handler returns
 *	jump	a signal, whose handler leaves by siglongjmp() to a mask that was kept
 *	longjmp	the same, and no mask was kept
 *	cancel	the thread is cancelled
 *	storm	a signal every 100 us, 3000 times, while many connections are under way
 * It comes LATER_MS after the beginning, from another thread; without LATER_MS another library brings it about
 * (late.c). Prints what the wait said, the signals that are closed in the handler (cleanup handler), and those
 * that are after it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define STORM 3000
#define MANY  40

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

static struct sockaddr_in target = {.sin_family = AF_INET};
static int quiet = -1, queue = -1;
static const char *end;
static sigset_t inside, call_mask;
static sigjmp_buf back;
static volatile sig_atomic_t handled;
static pthread_t waiter;
static int is_ready; /* whoever jumps back knows where to */

static int by_poll(void)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	return poll(&one, 1, -1);
}

static int by_poll_chk(void)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	return __poll_chk(&one, 1, -1, sizeof(one));
}

static int by_ppoll(void)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	return ppoll(&one, 1, NULL, &call_mask);
}

static int by_ppoll_chk(void)
{
	struct pollfd one = {.fd = quiet, .events = POLLIN};

	return __ppoll_chk(&one, 1, NULL, NULL, sizeof(one));
}

static int by_select(void)
{
	struct timeval time = {.tv_sec = 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(quiet, &set);
	return select(quiet + 1, &set, NULL, NULL, &time);
}

static int by_pselect(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(quiet, &set);
	return pselect(quiet + 1, &set, NULL, NULL, NULL, &call_mask);
}

static int by_epoll_wait(void)
{
	struct epoll_event event;

	return epoll_wait(queue, &event, 1, -1);
}

static int by_epoll_pwait(void)
{
	struct epoll_event event;

	return epoll_pwait(queue, &event, 1, -1, &call_mask);
}

static int by_epoll_pwait2(void)
{
	struct epoll_event event;

	return epoll_pwait2(queue, &event, 1, NULL, NULL);
}

static const struct {
	const char *name;
	int (*wait)(void);
} ways[] = {
	{"poll", by_poll},		 {"poll_chk", by_poll_chk},	 {"ppoll", by_ppoll},
	{"ppoll_chk", by_ppoll_chk},	 {"select", by_select},		 {"pselect", by_pselect},
	{"epoll_wait", by_epoll_wait},	 {"epoll_pwait", by_epoll_pwait},
	{"epoll_pwait2", by_epoll_pwait2},
};

static void begin(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) == 0 || errno != EINPROGRESS)
		printf("not under way: %s\n", strerror(errno));
}

/* Of the usual ones; libc's own are libc's. */
static void tell_mask(const char *what, const sigset_t *mask)
{
	printf(" %s:", what);
	for (int number = 1; number < SIGRTMAX; number++) {
		if (number < 32 || number >= SIGRTMIN) {
			if (sigismember(mask, number) == 1)
				printf(" %d", number);
		}
	}
}

static void tell_own_mask(const char *what)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	tell_mask(what, &mask);
}

static void handle(int number)
{
	(void)number;
	handled++;
	pthread_sigmask(SIG_BLOCK, NULL, &inside);
	if (strcmp(end, "jump") == 0 || strcmp(end, "longjmp") == 0)
		siglongjmp(back, 1);
}

static void clean_up(void *unused)
{
	(void)unused;
	pthread_sigmask(SIG_BLOCK, NULL, &inside);
}

static void *wait_in_thread(void *wait)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_cleanup_push(clean_up, NULL);
	__atomic_store_n(&is_ready, 1, __ATOMIC_RELEASE);
	(*(int (**)(void))wait)();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *end_later(void *later_ms)
{
	while (!__atomic_load_n(&is_ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep((useconds_t)atoi(later_ms) * 1000);
	if (strcmp(end, "cancel") == 0)
		pthread_cancel(waiter);
	else
		pthread_kill(waiter, SIGUSR1);
	return NULL;
}

static void storm(int (*wait)(void))
{
	struct itimerval every = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	unsigned ended = 0;

	for (int i = 0; i < STORM; i++) {
		if (i % (STORM / MANY) == 0)
			begin();
		setitimer(ITIMER_REAL, &every, NULL);
		if (wait() == -1 && errno == EINTR)
			ended++;
		setitimer(ITIMER_REAL, &never, NULL);
	}
	printf("%u of %u\n", ended, STORM);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	struct epoll_event event = {.events = EPOLLIN};
	int (*wait)(void) = NULL;
	pthread_t thread;
	sigset_t mask;
	int rc, error;

	for (unsigned i = 0; argc > 4 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, argv[1]) == 0)
			wait = ways[i].wait;
	}
	if (!wait)
		return 2;
	end = argv[2];
	inet_pton(AF_INET, argv[3], &target.sin_addr);
	target.sin_port = htons((uint16_t)atoi(argv[4]));
	quiet = eventfd(0, EFD_CLOEXEC);
	queue = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(queue, EPOLL_CTL_ADD, quiet, &event);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR2);
	sigemptyset(&call_mask);
	sigaddset(&call_mask, SIGTERM);
	waiter = pthread_self();
	begin();
	if (strcmp(end, "storm") == 0) {
		storm(wait);
		return 0;
	}
	if (argc > 5 && strcmp(end, "cancel") != 0)
		pthread_create(&thread, NULL, end_later, argv[5]);
	if (strcmp(end, "cancel") == 0) {
		pthread_create(&waiter, NULL, wait_in_thread, (void *)&wait);
		if (argc > 5)
			pthread_create(&thread, NULL, end_later, argv[5]);
		pthread_join(waiter, NULL);
		tell_mask("in", &inside);
		puts("");
		return 0;
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (sigsetjmp(back, strcmp(end, "jump") == 0)) {
		printf("left");
	} else {
		__atomic_store_n(&is_ready, 1, __ATOMIC_RELEASE);
		rc = wait();
		error = errno;
		printf("%d %s handled %d", rc, rc < 0 ? strerror(error) : "", (int)handled);
	}
	tell_mask("in", &inside);
	tell_own_mask("after");
	puts("");
	return 0;
}
