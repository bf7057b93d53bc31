// SPDX-License-Identifier: Apache-2.0
/*
 * Tries that the watchdog ends at the very moment at which they come about, and everything that a
 * program may do to a socket meanwhile. It spins (no try is shorter than 0 ms) and each try is due
 * at once or a moment later, so that it meets the SYN-ACK: with the packets of "lo" on another
 * processor (rps_cpus) one try in twenty, else hardly any. The file is long: a thread, its start,
 * its end and the life of a socket are one matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "engine/watchdog.h"
#include "fresh.h"
#include "patience.h"
#include "state.h"
#include "support/assert_op.h"
#include "support/objects.h"

#include "../hazards/programs/filter.h"

#define RUNNING	  1u
#define THREADS	  4
#define SILENT_MS 100u
#define LATE_MS	  8000u /* a machine that has other things to do */
#define KERNEL_MS 1000u
#define SIGNAL_US 70

/* Of the shim, what patience.c asks for, with support/watched.c. */
struct shim shim = {.config = {.connect_timeout_ms = SILENT_MS}};

static uint32_t phase = RUNNING;
static struct sockaddr_in server; /* answers each byte */
static struct sockaddr_in silent; /* drops each SYN */
static int unconnected;		  /* a socket */

static int make_listener(int backlog, struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_address = (struct sockaddr_in){.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
	return fd;
}

static void *answer(void *listener)
{
	int fd = (int)(intptr_t)listener;

	for (;;) {
		int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		char byte;

		if (connection < 0)
			continue;
		if (recv(connection, &byte, 1, 0) == 1)
			send(connection, &byte, 1, MSG_NOSIGNAL);
		close(connection);
	}
	return NULL;
}

static int set_up(void **state)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	pthread_t thread;
	intptr_t listener = make_listener(1024, &server);
	sigset_t signals;

	(void)state;
	/* For the thread that connects alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread, NULL, answer, (void *)listener), 0);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Two connections fill a queue of length 0; from then on it drops. */
	make_listener(0, &silent);
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		connect(fd, (struct sockaddr *)&silent, sizeof(silent));
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void start(uint32_t least_ms)
{
	publish_u32(&phase, RUNNING); /* observed in watchdog_start() */
	assert_true(watchdog_start(unconnected, &phase, RUNNING, least_ms));
}

static void stop(void)
{
	publish_u32(&phase, 0); /* observed in watchdog_start() */
	watchdog_stop();
	assert_false(watchdog_is_there());
}

/* One connect() of at most @limit_ms. */
static int try_once(int fd, const struct sockaddr_in *address, uint32_t limit_ms,
		    struct patience *ret_patience)
{
	*ret_patience = (struct patience){
		.fd = fd, .ticket = fresh_ticket(fd), .limit_ms = limit_ms, .watched = true};
	return patience_connect(ret_patience, (const struct sockaddr *)address, sizeof(*address));
}

/* A byte there and back, and nothing is shut. */
static bool is_whole(int fd)
{
	const struct timeval longest = {.tv_sec = 10};
	char byte = 'x';
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest));
	do {
		got = recv(fd, &byte, 1, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		return false; /* half shut */
	do {
		got = send(fd, &byte, 1, MSG_NOSIGNAL);
	} while (got < 0 && errno == EINTR);
	if (got != 1)
		return false;
	do {
		got = recv(fd, &byte, 1, 0);
	} while (got < 0 && errno == EINTR);
	return got == 1;
}

static bool comes_about(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLOUT};
	int error = -1;
	socklen_t size = sizeof(error);

	while (poll(&look, 1, 10000) < 0 && errno == EINTR)
		;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

struct tally {
	unsigned connected, ended, under_way, other, broken;
	int errors[4]; /* the first ones */
};

static void reset_and_close(int fd)
{
	const struct linger reset = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void note_broken(struct tally *tally, int what)
{
	if (tally->broken < 4)
		tally->errors[tally->broken] = what;
	tally->broken++;
}

/* Connects @count times; who is told that it ran out dials again on the same socket, unbounded. */
static void race(unsigned count, const struct timeval *send_timeout, struct tally *tally)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct patience patience;
		int rc;

		if (send_timeout)
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, send_timeout,
				   sizeof(*send_timeout));
		rc = try_once(fd, &server, 1 + i % 4, &patience);
		if (rc < 0 && errno == ETIMEDOUT) {
			tally->ended++;
			rc = connect(fd, (struct sockaddr *)&server, sizeof(server));
		}
		if (rc < 0 && (errno == EINTR || errno == EINPROGRESS)) {
			tally->under_way++;
			rc = comes_about(fd) ? 0 : -1;
		}
		if (rc < 0)
			note_broken(tally, errno);
		else if (!is_whole(fd))
			note_broken(tally, -1);
		else
			tally->connected++;
		reset_and_close(fd);
	}
}

