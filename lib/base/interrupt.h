/* How a thread of ours is told, while it waits, to come back: by no handler of the program's. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_INTERRUPT_H
#define K8SLB_BASE_INTERRUPT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Not pthread_cancel(3), for which glibc loads libgcc_s: in a chroot without it the program ends,
 * and in one with its own that file's constructors run with the rights of the moment.
 *
 * A word says whether the thread is to go on, and a signal that it has blocked wakes it: the
 * signalfd(2) of its own table is in each of its polls. SIGURG, which does nothing where the
 * program has no handler, so that one which goes astray is harmless. It is never read: asked once,
 * no poll waits again. But for a nudge, which is read: the kernel hands out what was sent to a
 * thread before what was sent to its process, and the nudge is said only when its signal has been
 * sent.
 */
struct interrupt {
	const uint32_t *word; /* a futex word */
	uint32_t value;	      /* it is set as soon as the word is another one */
	uint32_t *nudge;      /* enum nudge: the wait is to end, and the thread is not */
	int fd;		      /* -1: could not be had; waits are cut into short ones then */
	int other_fd; /* ends waits too, when it can be read: of more work of the thread; or -1 */
};

enum nudge {
	NUDGE_NONE,
	NUDGE_BEGUN,
	NUDGE_SENT,
};

/* Where @interrupt is a parameter, NULL is one that is never set. */

/* For the calling thread, which has SIGURG blocked and a descriptor table of its own. */
void interrupt_open(struct interrupt *ret_interrupt, const uint32_t *word, uint32_t value,
		    uint32_t *nudge);

bool interrupt_is_set(const struct interrupt *interrupt);

/* Sleeps @ms, less where it is set or a signal comes. */
void interrupt_pause(const struct interrupt *interrupt, uint32_t ms);

/*
 * What a poll(2) is to wait for beside its own descriptors, each of them or -1, and how long it may
 * wait: @timeout_ms is made shorter where the first one would not tell. That is so without one, and
 * where a SIGURG of the program's own is pending, which is not ours to take.
 */
#define INTERRUPT_FDS 2
void interrupt_fds(const struct interrupt *interrupt, struct pollfd ret_fds[INTERRUPT_FDS],
		   int *timeout_ms);

/* The wait of thread @tid was ended by interrupt_nudge(): true once. */
bool interrupt_take_nudge(const struct interrupt *interrupt);

/* Ends a wait of thread @tid of this process; one more before it is taken does nothing. Nothing may
 * end the calling thread meanwhile (base/undisturbed.h). Async-signal-safe; changes errno. */
void interrupt_nudge(uint32_t *nudge, pid_t tid);

/* Wakes thread @tid (0: not known) of this process after @word was changed. Async-signal-safe;
 * changes errno. */
void interrupt_wake(const uint32_t *word, pid_t tid);

#endif
