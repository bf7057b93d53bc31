// SPDX-License-Identifier: Apache-2.0
/*
 * leave HOST PORT HOW WHO DELAY_US LOAD: asks once, waits, and ends with status 7 (abort: SIGABRT).
 *   HOW:  return, exit, _exit, quick_exit, abort, or the same as handler-exit ... in a handler of a
 *         timer's signal, which meets the thread in the middle of connect().
 *   WHO:  main, or thread: another one, while main waits for it.
 *   LOAD: so many threads connect all the time, up to the end.
 * "leaving NS" (CLOCK_MONOTONIC) is the last thing before, "atexit" and "destructor" come after it
 * where they do without the shim.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "pods.h"

#define STATUS 7

static struct sockaddr_in vip;
static const char *how;
static long delay_us;

static void at_exit(void)
{
	pods_say("atexit", "");
}

__attribute__((destructor)) static void destructor(void)
{
	pods_say("destructor", "");
}

static void say_leaving(void)
{
	struct timespec now;
	char text[32];
	int at = sizeof(text) - 1;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	text[at] = '\0';
	for (; ns; ns /= 10)
		text[--at] = (char)('0' + ns % 10);
	pods_say("leaving", text + at);
}

static void leave_by(const char *way)
{
	say_leaving();
	if (strcmp(way, "exit") == 0)
		exit(STATUS);
	if (strcmp(way, "_exit") == 0)
		_exit(STATUS);
	if (strcmp(way, "quick_exit") == 0)
		quick_exit(STATUS);
	if (strcmp(way, "abort") == 0)
		abort();
}

static void on_timer(int number)
{
	(void)number;
	leave_by(how + strlen("handler-"));
}

static void set_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec when = {.it_value = {.tv_sec = delay_us / 1000000,
					       .tv_nsec = delay_us % 1000000 * 1000 + 1}};
	struct sigaction action = {.sa_handler = on_timer};
	timer_t timer;

	sigaction(SIGUSR1, &action, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &when, NULL);
}

static void *ask_for_ever(void *unused)
{
	char name[64];

	for (;;)
		pods_question(&vip, name, sizeof(name));
	return unused;
}

/* The one that leaves, once the delay is over. */
static void *leave(void *unused)
{
	char name[64];

	pods_question(&vip, name, sizeof(name));
	if (strncmp(how, "handler-", strlen("handler-")) == 0)
		ask_for_ever(NULL);
	pods_pause_us(delay_us);
	leave_by(how);
	return unused;
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};
	pthread_t thread;

	if (argc != 7)
		return 2;
	setrlimit(RLIMIT_CORE, &no_core);
	vip = pods_address(argv[1], argv[2]);
	how = argv[3];
	delay_us = atol(argv[5]);
	atexit(at_exit);
	for (int i = atoi(argv[6]); i > 0; i--)
		pthread_create(&thread, NULL, ask_for_ever, NULL);
	if (strncmp(how, "handler-", strlen("handler-")) == 0)
		set_timer();
	if (strcmp(argv[4], "thread") == 0) {
		pthread_create(&thread, NULL, leave, NULL);
		pthread_join(thread, NULL);
	}
	leave(NULL);
	return STATUS;
}
