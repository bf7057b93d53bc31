// SPDX-License-Identifier: Apache-2.0
/*
 * sendto(2), sendmsg(2) and sendmmsg(2) with MSG_FASTOPEN connect the socket that they send on
 * (RFC 7413): to an endpoint in place of the VIP, as connect() does it.
 *
 * What they send may go out with the SYN. So there is no other endpoint after the first: a request
 * that a pod has got must not get to a second one. What becomes of it is told to the health of all
 * as with a non-blocking connect(). Without the flag each of these calls is one branch.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "connect.h"
#include "libc.h"
#include "pointer.h"
#include "state.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

/*
 * The kernel does not take the flag (net.ipv4.tcp_fastopen). A program then calls connect(), and a
 * turn for each of the two would leave it with every other endpoint. So such calls are libc's until
 * one of them is answered otherwise.
 */
static uint32_t refused;

static bool is_refused(ssize_t sent)
{
	return sent < 0 && errno == EOPNOTSUPP;
}

/* What libc said to the caller's own arguments. */
static ssize_t note_passed(ssize_t sent)
{
	if (peek_u32(&refused) && (sent >= 0 || errno == EINPROGRESS))
		poke_u32(&refused, 0);
	return sent;
}

static bool aims(int fd, const void *addr, socklen_t len, int flags, struct dial *dial)
{
	return addr && !peek_u32(&refused) &&
	       connect_aims(fd, addr, len, !(flags & MSG_DONTWAIT), dial);
}

static ssize_t send_to_endpoint(struct dial *dial)
{
	ssize_t sent = failover_connect(dial);

	if (is_refused(sent))
		poke_u32(&refused, 1);
	return sent;
}

/* Each begins with its dial, by which failover.c calls it back. */
struct data_call {
	struct dial dial;
	const void *data;
	size_t size;
	int flags;
};

struct message_call {
	struct dial dial;
	const struct msghdr *message;
	struct mmsghdr *first; /* of many; else NULL */
	int flags;
};

static ssize_t send_data(const struct dial *dial, const struct sockaddr *addr, socklen_t len)
{
	const struct data_call *call = (const struct data_call *)dial;

	return libc_sendto(dial->fd, call->data, call->size, call->flags, addr, len);
}

/* A copy of what the caller's header says, with another name in it. */
static ssize_t send_message(const struct dial *dial, const struct sockaddr *addr, socklen_t len)
{
	const struct message_call *call = (const struct message_call *)dial;
	/* A union, because the header takes no pointer to what is const. */
	union {
		const struct sockaddr *given;
		void *taken;
	} name = {.given = addr};
	struct mmsghdr copy = {.msg_hdr = *call->message};
	int sent;

	copy.msg_hdr.msg_name = name.taken;
	copy.msg_hdr.msg_namelen = len;
	if (!call->first)
		return libc_sendmsg(dial->fd, &copy.msg_hdr, call->flags);
	sent = libc_sendmmsg(dial->fd, &copy, 1, call->flags);
	if (sent == 1)
		call->first->msg_len = copy.msg_len;
	return sent;
}

static ssize_t shim_sendto(int fd, const void *data, size_t size, int flags,
			   const struct sockaddr *addr, socklen_t len)
{
	struct data_call call;

	if (!aims(fd, addr, len, flags, &call.dial))
		return note_passed(libc_sendto(fd, data, size, flags, addr, len));
	call.dial.send = send_data;
	call.data = data;
	call.size = size;
	call.flags = flags;
	return send_to_endpoint(&call.dial);
}

static ssize_t shim_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct message_call call;

	if (is_impossible_pointer(message) ||
	    !aims(fd, message->msg_name, message->msg_namelen, flags, &call.dial))
		return note_passed(libc_sendmsg(fd, message, flags));
	call.dial.send = send_message;
	call.message = message;
	call.first = NULL;
	call.flags = flags;
	return send_to_endpoint(&call.dial);
}

/* The first message connects. Of the others the kernel does not look at the address any more. */
static int shim_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	struct message_call call;
	int sent, rest = 0;

	if (count == 0 || is_impossible_pointer(messages) ||
	    !aims(fd, messages->msg_hdr.msg_name, messages->msg_hdr.msg_namelen, flags, &call.dial))
		return (int)note_passed(libc_sendmmsg(fd, messages, count, flags));
	call.dial.send = send_message;
	call.message = &messages->msg_hdr;
	call.first = messages;
	call.flags = flags;
	sent = (int)send_to_endpoint(&call.dial);
	if (sent == 1 && count > 1) {
		KEEP_ERRNO(); /* an error after the first message is not told */

		rest = libc_sendmmsg(fd, messages + 1, count - 1, flags);
	}
	return rest > 0 ? sent + rest : sent;
}

__attribute__((visibility("default"))) ssize_t sendto(int fd, const void *data, size_t size,
						      int flags, const struct sockaddr *addr,
						      socklen_t len)
{
	return (flags & MSG_FASTOPEN) && shim_active()
		       ? shim_sendto(fd, data, size, flags, addr, len)
		       : libc_sendto(fd, data, size, flags, addr, len);
}

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
						       int flags)
{
	return (flags & MSG_FASTOPEN) && shim_active() ? shim_sendmsg(fd, message, flags)
						       : libc_sendmsg(fd, message, flags);
}

__attribute__((visibility("default"))) int sendmmsg(int fd, struct mmsghdr *messages,
						    unsigned count, int flags)
{
	return (flags & MSG_FASTOPEN) && shim_active() ? shim_sendmmsg(fd, messages, count, flags)
						       : libc_sendmmsg(fd, messages, count, flags);
}
