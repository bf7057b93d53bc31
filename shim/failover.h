/* One connect() of the program: to the picked endpoint, and to others while those are dead. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_FAILOVER_H
#define K8SLB_SHIM_FAILOVER_H

#include <sys/socket.h>

#include "pick/pick.h"

/* What connect.c decided on. */
struct dial {
	int fd;
	socklen_t length;
	struct sockaddr_storage address; /* of the picked endpoint, in the caller's form */
	const struct table_view *view;
	struct pick_state state;
	struct picked picked;
	bool failed_before; /* a connection of this socket did; the next connect() tells that */
	uint32_t endpoint_count; /* of the port; 0: not known */
	uint64_t cookie;	 /* of the socket; failover.c's own */
};

/*
 * Connects, and reports for all processes what became of each endpoint. docs/failover.md says what
 * happens in each case; in short:
 *   A blocking socket whose endpoint refuses, is unreachable or does not answer goes to another
 *   one, K8SLB_ATTEMPTS in all, each but the last one for K8SLB_CONNECT_TIMEOUT at most. The last
 *   one has the time that the program and the kernel give it.
 *   A non-blocking one has one endpoint (pending.h learns its outcome).
 * Where another thread has given the descriptor to something else meanwhile, that is left alone.
 * The socket's flags and options are as before on return. Result and errno are those of the last
 * endpoint's connect(). Writes to *@dial: another endpoint takes the place of the picked one.
 */
int failover_connect(struct dial *dial);

#endif
