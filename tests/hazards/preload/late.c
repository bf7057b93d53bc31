// SPDX-License-Identifier: Apache-2.0
/*
 * Behind libk8slb.so in LD_PRELOAD: what comes right between two stretches of a wait. A hook reads the clock there, so that
 * this one does it: LATE=signal: SIGUSR1 for this thread; cancel: it is cancelled. Once, when a thread of the program has
 * read no clock for the better part of a try.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define LONG_MS 60

static int done;

static long ms_of(const struct timespec *time)
{
	return time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

static void come(const char *what)
{
	if (__atomic_exchange_n(&done, 1, __ATOMIC_ACQ_REL))
		return;
	if (strcmp(what, "cancel") == 0)
		pthread_cancel(pthread_self());
	else
		pthread_kill(pthread_self(), SIGUSR1);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time)
{
	static __thread long last_ms;
	const char *what = getenv("LATE");
	int (*next)(clockid_t, struct timespec *);
	char name[17] = "";
	int result;

	*(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
	result = next(clock, time);
	if (!what || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE))
		return result;
	if (last_ms && ms_of(time) - last_ms > LONG_MS && prctl(PR_GET_NAME, name) == 0 &&
	    strncmp(name, "interrupted", 15) == 0)
		come(what);
	last_ms = ms_of(time);
	return result;
}