static void *racer(void *argument)
{
	race(test_count(500, 5000), NULL, argument);
	return NULL;
}

static void expect_whole(const struct tally *tally, const char *what)
{
	print_message("%s: %u connected, %u of them ended before, %u under way, %u broken "
		      "(%d %d %d %d)\n",
		      what, tally->connected, tally->ended, tally->under_way, tally->broken,
		      tally->errors[0], tally->errors[1], tally->errors[2], tally->errors[3]);
	assert_int_equal(tally->broken, 0);
	assert_op(tally->connected, >, 0u);
}

static void the_moment_of_the_syn_ack(void **state)
{
	struct tally tallies[THREADS] = {{0}};
	struct tally sum = {0};
	pthread_t threads[THREADS];

	(void)state;
	start(0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, racer, &tallies[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum.connected += tallies[i].connected;
		sum.ended += tallies[i].ended;
		sum.under_way += tallies[i].under_way;
		if (tallies[i].broken)
			note_broken(&sum, tallies[i].errors[0]);
	}
	stop();
	expect_whole(&sum, "SYN-ACK");
}

static void on_signal(int number)
{
	(void)number;
}

static void race_with_signals(int flags, const char *what)
{
	const struct itimerspec often = {{0, SIGNAL_US * 1000}, {0, SIGNAL_US * 1000}};
	const struct itimerspec never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct tally tally = {0};
	timer_t timer;

	start(0);
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	timer_settime(timer, 0, &often, NULL);
	race(test_count(1000, 10000), NULL, &tally);
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
	stop();
	expect_whole(&tally, what);
}

static void signals(void **state)
{
	(void)state;
	race_with_signals(0, "signals");
	race_with_signals(SA_RESTART, "signals, SA_RESTART");
}

static void the_programs_send_timeout(void **state)
{
	const struct timeval moment = {.tv_usec = 20};
	struct tally tally = {0};

	(void)state;
	start(0);
	race(test_count(1000, 10000), &moment, &tally);
	stop();
	expect_whole(&tally, "SO_SNDTIMEO");
}

/* What another thread puts on the numbers of tries: sockets that have nothing to do with them. */
#define STEALING UINT32_MAX
struct thief {
	uint32_t ends;
	uint32_t target; /* the number of the try at hand, or STEALING */
	unsigned stolen, harmed;
};

/* One that was not connected may have been dialled by the try itself, which had the number first.
 */
static bool is_untouched(int fd, bool connected)
{
	uint32_t user_timeout = 0;
	socklen_t size = sizeof(user_timeout);

	getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, &size);
	return user_timeout == 4711 && (!connected || is_whole(fd));
}

static void *steal(void *argument)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct thief *thief = argument;
	const uint32_t timeout = 4711;

	for (unsigned i = 0; !peek_u32(&thief->ends); i++) {
		uint32_t target = observe_u32(&thief->target);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool connected = i % 2;

		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
		if (connected)
			connect(fd, (struct sockaddr *)&server, sizeof(server));
		if (target && claim_u32(&thief->target, target, STEALING)) {
			thief->stolen++;
			/* Bare calls: ThreadSanitizer reports that two threads use one descriptor,
			 * which is what this is about. */
			if (i % 4 == 0)
				syscall(SYS_connect, target, &none, sizeof(none));
			else if (i % 4 == 1)
				syscall(SYS_shutdown, target, SHUT_RDWR);
			syscall(SYS_dup3, fd, target, O_CLOEXEC);
			publish_u32(&thief->target, 0); /* observed by who waits for it */
			sched_yield();
		}
		if (!is_untouched(fd, connected))
			thief->harmed++;
		reset_and_close(fd);
	}
	return NULL;
}

