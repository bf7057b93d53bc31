// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_ctl(2) remembers what a socket that may be sent to an endpoint is registered for, and with which data
 * (epoll_data.h); the kernel forgets the first when it shows an event with EPOLLONESHOT.
 */
#include <sys/epoll.h>

#include "epoll_data.h"
#include "events.h"
#include "fresh.h"
#include "libc.h"
#include "pending.h"
#include "state.h"

static bool may_be_ours(int fd)
{
	return fresh_is_new(fd) || (pending_watched() && pending_has(fd));
}

__attribute__((visibility("default"))) int epoll_ctl(int epoll, int what, int fd,
						     struct epoll_event *event)
{
	struct epoll_event noted;
	int rc;

	/* A wait in another thread may show an event before this is noted: then what it showed has to
	 * do, and not what a socket of before was registered for under this number. */
	epoll_data_forget(epoll, fd);
	rc = libc_epoll_ctl(epoll, what, fd, event);
	/* The kernel has read it. */
	if (rc == 0 && what != EPOLL_CTL_DEL && may_be_ours(fd)) {
		noted = *event;
		epoll_data_note(epoll, fd, &noted);
	}
	return rc;
}
