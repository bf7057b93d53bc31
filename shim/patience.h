/* How long the tries of one blocking connect() may take, and what the program itself has set. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_PATIENCE_H
#define K8SLB_SHIM_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>

/*
 * A try is ended by the watchdog (engine/watchdog.h) where there is one: to the millisecond,
 * without a system call of ours. Else by TCP_USER_TIMEOUT: the kernel then ends the connect() by
 * itself, at the first retransmission, after 1 s. Either way with ETIMEDOUT, and the socket can
 * connect again at once. SO_SNDTIMEO would leave the try going on, and with a finite one the kernel
 * answers EINTR even to signals of SA_RESTART handlers (sock_intr_errno() in include/net/sock.h).
 */
struct patience {
	int fd;
	uint32_t ticket; /* fresh_ticket() of before the first try */
	bool is_new;	 /* as socket() made it, but for what we see: its options are the kernel's */
	uint64_t cookie; /* of the socket that all this is about; 0: not asked for, or not known */
	uint64_t began_ms;
	uint64_t try_began_ms;
	uint32_t limit_ms;	     /* of each try; 0: none */
	bool watched;		     /* by the watchdog */
	bool was_ended;		     /* the last try was, by the watchdog */
	bool was_left;		     /* a try was due, and the watchdog could not end it */
	uint32_t user_timeout;	     /* the program's own, 0: none, or not known */
	bool user_timeout_changed;   /* ours is set */
	struct timeval send_timeout; /* the program's own */
	bool send_timeout_changed;
};

/*
 * The program has set a TCP_USER_TIMEOUT, on whatever socket. Until it does so a new one's is known
 * to be none, and a system call of each try is saved. For good: a duplicate, another thread or a
 * reused number would make any finer record wrong. Async-signal-safe.
 */
void patience_user_timeout_is_used(void);

/*
 * Bounds each try that follows, where the socket lets us: to K8SLB_CONNECT_TIMEOUT, and where
 * connections took longer of late to a little more than the slowest, up to 1 s. Keeps errno.
 */
void patience_bound(struct patience *patience);

/* The next try has the time that the program gives it. Keeps errno. */
void patience_unbound(struct patience *patience);

/*
 * libc's connect(), for as long as that: result and errno are its own, or ETIMEDOUT. Whatever the
 * watchdog did to the socket is made up for (made_up.h).
 */
int patience_connect(struct patience *patience, const struct sockaddr *address, socklen_t length);

/* Tries end by themselves, by our limit or by a shorter one of the program. MPTCP has none. */
bool patience_is_bounded(const struct patience *patience);

/* The next try has less time than the program gives it. */
bool patience_is_ours(const struct patience *patience);

/* A time-out would be the program's own, and says little about the endpoint. */
bool patience_is_programs(const struct patience *patience);

/* The last try was ended so early that a slow endpoint may just not have answered yet. */
bool patience_was_short(const struct patience *patience);

/* As long as a bounded try was waited already. */
bool patience_is_spent(const struct patience *patience);

/* A connection came about in so long, ms. One whose SYN was lost says nothing of the others. */
void patience_learn(uint32_t took_ms);

/* What a try has while something follows it, ms: K8SLB_CONNECT_TIMEOUT, or more, as above. */
uint32_t patience_limit_ms(void);

/* What a connection that nobody waits for has before it counts as dead, ms. */
uint32_t patience_longest_ms(void);

/*
 * The program's SO_SNDTIMEO counts for all tries together: the next one has what is left. When
 * that is nothing it has a moment, so that it is the kernel that says EINPROGRESS, and truly.
 * Keeps errno.
 */
void patience_keep_deadline(struct patience *patience);

/*
 * A thread that waits keeps its socket while another one closes the descriptor; the number may be
 * anything's by then. True where nothing says so. Keeps errno.
 */
bool patience_has_its_socket(const struct patience *patience);

/*
 * After the first try, which has failed: the same of a socket whose cookie was not asked for, which
 * is asked for now. What has its number is TCP and unconnected, and where @sent says that a SYN
 * went out, it is none that was never connected. Keeps errno.
 */
bool patience_finds_its_socket(struct patience *patience, bool sent);

/* Both options are the program's again. Keeps errno. */
void patience_restore(struct patience *patience);

#endif
