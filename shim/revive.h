/* A non-blocking connection that failed goes on to another endpoint before the program sees it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_REVIVE_H
#define K8SLB_SHIM_REVIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "pending.h"
#include "tcp_outcome.h"

/*
 * Linux lets a socket connect again: after the RST poll(2) shows IN OUT ERR HUP RDHUP; connect()
 * then answers with that failure, whatever the address, and leaves a socket as new (OUT HUP); the
 * next connect() begins, and shows nothing until its end. Descriptor, options, flags and the
 * registrations in epolls stay.
 *
 *   event with ERR or HUP ----> failed, and another endpoint follows ----> connect() there: no event
 *                          \--> else it is the program's, as it came
 *   nothing for longer than K8SLB_CONNECT_TIMEOUT ------> disconnected ---> connect() there
 *
 * Only a thread of the program that is in one of the hooks that wait, or connects again, does so:
 * nobody else can keep from the others what the socket shows in between. Who had fetched an event
 * of that time already waits for the claim and then shows what the socket shows by then. It waits
 * 100 ms at most; then the event is dropped, and the kernel tells the end of the connection:
 * whoever has claimed it leaves the socket connecting, or wakes all who wait for it (a disconnect
 * does). No duplicate is made of the program's descriptor: it would keep its registration in an
 * epoll alive after the program's close(), and bring an event whose data point to what was freed.
 */

/* What is to be done with a connection under way, by what the kernel tells of it. */
enum revive_step {
	REVIVE_WAIT,	  /* it goes on */
	REVIVE_CONNECTED, /* it came about, whatever was after that */
	REVIVE_FAILED,	  /* nothing was acknowledged: another endpoint, if there is one */
	REVIVE_OVERDUE,	  /* the same, and it is to be disconnected first */
	REVIVE_VOID,	  /* the program has disconnected it, or it is no connection */
};

/* @overdue: it has had its time. */
enum revive_step revive_step_of(const struct tcp_outcome *outcome, bool overdue);

/* What connect() says to the socket of a failed try. */
enum revive_said {
	REVIVE_SAID_FAILURE, /* the try's, and the socket is as new */
	REVIVE_SAID_TAKEN,   /* it had failed, and the program was told so past us: by read(2), say */
	REVIVE_SAID_WAITS,   /* it is under way again: somebody else has done something */
	REVIVE_SAID_THERE,   /* it is connected */
	REVIVE_SAID_GONE,    /* no socket has the number */
	REVIVE_SAID_DENIED,  /* the try's failure, or a sandbox does not let us ask */
	REVIVE_SAID_UNKNOWN, /* what no failed try answers */
};
enum revive_said revive_said_by(int rc, int error);

/* What an event is to be told as. */
enum revive_shows {
	REVIVE_AS_IT_CAME,
	REVIVE_SHOWS, /* as *ret_now says; 0: it is none */
};

/* This thread may look at what it has fetched, and act: no new filter of system calls
 * (new_filters.h). */
bool revive_may_act(void);

/* The registration that an event is of. With EPOLLET or EPOLLONESHOT it is shown once: how it is
 * shown again. */
struct revive_arm {
	int epoll;
	uint32_t otherwise; /* its events, where they are not noted (epoll_data.h) */
	uint64_t data;
	uint64_t inode; /* of its file; 0: not known */
};

/*
 * An event of @fd was fetched. @arm: see there, or NULL. @asked: the events (poll(2)) that its
 * caller waits for; *@ret_now: those of them that the socket shows now, with ERR and HUP.
 * *@ret_acted becomes true where it went on by this call. Waits PENDING_AWAIT_MS at most. Keeps
 * errno, async-signal-safe, as all that follows.
 */
enum revive_shows revive_event(int fd, short asked, const struct revive_arm *arm, short *ret_now,
			       bool *ret_acted);

/* The caller's wait may show events of this descriptor. */
typedef bool revive_shows_fn(const void *call, int fd);

/*
 * For each hook that waits, before it does: looks at the connections that are due. Those alone go on whose
 * events this wait may show (@shows, of @call): its thread does not close them meanwhile, and nobody
 * is disconnected whose waiter is not known. Of the others what came of them is learned. Returns when
 * the next one is due of which the wait may show events, by clock_coarse_ms(); 0: none is, or this
 * thread may not look (new_filters.h).
 */
uint64_t revive_due(revive_shows_fn *shows, const void *call);

/*
 * SO_ERROR of @fd is about to be asked for. What the kernel says is the program's, who asks without
 * having waited in a hook as well: nothing is done to the socket, and what was failed and is told
 * now is not watched any more. Returns the errno that the program is to get in place of the
 * kernel's, or 0.
 */
int revive_before_error(int fd);

/*
 * connect() is called for a socket that may be under way. True: *@ret_rc and errno are its result.
 * The caller's @address can be read as far as its family.
 */
bool revive_second_connect(int fd, const struct sockaddr *address, socklen_t length, int *ret_rc);

#endif
