/* libc's own version of each call that we intercept. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_LIBC_H
#define K8SLB_SHIM_LIBC_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

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
	     (fd, level, name, value, size), k8slb_raw_setsockopt(fd, level, name, value, size))  \
	CALL(int, getpeername, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len),  \
	     k8slb_raw_getpeername(fd, addr, len))                                                \
	CALL(ssize_t, sendto,                                                                     \
	     (int fd, const void *data, size_t size, int flags, const struct sockaddr *addr,      \
	      socklen_t len),                                                                     \
	     (fd, data, size, flags, addr, len),                                                  \
	     k8slb_raw_sendto(fd, data, size, flags, addr, len))                                  \
	CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),                 \
	     (fd, message, flags), k8slb_raw_sendmsg(fd, message, flags))                         \
	CALL(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags),        \
	     (fd, messages, count, flags), k8slb_raw_sendmmsg(fd, messages, count, flags))        \
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
	LIBC_ID_CALLS(CALL)

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
#undef LIBC_DECLARE

/* pthread_exit(3); where it cannot be looked up, the end of the calling thread alone. */
__attribute__((noreturn)) void libc_pthread_exit(void *result);

/*
 * Looks all of them up. The constructor does this so that no dlsym() runs in a signal handler
 * later; a call that comes before the constructor looks up its own symbol alone.
 */
void libc_bind_all(void);

/* What libc_NAME() calls; NULL: that is no intercepted call, or cannot be looked up. */
const void *libc_behind(const char *name);

/* _dl_find_object(3) of glibc 2.35 and newer, or NULL. Found by libc_bind_all(). */
void *libc_find_object(void);

/* The process runs on glibc, whose freeaddrinfo() frees a list node by node. */
bool libc_is_glibc(void);

#endif
