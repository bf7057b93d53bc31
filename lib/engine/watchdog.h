/* Ends calls of connect() that take too long, from a thread of ours: no system call of theirs. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_WATCHDOG_H
#define K8SLB_ENGINE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 *   hook     arm {descriptor, address, due} ---> libc's connect() ---> disarm
 *   thread        looks at the slots once in the time of a try; one that is due:
 *                 still SYN_SENT, to that very address -> shutdown(SHUT_RD)
 *
 * The kernel then ends the connect(): the socket is as new, and the same descriptor may dial again
 * (inet_shutdown(), tcp_disconnect()). TCP_USER_TIMEOUT, set before and set back, costs three calls
 * and acts at the first retransmission, after 1 s.
 *
 * The thread sleeps when nothing was armed for two such times; then the next one to arm wakes it,
 * the only system call of a hook. It is not the engine's, which waits for the API server for as
 * long as it takes; it begins with the first blocking call and ends with the engine. Two kinds:
 *
 *   own table	its own descriptor table, and pidfd_getfd(2) for the socket of a try that is due;
 *   shared	the program's table, where a seccomp filter refuses pidfd_getfd(2) (container
 *		runtimes' default ones do) and the program has threads of its own. One that has none
 *		would pay 60 ns for each call with a descriptor (fdget() in fs/file.c).
 *
 * Where it can be neither there is no thread, and the kernel bounds tries (shim/patience.h); so it
 * is where the kernel does not tell the peer of a socket that connects (emulators).
 *
 * Slots are this process's alone: the kernel empties them in a forked child (MADV_WIPEONFORK).
 */

/* How the thread is, and what it may be again. For the hooks: one load. */
bool watchdog_is_there(void);

/*
 * Starts the thread unless there is one: all signals blocked, own stack. @phase must be @running
 * before and after: who ends the engine changes it first and then calls watchdog_stop(). @least_ms:
 * no try is shorter. @fd: a socket that is not connected, of which the kernel is asked whether it
 * tells what the thread has to know. Returns whether it is there. A try that fails is not repeated for some
 * seconds. Not in a signal handler, not in a child of vfork().
 */
bool watchdog_start(int fd, const uint32_t *phase, uint32_t running, uint32_t least_ms);

/* watchdog_start() might start one by now: a few loads. */
bool watchdog_may_start(void);

/* Ends it within ENGINE_LEAVE_MS, usually in less than 1 ms. Tries that are armed end after 1 s. */
void watchdog_stop(void);

/* As engine_has_same_rights(); true where there is no thread. */
bool watchdog_has_same_rights(void);

struct watchdog_try {
	uint32_t place;
	uint32_t word;
};

/* What the thread did to a try. */
enum watchdog_end {
	WATCHDOG_QUIET,	  /* nothing: it was not due */
	WATCHDOG_LEFT,	  /* nothing: due, and another socket has the number, or it is MPTCP */
	WATCHDOG_ABORTED, /* shut down while it was connecting, or had just connected: as new */
	WATCHDOG_CLOSED,  /* it was not connecting any more: as new, and what the call said may be
			     of that */
	WATCHDOG_DENIED,  /* TCP_USER_TIMEOUT is 1 now: the kernel ends it after 1 s */
};
#define WATCHDOG_ENDS 5

/*
 * The connect() of @fd to @address that follows is due at @due_us (CLOCK_MONOTONIC). False: no
 * thread, or no slot is free; then nothing ends it. All that follows is lock-free and
 * async-signal-safe, and keeps errno.
 */
bool watchdog_arm(struct watchdog_try *ret_try, int fd, const struct sockaddr *address,
		  socklen_t length, uint64_t due_us);

/* Of a try that it touched. */
struct watchdog_note {
	uint64_t cookie;       /* SO_COOKIE of the socket that it was; 0: not known */
	uint32_t user_timeout; /* of WATCHDOG_DENIED: what TCP_USER_TIMEOUT was */
};

/* That call has returned. Waits where the thread is just ending it, for some microseconds.
 * @ret_note: unless WATCHDOG_QUIET. */
enum watchdog_end watchdog_disarm(const struct watchdog_try *try, struct watchdog_note *ret_note);

#endif
