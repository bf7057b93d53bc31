/* What the kernel tells of a connection, without the program missing anything of it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_TCP_OUTCOME_H
#define K8SLB_SHIM_TCP_OUTCOME_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libc.h"

/* The start of struct tcp_info, whose end many headers lack. Linux 4.2. */
struct tcp_outcome {
	uint8_t state;
	uint8_t unused1[59];
	uint32_t pmtu; /* 0: was never connected. What a failed connect() leaves of itself */
	uint32_t unused2;
	uint32_t rtt_us; /* of a connection; first of its handshake */
	uint8_t unused3[48];
	uint64_t bytes_acked; /* a SYN counts as one */
	uint64_t bytes_received;
	uint32_t segs_out; /* since the socket was last connected or disconnected; 0: none, or the
			      kernel does not tell, and nothing but the state is known */
	uint32_t segs_in;
};

/* False: no TCP socket. */
static inline bool tcp_outcome_read(int fd, struct tcp_outcome *ret_outcome)
{
	socklen_t size = sizeof(*ret_outcome);

	if (libc_getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret_outcome, &size) < 0)
		return false;
	if (size < sizeof(*ret_outcome))
		ret_outcome->segs_out = 0;
	return true;
}

#endif
