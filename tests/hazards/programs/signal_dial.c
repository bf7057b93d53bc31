// SPDX-License-Identifier: Apache-2.0
/*
 * signal_dial VIP PORT SIGNALS MICROSECONDS plain|altstack|nodefer: main() does nothing but take
 * and give back memory, under a timer whose handler connects the first SIGNALS times, as POSIX
 * allows a handler to. Prints "handler POD" for each, then three connections of main() as "main
 * POD", and then three of the handler again as "later POD".
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "dial.h"

static struct sockaddr_in vip;
static const char *volatile point;
static int left; /* atomic: a handler may interrupt itself */
static volatile sig_atomic_t inside;

static void handler(int number)
{
	int saved_errno = errno;

	(void)number;
	inside++;
	if (__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) > 0)
		dial_and_tell(point, &vip);
	inside--;
	errno = saved_errno;
}

/* All sizes, so that every lock of an allocator is taken in turn; volatile, or the compiler leaves
 * it out. */
static void churn(unsigned step)
{
	static void *volatile kept[64];
	void *block = malloc((size_t)1 << (step % 18));

	free(kept[step % 64]);
	kept[step % 64] = block;
}

/* Under a timer, until so many handlers have connected. */
static void storm(const char *name, int signals, long microseconds)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec period = {.it_value.tv_sec = 0};
	unsigned step = 0;
	timer_t timer;

	point = name;
	__atomic_store_n(&left, signals, __ATOMIC_RELAXED);
	period.it_value.tv_nsec = microseconds * 1000;
	period.it_interval = period.it_value;
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &period, NULL);
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) > 0 || inside)
		churn(step++);
	timer_delete(timer);
}

int main(int argc, char **argv)
{
	static char stack[64 * 1024];
	stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	if (argc < 6)
		return 2;
	vip = dial_address(argv[1], argv[2]);
	if (strcmp(argv[5], "altstack") == 0) {
		sigaltstack(&other, NULL);
		action.sa_flags |= SA_ONSTACK;
	} else if (strcmp(argv[5], "nodefer") == 0) {
		action.sa_flags |= SA_NODEFER;
	}
	sigaction(SIGUSR1, &action, NULL);
	storm("handler", atoi(argv[3]), atol(argv[4]));
	for (int i = 0; i < 3; i++)
		dial_and_tell("main", &vip);
	storm("later", 3, atol(argv[4]));
	return 0;
}
