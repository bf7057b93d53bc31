/* libc's own version of each call that we intercept. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_LIBC_H
#define K8SLB_SHIM_LIBC_H

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/*
 * CALL(result, name, parameters, arguments, otherwise) for each: libc_NAME() has the contract of
 * NAME(). @otherwise: what it is where libc's own cannot be looked up, a system call or a failure
 * with ENOSYS (libc.c).
 */
#define LIBC_CALLS(CALL)                                                                          \
	CALL(int, connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), \
	     k8slb_raw_connect(fd, addr, len))                                                    \
	CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol),         \
	     k8slb_raw_socket(domain, type, protocol))                                            \
	CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),   \
	     (fd, level, name, value, size),                                                      \
	     k8slb_raw_setsockopt(fd, level, name, value, size))                                  \
	CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size),        \
	     (fd, level, name, value, size),                                                      \
	     k8slb_raw_getsockopt(fd, level, name, value, size))                                  \
	CALL(int, getpeername, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len),  \
	     k8slb_raw_getpeername(fd, addr, len))                                                \
	CALL(int, getaddrinfo,                                                                    \
	     (const char *node, const char *service, const struct addrinfo *hints,                \
	      struct addrinfo **ret_list),                                                        \
	     (node, service, hints, ret_list), no_such_call(EAI_SYSTEM))                          \
	CALL(struct hostent *, gethostbyname, (const char *name), (name), no_such_lookup())       \
	CALL(struct hostent *, gethostbyname2, (const char *name, int family), (name, family),    \
	     no_such_lookup())                                                                    \
	CALL(int, gethostbyname_r,                                                                \
	     (const char *name, struct hostent *host, char *buffer, size_t size,                  \
	      struct hostent **ret_host, int *ret_h_errno),                                       \
	     (name, host, buffer, size, ret_host, ret_h_errno),                                   \
	     no_such_lookup_r(ret_host, ret_h_errno))                                             \
	CALL(int, gethostbyname2_r,                                                               \
	     (const char *name, int family, struct hostent *host, char *buffer, size_t size,      \
	      struct hostent **ret_host, int *ret_h_errno),                                       \
	     (name, family, host, buffer, size, ret_host, ret_h_errno),                           \
	     no_such_lookup_r(ret_host, ret_h_errno))                                             \
	CALL(int, setns, (int fd, int type), (fd, type), no_such_call(-1))                        \
	CALL(int, unshare, (int flags), (flags), no_such_call(-1))                                \
	LIBC_WAIT_CALLS(CALL)                                                                     \
	LIBC_ID_CALLS(CALL)

/* Those that give a number away. glibc has the last two since 2.34, musl has none of them. Before the
 * constructor they are system calls: an allocator may close what it has read in its first call, and a
 * lookup of libc's would call it. */
#define LIBC_CLOSE_CALLS(CALL)                                                                    \
	CALL(int, close, (int fd), (fd), k8slb_raw_close(fd))                                     \
	CALL(int, dup2, (int from, int to), (from, to), k8slb_raw_dup2(from, to))                 \
	CALL(int, dup3, (int from, int to, int flags), (from, to, flags),                         \
	     k8slb_raw_dup3(from, to, flags))                                                     \
	CALL(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags),  \
	     k8slb_raw_close_range(first, last, flags))                                           \
	CALL(void, closefrom, (int first), (first),                                               \
	     k8slb_raw_closefrom(first))

/* Those that wait for events of descriptors. glibc has epoll_pwait2() since 2.35, musl none of
 * __poll_chk() and its kin: nobody calls there what libc has not. */
