// SPDX-License-Identifier: Apache-2.0
#include "base/raw_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/raw_syscall.h"

/* Of the kernel's sigset_t, which is shorter than libc's. */
#define MASK_SIZE ((size_t)8)

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; the same */
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* Linux 5.11; one number for all machines */
#endif

int k8slb_raw_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)raw_syscall(SYS_connect, fd, addr, len);
}

int k8slb_raw_socket(int domain, int type, int protocol)
{
	return (int)raw_syscall(SYS_socket, domain, type, protocol);
}

int k8slb_raw_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return (int)raw_syscall(SYS_setsockopt, fd, level, name, value, size);
}

int k8slb_raw_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return (int)raw_syscall(SYS_getsockopt, fd, level, name, value, size);
}

int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)raw_syscall(SYS_getpeername, fd, addr, len);
}

int k8slb_raw_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask)
{
	/* The kernel writes what is left of the time, libc's call does not. */
	struct timespec left;

	if (timeout)
		left = *timeout;
	return (int)raw_syscall(SYS_ppoll, fds, count, timeout ? &left : NULL, mask, MASK_SIZE);
}

int k8slb_raw_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000,
				   .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

	return k8slb_raw_ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

int k8slb_raw_pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		      const struct timespec *timeout, const sigset_t *mask)
{
	struct {
		const sigset_t *mask;
		size_t size;
	} with = {mask, MASK_SIZE};
	struct timespec left;

	if (timeout)
		left = *timeout;
	return (int)raw_syscall(SYS_pselect6, count, readable, writable, exceptional,
				timeout ? &left : NULL, &with);
}

int k8slb_raw_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		     struct timeval *timeout)
{
	struct timespec left;
	int rc;

	if (!timeout)
		return k8slb_raw_pselect(count, readable, writable, exceptional, NULL, NULL);
	left = (struct timespec){.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
				 .tv_nsec = (long)(timeout->tv_usec % 1000000) * 1000};
	rc = (int)raw_syscall(SYS_pselect6, count, readable, writable, exceptional, &left, NULL);
	timeout->tv_sec = left.tv_sec;
	timeout->tv_usec = left.tv_nsec / 1000;
	return rc;
}

int k8slb_raw_epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms,
			  const sigset_t *mask)
{
	return (int)raw_syscall(SYS_epoll_pwait, epoll, events, most, timeout_ms, mask, MASK_SIZE);
}

int k8slb_raw_epoll_pwait2(int epoll, struct epoll_event *events, int most,
			   const struct timespec *timeout, const sigset_t *mask)
{
	return (int)raw_syscall(SYS_epoll_pwait2, epoll, events, most, timeout, mask, MASK_SIZE);
}

int k8slb_raw_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	return (int)raw_syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

int k8slb_raw_close(int fd)
{
	return (int)raw_syscall(SYS_close, fd);
}

/* arm64 has none. */
int k8slb_raw_dup2(int from, int to)
{
	if (from == to)
		return raw_syscall(SYS_fcntl, from, F_GETFD) < 0 ? -1 : to;
	return k8slb_raw_dup3(from, to, 0);
}

int k8slb_raw_dup3(int from, int to, int flags)
{
	return (int)raw_syscall(SYS_dup3, from, to, flags);
}

int k8slb_raw_close_range(unsigned first, unsigned last, int flags)
{
	return (int)raw_syscall(SYS_close_range, first, last, flags);
}

void k8slb_raw_closefrom(int first)
{
	long most = sysconf(_SC_OPEN_MAX);

	if (first < 0)
		first = 0;
	if (k8slb_raw_close_range((unsigned)first, UINT_MAX, 0) == 0)
		return;
	for (int fd = first; fd < most && fd < INT_MAX; fd++)
		k8slb_raw_close(fd);
}
