// SPDX-License-Identifier: Apache-2.0
/*
 * contract SITUATION HOST PORT LAST FIFO: what a program sees of one connection.
 *
 * Connects until the pod LAST answers, so that the turn after it is known; prints "ready"; waits
 *until FIFO was opened and closed by a writer, who has brought the pods into some state by then.
 *Then acts out the situation on a new socket, and prints one line of words KEY=VALUE:
 *
 *	step=RC/ERRNO	each call in turn; "step=cancelled" where the thread was
 *	ms		the time that the steps took
 *	so_error	what SO_ERROR says afterwards; of the poll() of a non-blocking socket if
 *there is one served		1: a pod answers on the socket now nonblock, user_timeout, sndtimeo
 *(ms), linger, keepalive, nodelay, syncnt: the socket's, afterwards port_kept	1: the local port is
 *the one that the program had bound
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

#define LONGEST_POLL_MS 20000

static int fd;
static struct sockaddr_storage target;
static socklen_t target_size;
static uint16_t bound_port;
static int told_error = -1; /* by SO_ERROR, when the situation has asked */

static void set(int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0) {
		perror("setsockopt");
		exit(2);
	}
}

static int get(int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	getsockopt(fd, level, name, &value, &size);
	return value;
}

static void set_send_timeout(int ms)
{
	struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

static void set_nonblocking(bool nonblocking)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static void step(int rc)
{
	printf("step=%d/%d ", rc, rc < 0 ? errno : 0);
}

static void dial(void)
{
	step(connect(fd, (struct sockaddr *)&target, target_size));
}

static void disconnect(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	step(connect(fd, &none, sizeof(none)));
}

static void blocking(void)
{
	dial();
}

static void twice(void)
{
	dial();
	dial();
}

static void wait_by_poll(void)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};

	printf("step=%d ", poll(&poller, 1, LONGEST_POLL_MS));
	told_error = get(SOL_SOCKET, SO_ERROR);
}

static void nonblocking_poll(void)
{
	set_nonblocking(true);
	dial();
	wait_by_poll();
}

/* As hiredis asks for the outcome: by a second connect(). */
static void nonblocking_asked_again(void)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};

	set_nonblocking(true);
	dial();
	poll(&poller, 1, LONGEST_POLL_MS);
	dial();
}

/* The descriptor is in an epoll set before it connects, edge-triggered. */
static void nonblocking_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	int set_fd = epoll_create1(0);

	set_nonblocking(true);
	epoll_ctl(set_fd, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(set_fd, &event, 1, 0); /* the state before the connect(): HUP */
	dial();
	printf("step=%d ", epoll_wait(set_fd, &event, 1, LONGEST_POLL_MS));
	printf("step=%#x ", event.events);
	told_error = get(SOL_SOCKET, SO_ERROR);
	close(set_fd);
}

static void nonblocking_then_blocking(void)
{
	set_nonblocking(true);
	dial();
	set_nonblocking(false);
	dial();
}

static void blocking_then_nonblocking(void)
{
	dial();
	set_nonblocking(true);
	dial();
	if (errno == EINPROGRESS)
		wait_by_poll();
}

static void sndtimeo_150(void)
{
	set_send_timeout(150);
	dial();
}

static void sndtimeo_2500(void)
{
	set_send_timeout(2500);
	dial();
}

static void on_alarm(int number)
{
	(void)number;
}

static void with_alarm(int flags)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval timer = {.it_value.tv_usec = 200000};
	struct itimerval off = {.it_value.tv_sec = 0};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	dial();
	setitimer(ITIMER_REAL, &off, NULL);
}

static void eintr(void)
{
	with_alarm(0);
}

static void eintr_restart(void)
{
	with_alarm(SA_RESTART);
}

/* As a careful program goes on after EINTR. */
static void eintr_then_poll(void)
{
	with_alarm(0);
	wait_by_poll();
}

static void bind_to(uint16_t port)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t size = sizeof(local);

	set(SOL_SOCKET, SO_REUSEADDR, 1);
	step(bind(fd, (struct sockaddr *)&local, sizeof(local)));
	getsockname(fd, (struct sockaddr *)&local, &size);
	bound_port = ntohs(local.sin_port);
}

static void bind_any_port(void)
{
	bind_to(0);
	dial();
}

static void bind_port(void)
{
	bind_to((uint16_t)(15000 + getpid() % 4000));
	dial();
}

static void unspec_between(void)
{
	set_nonblocking(true);
	dial();
	disconnect();
	set_nonblocking(false);
	dial();
}