/* In the middle of tries, which then may end as they like: but what took the number is whole. */
static void numbers_that_change_hands(void **state)
{
	unsigned count = test_count(2000, 100000);
	struct thief thief = {0};
	pthread_t thread;

	(void)state;
	start(0);
	assert_int_equal(pthread_create(&thread, NULL, steal, &thief), 0);
	for (unsigned i = 0; i < count; i++) {
		const struct sockaddr_in *address = i % 8 ? &server : &silent;
		const struct timeval longest = {.tv_usec = 5000};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct patience patience;

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest));
		publish_u32(&thief.target, (uint32_t)fd); /* observed in steal() */
		try_once(fd, address, 1 + i % 4, &patience);
		/* Before the number is closed, or the next one's would be stolen before its try. */
		while (!claim_u32(&thief.target, (uint32_t)fd, 0) && observe_u32(&thief.target))
			sched_yield();
		close(fd);
	}
	poke_u32(&thief.ends, 1);
	pthread_join(thread, NULL);
	stop();
	print_message("numbers: %u of %u changed hands, %u sockets harmed\n", thief.stolen, count,
		      thief.harmed);
	assert_int_equal(thief.harmed, 0);
	assert_op(thief.stolen, >, 0u);
}

/* How long a try takes that nobody answers. */
static uint64_t silent_try(int *ret_error, bool *ret_timeout_kept)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint32_t user_timeout = 654321;
	socklen_t size = sizeof(user_timeout);
	uint64_t began_ms = clock_monotonic_ms();
	struct patience patience;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
	*ret_error = try_once(fd, &silent, SILENT_MS, &patience) < 0 ? errno : 0;
	began_ms = clock_monotonic_ms() - began_ms;
	patience_restore(&patience);
	user_timeout = 0;
	getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, &size);
	*ret_timeout_kept = user_timeout == 654321;
	close(fd);
	return began_ms;
}

static void expect_ended_in_time(void)
{
	bool timeout_kept;
	int error;
	uint64_t took_ms = silent_try(&error, &timeout_kept);

	assert_int_equal(error, ETIMEDOUT);
	assert_true(timeout_kept);
	assert_op(took_ms, >=, SILENT_MS - 12);
	assert_op(took_ms, <, SILENT_MS + LATE_MS);
}

static void it_wakes_when_it_slept(void **state)
{
	const struct timespec pause = {.tv_nsec = 350000000};

	(void)state;
	start(SILENT_MS);
	expect_ended_in_time();
	nanosleep(&pause, NULL);
	expect_ended_in_time();
	expect_ended_in_time();
	stop();
}

static void it_ends_and_begins_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < test_count(20, 300); i++) {
		start(SILENT_MS);
		stop();
	}
	start(SILENT_MS);
	expect_ended_in_time();
	stop();
	/* Whoever ends the engine has said so before. */
	assert_false(watchdog_start(unconnected, &phase, RUNNING, SILENT_MS));
}

static void *silent_thread(void *ret_ms)
{
	bool timeout_kept;
	int error;

	*(uint64_t *)ret_ms = silent_try(&error, &timeout_kept);
	return NULL;
}

/* Nobody is left to end it, so the kernel does. */
static void a_try_outlives_it(void **state)
{
	const struct timespec pause = {.tv_nsec = 30000000};
	uint64_t took_ms = 0;
	pthread_t thread;

	(void)state;
	start(SILENT_MS);
	assert_int_equal(pthread_create(&thread, NULL, silent_thread, &took_ms), 0);
	nanosleep(&pause, NULL);
	stop();
	pthread_join(thread, NULL);
	assert_op(took_ms, >=, SILENT_MS);
	assert_op(took_ms, <, 2 * KERNEL_MS + LATE_MS);
}

static const struct filter_rule *rules;

/* In a child, which has the slots of its parent's memory and not its thread. */
static int in_child(int (*run)(void))
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		alarm(30);
		_exit(run());
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

#ifndef __SANITIZE_THREAD__ /* which ends a child of threads that starts one */
static int child_has_its_own(void)
{
	bool timeout_kept;
	int error;

	if (watchdog_is_there())
		return 1;
	if (!watchdog_start(unconnected, &phase, RUNNING, SILENT_MS))
		return 2;
	if (silent_try(&error, &timeout_kept) >= KERNEL_MS || error != ETIMEDOUT)
		return 3;
	watchdog_stop();
	return 0;
}

static void a_forked_child(void **state)
{
	struct watchdog_try try;
	struct watchdog_note note;

	(void)state;
	start(SILENT_MS);
	assert_true(watchdog_arm(&try, 0, (struct sockaddr *)&silent, sizeof(silent), UINT64_MAX));
	assert_int_equal(in_child(child_has_its_own), 0);
	assert_int_equal(watchdog_disarm(&try, &note), WATCHDOG_QUIET);
	stop();
}

