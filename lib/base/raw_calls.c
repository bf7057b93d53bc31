// SPDX-License-Identifier: Apache-2.0
#include "base/raw_calls.h"

#include "base/raw_syscall.h"

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

int k8slb_raw_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)raw_syscall(SYS_getpeername, fd, addr, len);
}

ssize_t k8slb_raw_sendto(int fd, const void *data, size_t size, int flags,
			 const struct sockaddr *addr, socklen_t len)
{
	return raw_syscall(SYS_sendto, fd, data, size, flags, addr, len);
}

ssize_t k8slb_raw_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return raw_syscall(SYS_sendmsg, fd, message, flags);
}

int k8slb_raw_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return (int)raw_syscall(SYS_sendmmsg, fd, messages, count, flags);
}
