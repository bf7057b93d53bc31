/* libc's socket calls past all hooks, our own included. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_RAW_CALLS_H
#define K8SLB_BASE_RAW_CALLS_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

/*
 * The build renames curl's and c-ares' references of connect and getpeername to these names
 * (third_party). Without it, the connection to the API server would itself be looked up in the
 * table that it fills: the API server's address is a Service VIP (default/kubernetes). Those of
 * getaddrinfo() and its kin become names that are nowhere, so that no link has any. Their socket()
 * is not renamed: the hook notes nothing of our thread's; nor is setsockopt(), which they call for
 * options that the hook passes by, nor poll(), select(), getsockopt() and close(), whose hooks
 * leave our thread alone. Same contracts as the calls that they are named after. The waits and
 * close() are no cancellation points.
 */
int k8slb_raw_connect(int fd, const struct sockaddr *addr, socklen_t len);
int k8slb_raw_socket(int domain, int type, int protocol);
int k8slb_raw_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int k8slb_raw_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int k8slb_raw_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int k8slb_raw_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask);
int k8slb_raw_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		     struct timeval *timeout);
int k8slb_raw_pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		      const struct timespec *timeout, const sigset_t *mask);
int k8slb_raw_epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms,
			  const sigset_t *mask);
int k8slb_raw_epoll_pwait2(int epoll, struct epoll_event *events, int most,
			   const struct timespec *timeout, const sigset_t *mask);
int k8slb_raw_close(int fd);
int k8slb_raw_dup2(int from, int to);
int k8slb_raw_dup3(int from, int to, int flags);
int k8slb_raw_close_range(unsigned first, unsigned last, int flags);
void k8slb_raw_closefrom(int first);
int k8slb_raw_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);

#endif
