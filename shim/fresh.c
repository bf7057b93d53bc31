// SPDX-License-Identifier: Apache-2.0
#include "fresh.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "base/hash.h"

/* Sockets with higher numbers are not fresh. Pages that no number needs are never touched. */
#define NUMBERS 16384u

static uint32_t tickets[NUMBERS];

/* All zero at first, so nothing of it stands in the file. */
static __thread struct {
	uint32_t fd_plus_1; /* of the fresh socket; 0: there is none */
	uint32_t ticket;
	uint32_t next_ticket; /* 0: none was drawn */
	enum fresh kind;
} last;

static enum fresh kind_of(int domain, int type, int protocol)
{
	int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);

	if ((domain != AF_INET && domain != AF_INET6) || (type & ~flags) != SOCK_STREAM ||
	    (protocol != 0 && protocol != IPPROTO_TCP))
		return FRESH_NOT;
	return flags & SOCK_NONBLOCK ? FRESH_NONBLOCKING : FRESH_TCP;
}

/* From another place in each thread, so that two of them hardly ever draw one number. */
static uint32_t draw_ticket(void)
{
	if (!last.next_ticket)
		last.next_ticket = (uint32_t)hash_mix((uintptr_t)&last);
	last.next_ticket += last.next_ticket == UINT32_MAX ? 2 : 1; /* 0 is none */
	return last.next_ticket;
}

void fresh_note(int fd, int domain, int type, int protocol)
{
	last.fd_plus_1 = 0;
	if ((uint32_t)fd >= NUMBERS)
		return;
	last.ticket = draw_ticket();
	last.kind = kind_of(domain, type, protocol);
	poke_u32(&tickets[fd], last.ticket);
	if (last.kind != FRESH_NOT)
		last.fd_plus_1 = (uint32_t)fd + 1;
}

enum fresh fresh_take(int fd)
{
	if ((uint32_t)fd + 1 != last.fd_plus_1 || !last.fd_plus_1)
		return FRESH_NOT;
	last.fd_plus_1 = 0;
	return peek_u32(&tickets[fd]) == last.ticket ? last.kind : FRESH_NOT;
}

bool fresh_is_new(int fd)
{
	return last.fd_plus_1 && (uint32_t)fd + 1 == last.fd_plus_1;
}

uint32_t fresh_ticket(int fd)
{
	return (uint32_t)fd < NUMBERS ? peek_u32(&tickets[fd]) : 0;
}
