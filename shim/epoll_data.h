/* Whose an event of an epoll is: which descriptor was registered with its data. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_EPOLL_DATA_H
#define K8SLB_SHIM_EPOLL_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * An event carries what the program registered, and not the descriptor. The kernel tells all
 * registrations of an epoll in /proc/thread-self/fdinfo (Linux 3.17), at once and as they are: that is read
 * when a connection has failed, and never else. To remember what epoll_ctl() was given would need no
 * file, but could not know that nothing else carries the same data, nor what is registered past
 * libc. Remembered is one thing that the kernel does not tell: which events were asked for with
 * EPOLLONESHOT, once one was shown.
 */

/* What is asked for with each of some data. */
struct epoll_query {
	uint64_t data;
	uint32_t events; /* asked for, as the kernel has them */
	int fd;		 /* of @fds, that carries them; -1: none does */
	unsigned count;	 /* of all registrations that carry them */
};

/*
 * Fills the answers of @queries: which of @fds is registered in @epoll with their data. False: /proc
 * is not there, or not what it should be. Async-signal-safe, no cancellation point, keeps errno.
 */
bool epoll_data_find(int epoll, struct epoll_query *queries, unsigned query_count, const int *fds,
		     unsigned fd_count);

/* The program is about to register @fd, or to change that: what was noted before is so no more, and an
 * event may be shown before the next note. A load, mostly. Async-signal-safe. */
void epoll_data_forget(int epoll, int fd);

/* It has done so. Of sockets that were just made or are watched (pending.h); lossy.
 * Async-signal-safe. */
void epoll_data_note(int epoll, int fd, const struct epoll_event *event);

/* What was noted of them, as epoll_ctl() was given it, or @otherwise. */
uint32_t epoll_data_events(int epoll, int fd, uint32_t otherwise);

#endif
