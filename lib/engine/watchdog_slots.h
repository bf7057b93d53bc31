/* The watchdog's memory: what is armed, and how the thread is. Known to watchdog*.c alone. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_WATCHDOG_SLOTS_H
#define K8SLB_ENGINE_WATCHDOG_SLOTS_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "engine/watchdog.h"

/* asm-generic/socket.h: getpeername(2) as a getsockopt(2), which also tells it of a socket that is
 * still connecting. */
#define SO_PEERNAME_OPTION 28

#define SLOTS 64u /* a power of two */

/*
 *	FREE --> TAKEN --> ARMED --owner--> FREE
 *	  (owner fills)      |
 *			   thread: due --> FIRING --> FIRED --owner--> FREE
 */
enum slot_state {
	SLOT_FREE,
	SLOT_TAKEN,
	SLOT_ARMED,
	SLOT_FIRING,
	SLOT_FIRED,
};
#define SLOT_STATE_BITS 3

struct slot {
	uint32_t word; /* the number of the try << 3 | enum slot_state; 0: emptied by fork(). A
			  futex word */
	uint32_t fd;
	uint64_t due_us; /* CLOCK_MONOTONIC; of a fired one, when it was fired last */
	uint32_t fires;	 /* after the first time */
	uint32_t end;	 /* enum watchdog_end, of a fired one */
	uint32_t user_timeout;
	uint64_t cookie;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address;
} __attribute__((aligned(64)));

enum watchdog_state {
	WATCHDOG_NONE,
	WATCHDOG_STARTING, /* it is to come, and will look at what is armed */
	WATCHDOG_AWAKE,
	WATCHDOG_ASLEEP,
	WATCHDOG_ENDING,  /* told to */
	WATCHDOG_ENDED,	  /* to be joined */
	WATCHDOG_JOINING, /* somebody does */
};

struct watchdog {
	uint32_t state;	    /* enum watchdog_state; a futex word */
	uint32_t armed;	    /* 1: something was, since the thread looked */
	uint32_t tid;	    /* 0: it has not begun, or has ended */
	uint32_t begun_tid; /* the same, for as long as no other one is started */
	uint32_t least_ms;
	uint64_t retry_ms; /* no thread is started before */
	pthread_t thread;
	int pidfd;		/* this process's, in the thread's own table; -1: shared table */
	bool own_table;		/* what the thread is to be */
	bool own_table_refused; /* it did not work once */
	bool no_shutdown;	/* it is refused; the thread's alone */
	struct slot slots[SLOTS];
};

static inline enum slot_state slot_state(uint32_t word)
{
	return (enum slot_state)(word & ((1u << SLOT_STATE_BITS) - 1));
}

static inline uint32_t slot_word(uint32_t word, enum slot_state state)
{
	return (word & ~((1u << SLOT_STATE_BITS) - 1)) | state;
}

static inline uint32_t slot_observe(const struct slot *slot)
{
	return observe_u32(&slot->word); /* pairs with slot_publish() and slot_change() */
}

/* From @word to @state, unless another one was first. */
static inline bool slot_change(struct slot *slot, uint32_t word, enum slot_state state)
{
	return claim_u32(&slot->word, word, slot_word(word, state));
}

/* By the one who alone may. */
static inline void slot_publish(struct slot *slot, uint32_t word, enum slot_state state)
{
	publish_u32(&slot->word, slot_word(word, state)); /* pairs with slot_observe() */
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* The thread (watchdog_thread.c), of a struct watchdog that is STARTING. */
void *watchdog_run(void *dog);

/* Sleeps while it is in this state, at most @ms. */
void watchdog_pause(struct watchdog *dog, enum watchdog_state state, uint32_t ms);

/* A slot for a try of @fd, TAKEN; NULL: none is free. *@ret_word: its word once it is armed. */
struct slot *slot_take(struct watchdog *dog, int fd, uint32_t *ret_word);

/* Of a taken one. @length: of an IPv4 or IPv6 address. */
void slot_fill(struct slot *slot, int fd, const struct sockaddr *address, socklen_t length,
	       uint64_t due_us);

/* @peer, of the slot's family or not, is the slot's address. */
bool slot_leads_to(const struct slot *slot, const struct sockaddr *peer);

/* watchdog_disarm() of a slot that is not @word any more. */
enum watchdog_end slot_disarm_fired(struct slot *slot, uint32_t word,
				    struct watchdog_note *ret_note);

#endif
