/* One connect() of the program: to the picked endpoint, and to others while those are dead. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_FAILOVER_H
#define K8SLB_SHIM_FAILOVER_H

#include <sys/socket.h>
#include <sys/types.h>

#include "fresh.h"
#include "pick/pick.h"

/* What connect.c decided on. */
struct dial {
	/* libc's call that connects by sending, to @addr; NULL: connect(). It is tried at one
	 * endpoint: what may have been sent is not sent to another one. */
	ssize_t (*send)(const struct dial *dial, const struct sockaddr *addr, socklen_t len);
	int fd;
	enum fresh fresh;
	socklen_t length;
	struct sockaddr_storage address; /* of the picked endpoint, in the caller's form */
	const struct sockaddr *own;	 /* the caller's, as they came */
	socklen_t own_length;
	const struct table_view *view;
	struct pick_state state;
	struct picked picked;
	bool failed_before; /* a connection of this socket did; the next connect() tells that */
	uint32_t endpoint_count; /* of the port; 0: not known */
};

/*
 * Connects, and reports for all processes what became of each endpoint. docs/failover.md says what
 * happens in each case; in short:
 *   An endpoint that refuses, is unreachable or, on a blocking socket, does not answer is followed
 *   by another one, K8SLB_ATTEMPTS in all, each for K8SLB_CONNECT_TIMEOUT at most; and the last
 *   one by the caller's own arguments, with the time that the program and the kernel give them.
 *   What only the endpoint's address causes, on this host, is followed by the caller's own at once.
 *   What connects by sending is tried at one endpoint; where nothing was sent, by the caller's own.
 *   A non-blocking socket waits for nothing: what is not known when connect() returns is left to
 *   the program (pending.h learns it).
 * Where another thread has given the descriptor to something else meanwhile, that is left alone.
 * The socket's flags and options are as before on return. Result and errno are those of the last
 * connect(). Writes to *@dial: another endpoint takes the place of the picked one.
 */
ssize_t failover_connect(struct dial *dial);

/* A connect() to an endpoint that failed at once with @error, and that no other endpoint follows, is
 * followed by one to the caller's own address. */
bool failover_leads_to_vip(int error);

#endif
