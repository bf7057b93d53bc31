/* Bare questions to a TCP socket, and its return to what socket(2) made. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_TCP_SOCKET_H
#define K8SLB_BASE_TCP_SOCKET_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/raw_syscall.h"

/* Of netinet/tcp.h, which begins at 1; 0: not known, or no TCP. One byte of TCP_INFO is the state. */
static inline uint8_t tcp_state_of(int fd)
{
	uint8_t state = 0;
	socklen_t one = sizeof(state);

	raw_syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &one);
	return state;
}

/* What was to be told of it, errno, and is so no more; 0: nothing. */
static inline int tcp_take_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* Disconnected, whatever it was, and neither half shut nor with an error to be told (tcp_disconnect()
 * in net/ipv4/tcp.c). A peer gets a reset. */
static inline void tcp_make_as_new(int fd)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	raw_syscall(SYS_connect, fd, &none, sizeof(none));
	tcp_take_error(fd); /* of the reset */
}

#endif
