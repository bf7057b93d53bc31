/* libc's socket calls past all hooks, our own included. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_RAW_CALLS_H
#define K8SLB_BASE_RAW_CALLS_H

#include <sys/socket.h>

/*
 * The build renames curl's and c-ares' references of connect and getpeername to these names
 * (third_party). Without it, the connection to the API server would itself be looked up in the
 * table that it fills: the API server's address is a Service VIP (default/kubernetes). Those of
 * getaddrinfo() and its kin become names that are nowhere, so that no link has any. Their socket()
 * is not renamed: the hook notes nothing of our thread's; nor is setsockopt(), which they call for
 * options that the hook passes by.
 * Same contracts as connect(2), socket(2), setsockopt(2) and getpeername(2).
 */
int k8slb_raw_connect(int fd, const struct sockaddr *addr, socklen_t len);
int k8slb_raw_socket(int domain, int type, int protocol);
int k8slb_raw_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len);

#endif
