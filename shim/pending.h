/* Connections that began without their outcome being told: non-blocking or interrupted connects. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PENDING_H
#define K8SLB_SHIM_PENDING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "failover.h"
#include "pick/pick.h"

/*
 * Each has an entry. What became of it is learned from the state of the socket, whenever the
 * library is called anyway: nothing is read that the program could miss, never SO_ERROR, which a
 * read clears. A watched one may be sent to another endpoint (revive.h), while the program waits
 * for its events.
 *
 * An entry is found by the number, and is the socket's whose cookie it has (SO_COOKIE): so a closed
 * descriptor and a new socket on its number are told apart, and close() needs no hook. Who changes
 * an entry, or acts on its socket, has claimed it. Who acts does so with signals blocked and
 * cancellation disabled: no handler finds the claim of its own thread, and nothing leaves with one.
 * A forked child has copies: they tell it outcomes, and none of them is watched there, because the
 * parent has the same sockets. A claim that stands after PENDING_LONGEST_MS is a surprise
 * (events.h). Fixed size: what finds no room is as without an entry.
 */
#define PENDING_LONGEST_MS 2000u
/* Others wait for a claim no longer than that. */
#define PENDING_AWAIT_MS 100u
/* So long after a revival an event may still be about the time before: a thread that has fetched it
 * was not given a processor meanwhile. */
#define PENDING_STALE_MS 2000u
/* And so long an errno that the program has not asked for is kept. */
#define PENDING_OWED_MS 60000u

struct pending {
	/* What those peek at who have not claimed it. */
	uint64_t cookie;     /* 0: none */
	uint64_t due_ms;     /* of a watched one: when it is to be looked at (clock_coarse_ms()) */
	uint64_t revived_ms; /* 0: never */
	int32_t fd;
	uint32_t pid;

	uint64_t began_ms;
	struct picked picked;
	bool reported; /* as failed. Kept, because the next connect() on this socket tells this
			  failure, and not that of the address it was given. */
	bool served;   /* it came about, and that is known to all processes */
	/* Of a watched one. */
	bool is_last;		     /* nothing follows it */
	int owed;		     /* errno that the program is to get of this socket; 0: the kernel has it */
	socklen_t length;	     /* of: */
	struct sockaddr_in6 address; /* the endpoint's, in the caller's form; sockaddr_in, too */
	struct way_on way;
};

/* A bit for each entry: where to look, no more. In a cache line of their own. */
#define PENDING_SLOTS 256u
#define PENDING_WORDS (PENDING_SLOTS / 64)
extern struct pending_bits {
	uint64_t watched[PENDING_WORDS];
	uint64_t filled[PENDING_WORDS];
	uint32_t ever; /* 1: something was watched before */
} pending_bits;

static inline bool pending_bits_any(const uint64_t words[PENDING_WORDS])
{
	uint64_t all = 0;

#pragma GCC unroll 4
	for (unsigned i = 0; i < PENDING_WORDS; i++)
		all |= peek_u64(&words[i]);
	return all != 0;
}

/* An entry that the calling thread has claimed. */
struct pending_hold {
	struct pending *entry;
	uint64_t word;
	bool is_undisturbed;
	/* Of the thread, before: struct undisturbed in 16 bytes, because a claim is deep in
	 * somebody's stack. */
	int cancellation;
	uint64_t signals;
};

/*
 * The socket @cookie at dial->fd began to connect to dial->picked. @way: what may follow, then it
 * is watched if there is room for that; NULL: nothing.
 */
void pending_add(const struct dial *dial, uint64_t cookie, const struct way_on *way);

/* Something is remembered. */
static inline bool pending_any(void)
{
	return pending_bits_any(pending_bits.filled);
}

/* Something is or was watched: other threads may begin more. */
static inline bool pending_ever_watched(void)
{
	return peek_u32(&pending_bits.ever);
}

/* Something is watched: the question of each hook that waits. */
static inline bool pending_watched(void)
{
	return pending_bits_any(pending_bits.watched);
}

/*
 * Looks at a few of them, in turn, and reports those whose outcome is known by now: connected;
 * failed; or without an answer for longer than 1 s, or K8SLB_CONNECT_TIMEOUT. At most two system
 * calls each. For a call that is to pick next.
 */
void pending_look(const struct pick_state *state);

/*
 * The connection that this socket began is known to have succeeded, or failed: reports that, unless
 * it was reported before, and forgets it. False when none is remembered.
 */
bool pending_settle(const struct pick_state *state, uint64_t cookie, bool connected);

/* This socket's former connection is void: nothing is to be reported of it. */
void pending_forget(uint64_t cookie);

/* All that follows is about watched entries of this very process. Keeps errno, async-signal-safe. */

enum pending_claim {
	PENDING_NONE,	 /* no such entry */
	PENDING_CLAIMED, /* pending_release() gives it back */
	PENDING_BUSY,	 /* another thread is at it */
};

/* The cookie of the watched one with this number, claimed or not; 0: there is none. */
uint64_t pending_cookie_of(int fd);

/* There may be one for this number: a look at all of them, no system call. */
bool pending_has(int fd);

/* That of the socket at @fd. One with this number and another cookie is forgotten. */
enum pending_claim pending_claim(int fd, struct pending_hold *ret_hold);

/* The same, waiting @longest_ms for the other thread, if it is another one. */
enum pending_claim pending_claim_wait(int fd, uint32_t longest_ms, struct pending_hold *ret_hold);

/* Of a claimed one: the claim has not run out, and nobody else may have it. */
bool pending_is_held(const struct pending_hold *hold);

/* Of a claimed one: it is void, and its place free. */
void pending_clear(struct pending_hold *hold);

/* Of a claimed one: it came about, and that is known to all processes. Its place is free, or kept
 * for a while where events of the time before a revival may still be on their way. */
void pending_conclude(struct pending_hold *hold);

/* Of a claimed one: nothing may follow it any more; its outcome is still to be learned. */
void pending_unwatch(struct pending_hold *hold);

/* Of a claimed one that stays watched: look at it then. */
void pending_set_due(struct pending_hold *hold, uint64_t due_ms);

void pending_release(struct pending_hold *hold);

/* Something is due by now. */
bool pending_is_due(void);

/* A watched entry as it is peeked at. */
struct pending_peek {
	unsigned place;
	int fd;
	uint64_t due_ms;
};

/* The next one from place *@place on, which is 0 at first and moves on; false: that were all. */
bool pending_peek_next(unsigned *place, struct pending_peek *ret_peek);

/* Claims that one. False: another thread is at it, or it is no more. */
bool pending_claim_peeked(const struct pending_peek *peek, struct pending_hold *ret_hold);

/* The numbers of watched entries from place *@place on, at most @most; returns how many. *@place is
 * 0 at first, and moves on. Nothing is asked of their sockets without a claim: a system call that
 * is under way holds the file, and keeps it in an epoll when its number is closed right then. */
unsigned pending_numbers(unsigned *place, int *ret_fds, unsigned most);

/* Nothing is watched any more, and nothing will be. */
void pending_unwatch_all(void);

#endif
