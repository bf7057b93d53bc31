// SPDX-License-Identifier: Apache-2.0
/*
 * Behind libk8slb.so in LD_PRELOAD: as a library of coroutines, whose poll() and others run something else of the program until the
 * event is there. That has to have the program's mask, and what the library does not know, as ppoll(), is none of its waits.
 * Says so on stderr where it is otherwise. For programs that call poll(), select() or epoll_wait().
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define EXPORT __attribute__((visibility("default")))

static void look(const char *name)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGTERM))
		dprintf(2, "%s with signals closed\n", name);
	else if (strncmp(name, "pp", 2) == 0 || strncmp(name, "ps", 2) == 0 || strstr(name, "_p"))
		dprintf(2, "%s, which the program does not call\n", name);
}

#define NEXT(name) \
	static __typeof__(&name) next; \
	look(#name); \
	if (!next) \
		*(void **)&next = dlsym(RTLD_NEXT, #name)

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	NEXT(poll);
	return next(fds, count, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	NEXT(ppoll);
	return next(fds, count, timeout, mask);
}

EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
	NEXT(select);
	return next(count, readable, writable, exceptional, timeout);
}

EXPORT int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
		   const sigset_t *mask)
{
	NEXT(pselect);
	return next(count, readable, writable, exceptional, timeout, mask);
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	NEXT(epoll_wait);
	return next(epoll, events, most, timeout);
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	NEXT(epoll_pwait);
	return next(epoll, events, most, timeout, mask);
}