/* The filter is for this thread and those that it starts. */
static int child_without_calls(void)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	bool timeout_kept;
	int error;
	uint64_t took_ms;

	if (filter_install(rules, 1, SECCOMP_RET_ALLOW, 0) < 0)
		return 1;
	if (!watchdog_start(unconnected, &phase, RUNNING, SILENT_MS))
		return 2;
	/* The first one is told so by the kernel, the second one by what is remembered. */
	for (int i = 0; i < 2; i++) {
		took_ms = silent_try(&error, &timeout_kept);
		if (error != ETIMEDOUT || !timeout_kept)
			return 3;
		if (took_ms < KERNEL_MS || took_ms > KERNEL_MS + LATE_MS)
			return 4;
	}
	watchdog_stop();
	nanosleep(&pause, NULL);
	return 0;
}

static void kernels_that_refuse_to_shut_down(void **state)
{
	static const struct filter_rule busy = {SYS_shutdown, SECCOMP_RET_ERRNO | EBUSY};
	static const struct filter_rule refused = {SYS_shutdown, SECCOMP_RET_ERRNO | EPERM};

	(void)state;
	publish_u32(&phase, RUNNING); /* observed in watchdog_start() */
	rules = &busy;
	assert_int_equal(in_child(child_without_calls), 0);
	rules = &refused;
	assert_int_equal(in_child(child_without_calls), 0);
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

/* Without threads of the program none may share its descriptors; with them one does. */
static int child_without_pidfd(void)
{
	pthread_t thread;
	bool timeout_kept;
	int error;

	if (filter_install(rules, 1, SECCOMP_RET_ALLOW, 0) < 0)
		return 1;
	/* Two: one stands for the engine's. */
	for (int i = 0; i < 2; i++) {
		if (watchdog_start(unconnected, &phase, RUNNING, SILENT_MS) || watchdog_is_there())
			return 2;
		if (pthread_create(&thread, NULL, idle, NULL))
			return 3;
	}
	if (!watchdog_start(unconnected, &phase, RUNNING, SILENT_MS))
		return 4;
	if (silent_try(&error, &timeout_kept) >= KERNEL_MS || error != ETIMEDOUT || !timeout_kept)
		return 5;
	watchdog_stop();
	return 0;
}

static void a_filter_that_refuses_pidfd_getfd(void **state)
{
	static const struct filter_rule getfd = {438, SECCOMP_RET_ERRNO | EPERM};
	static const struct filter_rule open = {434, SECCOMP_RET_ERRNO | EPERM};

	(void)state;
	rules = &getfd;
	assert_int_equal(in_child(child_without_pidfd), 0);
	rules = &open;
	assert_int_equal(in_child(child_without_pidfd), 0);
}

#endif

static int child_without_futex(void)
{
	if (filter_install(rules, 1, SECCOMP_RET_ALLOW, 0) < 0)
		return 1;
	return watchdog_start(unconnected, &phase, RUNNING, SILENT_MS) || watchdog_is_there() ? 2 : 0;
}

static void a_filter_that_refuses_futex(void **state)
{
	static const struct filter_rule futex = {SYS_futex, SECCOMP_RET_ERRNO | EPERM};

	(void)state;
	rules = &futex;
	assert_int_equal(in_child(child_without_futex), 0);
}

/* An emulator's; here it is no socket at all. */
static void a_kernel_that_tells_no_peers(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	publish_u32(&phase, RUNNING); /* observed in watchdog_start() */
	assert_false(watchdog_start(null, &phase, RUNNING, SILENT_MS));
	assert_false(watchdog_is_there());
	assert_false(watchdog_may_start());
	close(null);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_that_tells_no_peers),
		cmocka_unit_test(it_wakes_when_it_slept),
		cmocka_unit_test(it_ends_and_begins_again),
		cmocka_unit_test(a_try_outlives_it),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(a_forked_child),
		cmocka_unit_test(kernels_that_refuse_to_shut_down),
		cmocka_unit_test(a_filter_that_refuses_pidfd_getfd),
#endif
		cmocka_unit_test(a_filter_that_refuses_futex),
		cmocka_unit_test(the_moment_of_the_syn_ack),
		cmocka_unit_test(signals),
		cmocka_unit_test(the_programs_send_timeout),
		cmocka_unit_test(numbers_that_change_hands),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
