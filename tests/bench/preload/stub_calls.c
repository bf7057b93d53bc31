// SPDX-License-Identifier: Apache-2.0
#include "stub_calls.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

_Atomic uint32_t bench_connected_to;

/* Each connection of a real program is a new socket with a new cookie. */
static __thread uint64_t next_cookie __attribute__((tls_model("initial-exec")));

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *addr,
						   socklen_t len)
{
	if (fd != BENCH_STUB_FD)
		return (int)syscall(SYS_connect, fd, addr, len);
	atomic_store_explicit(&bench_connected_to,
			      ((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr,
			      memory_order_relaxed);
	return 0;
}

__attribute__((visibility("default"))) int socket(int domain, int type, int protocol)
{
	if (protocol != BENCH_STUB_PROTOCOL)
		return (int)syscall(SYS_socket, domain, type, protocol);
	return BENCH_STUB_FD;
}

__attribute__((visibility("default"))) ssize_t sendto(int fd, const void *data, size_t size,
						      int flags, const struct sockaddr *addr,
						      socklen_t len)
{
	return fd == BENCH_STUB_FD ? (ssize_t)size
				   : syscall(SYS_sendto, fd, data, size, flags, addr, len);
}

static int stub_getsockopt(int level, int option, void *value, socklen_t *size)
{
	if (level == IPPROTO_TCP && option == TCP_INFO) {
		*(uint8_t *)value = TCP_CLOSE;
		*size = 1;
		return 0;
	}
	if (level == SOL_SOCKET && option == SO_COOKIE) {
		uint64_t cookie = (uintptr_t)&next_cookie + ++next_cookie;

		memcpy(value, &cookie, sizeof(cookie));
		return 0;
	}
	memset(value, 0, *size);
	return 0;
}

__attribute__((visibility("default"))) int getsockopt(int fd, int level, int option, void *value,
						      socklen_t *size)
{
	if (fd != BENCH_STUB_FD)
		return (int)syscall(SYS_getsockopt, fd, level, option, value, size);
	return stub_getsockopt(level, option, value, size);
}

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int option,
						      const void *value, socklen_t size)
{
	if (fd != BENCH_STUB_FD)
		return (int)syscall(SYS_setsockopt, fd, level, option, value, size);
	return 0;
}

/* A blocking socket: the longest way. */
__attribute__((visibility("default"))) int fcntl(int fd, int command, ...)
{
	va_list arguments;
	long argument;

	if (fd == BENCH_STUB_FD && command == F_GETFL)
		return O_RDWR;
	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	return (int)syscall(SYS_fcntl, fd, command, argument);
}
