// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_ctl(2) remembers what a socket that may be sent to an endpoint is registered for, and with
 * which data (epoll_data.h); the kernel forgets the first when it shows an event with EPOLLONESHOT.
 */
#include <string.h>
#include <sys/epoll.h>

#include "epoll_data.h"
#include "fresh.h"
#include "libc.h"
#include "new_filters.h"
#include "pending.h"
#include "readable.h"

static bool may_be_ours(int fd)
{
	return fresh_is_new(fd) || (pending_watched() && pending_has(fd));
}

/* A wait in another thread may have the event before libc's call has returned, so the note comes
 * first. False: there is none, and what was noted of this number before is so no more. */
static bool note(int epoll, int fd, const struct epoll_event *event)
{
	struct epoll_event copy;

	if (!may_be_ours(fd) ||
	    !(is_on_stack_page(event, sizeof(*event)) ||
	      (!new_filters_here() && readable(event, sizeof(*event))))) {
		epoll_data_forget(epoll, fd);
		return false;
	}
	memcpy(&copy, event, sizeof(copy));
	epoll_data_note(epoll, fd, &copy);
	return true;
}

__attribute__((visibility("default"))) int epoll_ctl(int epoll, int what, int fd,
						     struct epoll_event *event)
{
	bool noted = what != EPOLL_CTL_DEL && note(epoll, fd, event);
	int rc = libc_epoll_ctl(epoll, what, fd, event);

	if (what == EPOLL_CTL_DEL || (noted && rc < 0))
		epoll_data_forget(epoll, fd);
	return rc;
}
