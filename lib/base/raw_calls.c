// SPDX-License-Identifier: Apache-2.0
#include "base/raw_calls.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

int k8slb_raw_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)syscall(SYS_connect, fd, addr, len);
}

int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)syscall(SYS_getpeername, fd, addr, len);
}

int k8slb_raw_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			  struct addrinfo **ret_list)
{
	union {
		void *object;
		int (*call)(const char *, const char *, const struct addrinfo *,
			    struct addrinfo **);
	} next = {dlsym(RTLD_NEXT, "getaddrinfo")};

	return next.object ? next.call(node, service, hints, ret_list) : EAI_SYSTEM;
}
