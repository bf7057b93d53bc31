// SPDX-License-Identifier: Apache-2.0
/*
 * Behind libk8slb.so in LD_PRELOAD: what comes right when a wait of libc's has ended without anything, and before the
 * hook goes on. LATE=signal: SIGUSR1 for this thread; cancel: it is cancelled. Once.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define EXPORT __attribute__((visibility("default")))

static int done;

static int late(int result)
{
	const char *what = getenv("LATE");

	if (result == 0 && what && !__atomic_exchange_n(&done, 1, __ATOMIC_ACQ_REL)) {
		if (strcmp(what, "cancel") == 0)
			pthread_cancel(pthread_self());
		else
			pthread_kill(pthread_self(), SIGUSR1);
	}
	return result;
}

#define HOOK(name, parameters, arguments)                                  \
	int name parameters;                                               \
	EXPORT int name parameters                                         \
	{                                                                  \
		int(*next) parameters;                                     \
                                                                           \
		*(void **)&next = dlsym(RTLD_NEXT, #name);                 \
		return late(next arguments);                               \
	}

HOOK(poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
HOOK(ppoll, (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask))
HOOK(__poll_chk, (struct pollfd * fds, nfds_t count, int timeout, size_t size),
     (fds, count, timeout, size))
HOOK(__ppoll_chk,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
      size_t size),
     (fds, count, timeout, mask, size))
HOOK(select, (int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout),
     (count, in, out, except, timeout))
HOOK(pselect,
     (int count, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
      const sigset_t *mask),
     (count, in, out, except, timeout, mask))
HOOK(epoll_wait, (int epoll, struct epoll_event *events, int most, int timeout),
     (epoll, events, most, timeout))
HOOK(epoll_pwait,
     (int epoll, struct epoll_event *events, int most, int timeout, const sigset_t *mask),
     (epoll, events, most, timeout, mask))
HOOK(epoll_pwait2,
     (int epoll, struct epoll_event *events, int most, const struct timespec *timeout,
      const sigset_t *mask),
     (epoll, events, most, timeout, mask))
