/* libc's own version of each call that we intercept. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_LIBC_H
#define K8SLB_SHIM_LIBC_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * Looks all of them up. The constructor does this so that no dlsym() runs in a signal handler
 * later; a call that comes before the constructor looks up its own symbol alone.
 */
void libc_bind_all(void);

/* The process runs on glibc, whose freeaddrinfo() frees a list node by node. */
bool libc_is_glibc(void);

/* Same contracts as connect(2), getpeername(2), getaddrinfo(3) and gethostbyname(3). Where libc's
 * own cannot be looked up, the first two are system calls and the others fail with ENOSYS
 * (EAI_SYSTEM). */
int libc_connect(int fd, const struct sockaddr *addr, socklen_t len);
int libc_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int libc_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		     struct addrinfo **ret_list);
struct hostent *libc_gethostbyname(const char *name);
struct hostent *libc_gethostbyname2(const char *name, int family);
int libc_gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size,
			 struct hostent **ret_host, int *ret_h_errno);
int libc_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer,
			  size_t size, struct hostent **ret_host, int *ret_h_errno);

/* The calls that change the user and group ids of a process; ENOSYS as above. */
int libc_setuid(uid_t uid);
int libc_setgid(gid_t gid);
int libc_seteuid(uid_t uid);
int libc_setegid(gid_t gid);
int libc_setreuid(uid_t real, uid_t effective);
int libc_setregid(gid_t real, gid_t effective);
int libc_setresuid(uid_t real, uid_t effective, uid_t saved);
int libc_setresgid(gid_t real, gid_t effective, gid_t saved);
int libc_setgroups(size_t count, const gid_t *groups);
int libc_initgroups(const char *user, gid_t group);

/* pthread_exit(3); where it cannot be looked up, the end of the calling thread alone. */
__attribute__((noreturn)) void libc_pthread_exit(void *result);

#endif
