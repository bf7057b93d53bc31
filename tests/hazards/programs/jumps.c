// SPDX-License-Identifier: Apache-2.0
/*
 * jumps VIP PORT: a handler leaves connect() by siglongjmp(), as programs have timed it out for
 * decades, until it has left one that way: "jumped". Then "slowest MS", of 20 calls of another
 * thread; and "ask NAME" for each connection of the first one, ten times a second, until it is
 * killed.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include "pods.h"

#define TIMEOUT_US 20000

static struct sockaddr_in vip;
static sigjmp_buf before;

static void leave(int number)
{
	siglongjmp(before, number);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *time_calls(void *slowest)
{
	for (int i = 0; i < 20; i++) {
		long begun = now_ms();
		char name[64];

		pods_question(&vip, name, sizeof(name));
		if (now_ms() - begun > *(long *)slowest)
			*(long *)slowest = now_ms() - begun;
		pods_pause_us(100000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct itimerval soon = {.it_value = {.tv_usec = TIMEOUT_US}};
	const struct itimerval never = {.it_value = {.tv_usec = 0}};
	struct sigaction action = {.sa_handler = leave};
	pthread_t thread;
	char text[32];
	long slowest = 0;

	if (argc != 3)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	sigaction(SIGALRM, &action, NULL);
	if (sigsetjmp(before, 1) == 0) {
		char name[64];

		setitimer(ITIMER_REAL, &soon, NULL);
		pods_question(&vip, name, sizeof(name));
		setitimer(ITIMER_REAL, &never, NULL);
		pods_say("missed", name);
		return 1;
	}
	pods_say("jumped", "");
	pthread_create(&thread, NULL, time_calls, &slowest);
	pthread_join(thread, NULL);
	snprintf(text, sizeof(text), "%ld", slowest);
	pods_say("slowest", text);
	for (;;) {
		pods_ask(&vip, "ask", 1);
		pods_pause_us(100000);
	}
}