#define LIBC_WAIT_CALLS(CALL)                                                                     \
	CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout),  \
	     k8slb_raw_poll(fds, count, timeout))                                                 \
	CALL(int, ppoll,                                                                          \
	     (struct pollfd * fds, nfds_t count, const struct timespec *timeout,                  \
	      const sigset_t *mask),                                                              \
	     (fds, count, timeout, mask), k8slb_raw_ppoll(fds, count, timeout, mask))             \
	CALL(int, __poll_chk, (struct pollfd * fds, nfds_t count, int timeout, size_t size),      \
	     (fds, count, timeout, size), k8slb_raw_poll(fds, count, timeout))                    \
	CALL(int, __ppoll_chk,                                                                    \
	     (struct pollfd * fds, nfds_t count, const struct timespec *timeout,                  \
	      const sigset_t *mask, size_t size),                                                 \
	     (fds, count, timeout, mask, size), k8slb_raw_ppoll(fds, count, timeout, mask))       \
	CALL(int, select,                                                                         \
	     (int count, fd_set *readable, fd_set *writable, fd_set *exceptional,                 \
	      struct timeval *timeout),                                                           \
	     (count, readable, writable, exceptional, timeout),                                   \
	     k8slb_raw_select(count, readable, writable, exceptional, timeout))                   \
	CALL(int, pselect,                                                                        \
	     (int count, fd_set *readable, fd_set *writable, fd_set *exceptional,                 \
	      const struct timespec *timeout, const sigset_t *mask),                              \
	     (count, readable, writable, exceptional, timeout, mask),                             \
	     k8slb_raw_pselect(count, readable, writable, exceptional, timeout, mask))            \
	CALL(int, epoll_wait, (int epoll, struct epoll_event *events, int most, int timeout),     \
	     (epoll, events, most, timeout),                                                      \
	     k8slb_raw_epoll_pwait(epoll, events, most, timeout, NULL))                           \
	CALL(int, epoll_pwait,                                                                    \
	     (int epoll, struct epoll_event *events, int most, int timeout,                       \
	      const sigset_t *mask),                                                              \
	     (epoll, events, most, timeout, mask),                                                \
	     k8slb_raw_epoll_pwait(epoll, events, most, timeout, mask))                           \
	CALL(int, epoll_pwait2,                                                                   \
	     (int epoll, struct epoll_event *events, int most, const struct timespec *timeout,    \
	      const sigset_t *mask),                                                              \
	     (epoll, events, most, timeout, mask),                                                \
	     k8slb_raw_epoll_pwait2(epoll, events, most, timeout, mask))                          \
	CALL(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),            \
	     (epoll, what, fd, event), k8slb_raw_epoll_ctl(epoll, what, fd, event))

/* Those that change the user and group ids of a process. */
#define LIBC_ID_CALLS(CALL)                                                                        \
	CALL(int, setuid, (uid_t uid), (uid), no_such_call(-1))                                    \
	CALL(int, setgid, (gid_t gid), (gid), no_such_call(-1))                                    \
	CALL(int, seteuid, (uid_t uid), (uid), no_such_call(-1))                                   \
	CALL(int, setegid, (gid_t gid), (gid), no_such_call(-1))                                   \
	CALL(int, setreuid, (uid_t real, uid_t effective), (real, effective), no_such_call(-1))    \
	CALL(int, setregid, (gid_t real, gid_t effective), (real, effective), no_such_call(-1))    \
	CALL(int, setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved), \
	     no_such_call(-1))                                                                     \
	CALL(int, setresgid, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved), \
	     no_such_call(-1))                                                                     \
	CALL(int, setgroups, (size_t count, const gid_t *groups), (count, groups),                 \
	     no_such_call(-1))                                                                     \
	CALL(int, initgroups, (const char *user, gid_t group), (user, group), no_such_call(-1))

#define LIBC_DECLARE(result, name, parameters, arguments, otherwise) result libc_##name parameters;
LIBC_CALLS(LIBC_DECLARE)
LIBC_CLOSE_CALLS(LIBC_DECLARE)
#undef LIBC_DECLARE

/* pthread_exit(3); where it cannot be looked up, the end of the calling thread alone. */
__attribute__((noreturn)) void libc_pthread_exit(void *result);

/*
 * What is called where the thread ends by cancellation between push and pop, on whichever libc: the
 * way of old, a list that glibc and musl have both. Nothing where there is none. Not where a
 * handler of the program can run: musl keeps the buffer of a frame that siglongjmp(3) left.
 */
struct libc_cleanup {
	void *words[4]; /* as _pthread_cleanup_push() of either wants it */
	bool is_pushed;
};
void libc_cleanup_push(struct libc_cleanup *cleanup, void (*routine)(void *argument),
		       void *argument);
void libc_cleanup_pop(struct libc_cleanup *cleanup);

/*
 * What stands behind our hooks that wait, and behind connect(), is libc's own, or a sanitizer's before
 * it. A library of coroutines that has them goes on with another one in its poll(), on this thread or
 * back on another: a mask that were set then, and a wait by another call than the program's, would be
 * wrong; and what another library does in connect() is not to be done below a handler's poll(). A load.
 */
bool libc_waits_are_libcs(void);

/* A filter of system calls lets the program's calls pass, and not those that we wait by: from now on
 * the same as if they were not libc's. */
void libc_waits_are_refused(void);

/* Finds that out. Before the first hook acts. */
void libc_find_own(void);

/*
 * Looks all of them up. The constructor does this so that no dlsym() runs in a signal handler
 * later; a call that comes before the constructor looks up its own symbol alone.
 */
void libc_bind_all(void);

/* The process runs on glibc, whose freeaddrinfo() frees a list node by node. */
bool libc_is_glibc(void);

#endif
