// SPDX-License-Identifier: Apache-2.0
/*
 * socket(2) notes what it made, so that connect() need not ask the kernel for it (fresh.h).
 *
 * What curl makes on our own thread is none of ours: its numbers are those of another descriptor
 * table.
 */
#include <sys/socket.h>

#include "epoll_data.h"
#include "fresh.h"
#include "libc.h"
#include "state.h"

static void note(int fd, int domain, int type, int protocol)
{
	fresh_note(fd, domain, type, protocol);
	epoll_data_fresh(fd);
}

__attribute__((visibility("default"))) int socket(int domain, int type, int protocol)
{
	int fd = libc_socket(domain, type, protocol);

	if (fd >= 0 && shim_active() && !engine_is_own_thread())
		note(fd, domain, type, protocol);
	return fd;
}
