/* Whose an event of an epoll is: which descriptor was registered with its data. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_EPOLL_DATA_H
#define K8SLB_SHIM_EPOLL_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * An event carries what the program registered, and not the descriptor. Two sources tell whose it
 * is: what epoll_ctl(2) was given for sockets that were just made or are watched (pending.h), noted
 * here; and the kernel, which lists all registrations of an epoll in /proc/thread-self/fdinfo
 * (Linux 3.17). The notes cost no file, but know neither what else carries the same data nor what
 * was registered past libc. The list knows, and is long where the epoll is: about half a us for
 * each registration. So that is read where notes do not tell (libuv registers by io_uring), and to
 * see that data are unique, but for no more than a tenth of the time, or EPOLL_DATA_CREDIT_MS at once, and once only of an epoll that has more than
 * EPOLL_DATA_MOST registrations, whose other users stand still meanwhile; beyond that an event is
 * as it came.
 */
#define EPOLL_DATA_MOST	     1000u
#define EPOLL_DATA_CREDIT_MS 20u
#define EPOLL_DATA_SHARE     10u

/* What is asked for with each of some data. */
struct epoll_query {
	uint64_t data;
	uint64_t inode;	 /* of what is registered; 0: not told */
	uint32_t events; /* asked for, as the kernel has them */
	int fd;		 /* of @fds, that carries them; -1: none does */
	unsigned count;	 /* of all registrations that carry them */
};

/* What the notes say of a socket and of data that an event of an epoll carries. */
enum epoll_data_says {
	EPOLL_DATA_OTHERS, /* they are not its own: all that it is registered with there is noted */
	EPOLL_DATA_ITS,	   /* they are, and may be somebody else's as well */
	EPOLL_DATA_ALONE,  /* they are, and the list has shown nobody else who has them */
	EPOLL_DATA_NOTHING,
};

/* *@ret_events: what it is registered for, where they are its own. All that follows is
 * async-signal-safe, no cancellation point, keeps errno. */
enum epoll_data_says epoll_data_says(int epoll, int fd, uint64_t data, uint32_t *ret_events);

/* @fd is registered there, or that is not known: libuv does so past libc. */
bool epoll_data_may_have(int epoll, int fd);

/* The list of @epoll may be read. */
bool epoll_data_may_find(int epoll);

/*
 * Fills the answers of @queries: which of @fds is registered in @epoll with their data. False:
 * /proc is not there, or not what it should be. Notes that it finds alone are believed from then
 * on.
 */
bool epoll_data_find(int epoll, struct epoll_query *queries, unsigned query_count, const int *fds,
		     unsigned fd_count);

/* The program is about to register @fd, or to change that: what was noted before is so no more, and
 * an event may be shown before the next note. A load, mostly. */
void epoll_data_forget(int epoll, int fd);

/* It has done so. Lossy. */
void epoll_data_note(int epoll, int fd, const struct epoll_event *event);

/* What was noted of them, as epoll_ctl() was given it; *@ret_event stays as it is where nothing
 * was. */
bool epoll_data_noted(int epoll, int fd, struct epoll_event *ret_event);

/* Another socket has this number. One load where nothing was ever noted. */
void epoll_data_fresh(int fd);

#endif
