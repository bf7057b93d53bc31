/* Whether the events of connections under way are filtered in this process. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_EVENTS_H
#define K8SLB_SHIM_EVENTS_H

#include <stdbool.h>

/*
 * The filter (revive.h) acts behind the program's back, so it believes what it knows or is off.
 * What cannot be, by all that we know of the kernel and of ourselves, is a surprise: from then on
 * this process, and each that it forks, has no filter. Connections that are under way then, and all
 * later ones, are told as they are; other processes go on.
 */
enum events_surprise {
	EVENTS_CLAIM_IS_LATE,	 /* a thread has been at an entry for longer than that can take */
	EVENTS_OTHER_SOCKET,	 /* the number became another socket's under a claim */
	EVENTS_UNKNOWN_RESULT,	 /* the kernel answered what is not in the table of results */
	EVENTS_DATA_NOT_UNIQUE, /* two sockets of one epoll carry the same data */
};
#define EVENTS_SURPRISES 4

/*
 * K8SLB_EVENTS, K8SLB_ATTEMPTS, libc's own calls behind our hooks that wait (libc.h), and no
 * surprise so far. A few loads. Async-signal-safe.
 */
bool events_are_filtered(void);

/* A surprise: off, for the life of the process. Counted, and one line of the log. The first one
 * alone. Async-signal-safe, keeps errno. */
void events_off(enum events_surprise surprise);

#endif
