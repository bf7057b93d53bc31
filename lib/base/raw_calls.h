/* libc's socket calls past all hooks, our own included. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_RAW_CALLS_H
#define K8SLB_BASE_RAW_CALLS_H

#include <sys/socket.h>
#include <sys/types.h>

/*
 * The build renames curl's and c-ares' references of connect and getpeername to these names
 * (third_party). Without it, the connection to the API server would itself be looked up in the
 * table that it fills: the API server's address is a Service VIP (default/kubernetes). Those of
 * getaddrinfo() and its kin become names that are nowhere, so that no link has any. Their socket()
 * is not renamed: the hook notes nothing of our thread's; nor are setsockopt() and sendto(), which
 * they call for options and with flags that the hooks pass by.
 * Same contracts as the system calls without the prefix.
 */
int k8slb_raw_connect(int fd, const struct sockaddr *addr, socklen_t len);
int k8slb_raw_socket(int domain, int type, int protocol);
int k8slb_raw_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
ssize_t k8slb_raw_sendto(int fd, const void *data, size_t size, int flags,
			 const struct sockaddr *addr, socklen_t len);
ssize_t k8slb_raw_sendmsg(int fd, const struct msghdr *message, int flags);
int k8slb_raw_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

#endif