static void user_timeout_shorter(void)
{
	set(IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
	dial();
}

static void user_timeout_longer(void)
{
	set(IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
	dial();
}

static void user_timeout_by_duplicate(void)
{
	int own = fd;

	fd = dup(own);
	set(IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
	close(fd);
	fd = own;
	dial();
}

static void options(void)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 7};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	set(SOL_SOCKET, SO_KEEPALIVE, 1);
	set(IPPROTO_TCP, TCP_NODELAY, 1);
	dial();
}

static void fastopen(void)
{
	set(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	dial();
}

static void syncnt(void)
{
	set(IPPROTO_TCP, TCP_SYNCNT, 1);
	dial();
}

static void *dial_in_thread(void *unused)
{
	dial();
	return unused;
}

static void cancelled(void)
{
	struct timespec soon = {.tv_nsec = 200000000};
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, dial_in_thread, NULL);
	nanosleep(&soon, NULL); /* so long it may connect */
	pthread_cancel(thread);
	pthread_join(thread, &result);
	if (result == PTHREAD_CANCELED)
		printf("step=cancelled ");
}

static const struct situation {
	const char *name;
	void (*act)(void);
} situations[] = {
	{"blocking", blocking},
	{"mapped", blocking},
	{"twice", twice},
	{"nonblocking_poll", nonblocking_poll},
	{"nonblocking_asked_again", nonblocking_asked_again},
	{"nonblocking_epoll", nonblocking_epoll},
	{"nonblocking_then_blocking", nonblocking_then_blocking},
	{"blocking_then_nonblocking", blocking_then_nonblocking},
	{"sndtimeo_150", sndtimeo_150},
	{"sndtimeo_2500", sndtimeo_2500},
	{"eintr", eintr},
	{"eintr_restart", eintr_restart},
	{"eintr_then_poll", eintr_then_poll},
	{"bind_any_port", bind_any_port},
	{"bind_port", bind_port},
	{"unspec_between", unspec_between},
	{"user_timeout_shorter", user_timeout_shorter},
	{"user_timeout_longer", user_timeout_longer},
	{"user_timeout_by_duplicate", user_timeout_by_duplicate},
	{"options", options},
	{"fastopen", fastopen},
	{"syncnt", syncnt},
	{"cancelled", cancelled},
};

static void make_target(const char *host, const char *port, bool mapped)
{
	if (mapped) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&target;
		char text[INET6_ADDRSTRLEN];

		snprintf(text, sizeof(text), "::ffff:%s", host);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET6, text, &v6->sin6_addr);
		target_size = sizeof(*v6);
	} else {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&target;

		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET, host, &v4->sin_addr);
		target_size = sizeof(*v4);
	}
}

/* Asks who serves the connected socket; an empty answer when nobody does. */
static void ask(char *name, size_t size)
{
	struct timeval longest = {.tv_sec = 5};
	ssize_t length = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest));
	set_nonblocking(false);
	if (send(fd, "WHO\n", 4, MSG_NOSIGNAL) == 4)
		length = recv(fd, name, size - 1, 0);
	name[length > 0 ? length - 1 : 0] = '\0'; /* without the end of the line */
}

static void connect_until(const char *last)
{
	char name[64];

	for (int i = 0; i < 10; i++) {
		fd = socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&target, target_size) < 0) {
			perror("connect");
			exit(2);
		}
		ask(name, sizeof(name));
		close(fd);
		if (strcmp(name, last) == 0)
			return;
	}
	fprintf(stderr, "%s did not answer\n", last);
	exit(2);
}

static void wait_for_writer(const char *fifo)
{
	char byte;
	int reader;

	printf("ready\n");
	fflush(stdout);
	reader = open(fifo, O_RDONLY | O_CLOEXEC);
	if (reader < 0 || read(reader, &byte, 1) != 0) {
		perror(fifo);
		exit(2);
	}
	close(reader);
}

static uint16_t local_port(void)
{
	struct sockaddr_in local = {.sin_family = AF_INET};
	socklen_t size = sizeof(local);

	getsockname(fd, (struct sockaddr *)&local, &size);
	return ntohs(local.sin_port);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void tell_socket(void)
{
	struct timeval timeout = {.tv_sec = -1};
	struct linger linger = {.l_linger = 0};
	struct sockaddr_storage peer;
	socklen_t size = sizeof(timeout);
	char name[64] = "";

	getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size);
	size = sizeof(linger);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size);
	printf("nonblock=%d user_timeout=%d sndtimeo=%ld linger=%d ",
	       (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, get(IPPROTO_TCP, TCP_USER_TIMEOUT),
	       (long)timeout.tv_sec * 1000 + (long)timeout.tv_usec / 1000, linger.l_linger);
	printf("keepalive=%d nodelay=%d syncnt=%d ", get(SOL_SOCKET, SO_KEEPALIVE),
	       get(IPPROTO_TCP, TCP_NODELAY), get(IPPROTO_TCP, TCP_SYNCNT));
	printf("so_error=%d ", told_error < 0 ? get(SOL_SOCKET, SO_ERROR) : told_error);
	if (bound_port)
		printf("port_kept=%d ", local_port() == bound_port);
	size = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
		ask(name, sizeof(name));
	printf("served=%d\n", name[0] != '\0');
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	double began;

	if (argc != 6)
		return 2;
	if (getenv("WITH_THREAD"))
		pthread_create(&thread, NULL, idle, NULL);
	make_target(argv[2], argv[3], strcmp(argv[1], "mapped") == 0);
	connect_until(argv[4]);
	wait_for_writer(argv[5]);
	fd = socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (unsigned i = 0; i < sizeof(situations) / sizeof(situations[0]); i++) {
		if (strcmp(situations[i].name, argv[1]) != 0)
			continue;
		began = now_ms();
		situations[i].act();
		printf("ms=%.0f ", now_ms() - began);
		tell_socket();
		return 0;
	}
	fprintf(stderr, "no situation %s\n", argv[1]);
	return 2;
}
