/* One connect() of the program: to the picked endpoint, and to others while those are dead. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_FAILOVER_H
#define K8SLB_SHIM_FAILOVER_H

#include <sys/socket.h>

#include "fresh.h"
#include "pick/pick.h"

/* What connect.c decided on. */
struct dial {
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
	bool one_attempt;	 /* of the port, with @endpoint_count */
};

/* How far a connection came on its way through the endpoints, and what is left of it. */
struct way_on {
	uint32_t limit_ms; /* of a try that something follows */
	uint8_t tries;	   /* endpoints that have failed */
	uint8_t most;	   /* that may be tried, the one that is under way included */
	bool vip_follows;  /* the caller's own address is the last endpoint */
	bool at_vip;
	struct table_endpoint tried[PICK_TRIED]; /* @tries of them */
};

/* A copy of what is set. */
static inline void way_copy(struct way_on *to, const struct way_on *from)
{
	to->limit_ms = from->limit_ms;
	to->tries = from->tries;
	to->most = from->most;
	to->vip_follows = from->vip_follows;
	to->at_vip = from->at_vip;
	for (unsigned i = 0; i < from->tries; i++)
		to->tried[i] = from->tried[i];
}

/*
 * Connects, and reports for all processes what became of each endpoint. docs/failover.md says what
 * happens in each case; in short:
 *   An endpoint that refuses, is unreachable or, on a blocking socket, does not answer is followed
 *   by another one, K8SLB_ATTEMPTS in all, each for K8SLB_CONNECT_TIMEOUT at most; and the last
 *   one by the caller's own arguments, with the time that the program and the kernel give them.
 *   What only the endpoint's address causes, on this host, is followed by the caller's own at once.
 *   A non-blocking socket waits for nothing: what is not known when connect() returns is left to
 *   the program (pending.h learns it).
 * Where another thread has given the descriptor to something else meanwhile, that is left alone.
 * The socket's flags and options are as before on return. Result and errno are those of the last
 * connect(). Writes to *@dial: another endpoint takes the place of the picked one.
 */
int failover_connect(struct dial *dial);

/* Something may follow the endpoint that is under way, by what the table says now. Changes nothing.
 */
bool failover_may_go_on(const struct dial *dial, const struct way_on *way);

/* What failover_go_on() has to know of the endpoint that failed. */
struct way_end {
	int error;	   /* errno */
	uint64_t cookie;   /* of the socket, which has to be at dial->fd */
	bool was_overdue;  /* it was given up, after way->limit_ms */
	bool was_reported; /* for all processes */
};

/*
 * The endpoint that was under way has failed, the socket is as new and does not wait: goes on with
 * what follows, as failover_connect() would have done. Takes from *@dial what pending.h keeps, and
 * writes to both. Result and errno are those of the last connect(), which is not recorded as
 * pending; the first errno where nothing follows.
 */
int failover_go_on(struct dial *dial, struct way_on *way, const struct way_end *end);

#endif
