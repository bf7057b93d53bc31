// SPDX-License-Identifier: Apache-2.0
/*
 * connect(2): a connection to a Service VIP goes to one of the Service's endpoints.
 *
 * The fd, its flags and the caller's socket address are never touched: the endpoint goes into a
 * copy on the stack, in the family and form that the caller used, and libc connects to that; to
 * another one when that one is dead and the socket is blocking (failover.h).
 * An event loop that registered the fd, a program that reuses its address, and one that polls the
 * same connect() again all see what they would see without us.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "activate.h"
#include "attach.h"
#include "base/address.h"
#include "failover.h"
#include "libc.h"
#include "pending.h"
#include "pick/pick.h"
#include "pointer.h"
#include "process.h"
#include "state.h"
#include "tcp_outcome.h"
#include "view.h"

/* The three things that can become of a call. */
enum decision {
	DECISION_PASS,	   /* libc gets the caller's own arguments: not ours, or any doubt */
	DECISION_ENDPOINT, /* libc gets the picked endpoint instead of the VIP */
	DECISION_FAIL,	   /* no endpoint: the errno that kube-proxy's answer would lead to */
};

/*
 * A TCP socket that is neither connecting nor connected. TCP_INFO tells all of it in one system
 * call: other protocols do not know the option, and its first byte is the state.
 * While it connects or is connected the kernel ignores the address, so the call is to be passed as
 * it is: a second connect() that asks for the outcome (hiredis does so) must not take a turn. After
 * a failed non-blocking connect the state is TCP_CLOSE as well, but something was sent; the kernel
 * then answers with that failure whatever the address, and all that is lost is a turn.
 */
static bool is_unconnected_tcp(int fd, bool *ret_failed)
{
	struct tcp_outcome info;

	if (!tcp_outcome_read(fd, &info) || info.state != TCP_CLOSE)
		return false;
	*ret_failed = info.segs_out > 0;
	return true;
}

/* How long this call may be held up for the first table, ms. */
static uint32_t longest_wait(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct timeval timeout = {0, 0};
	socklen_t size = sizeof(timeout);
	uint64_t timeout_ms = 0;

	if (flags < 0 || (flags & O_NONBLOCK))
		return CONFIG_NONBLOCKING_WAIT_MS;
	/* SO_SNDTIMEO bounds a blocking connect(); 0 means no bound. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size) == 0)
		timeout_ms = (uint64_t)timeout.tv_sec * 1000 + (uint64_t)timeout.tv_usec / 1000;
	return timeout_ms && timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms : UINT32_MAX;
}

/* The kernel would take this address from this socket, so that a refusal of ours does not hide
 * another error: an IPv4 address on an IPv6 socket, a v4-mapped one on an IPV6_V6ONLY socket. */
static bool socket_takes(int fd, const struct sockaddr *addr, const struct ip_address *ip)
{
	int domain = AF_UNSPEC;
	int v6_only = 0;
	socklen_t size = sizeof(int);
	sa_family_t family;

	memcpy(&family, addr, sizeof(family)); /* of any alignment, like the kernel takes it */
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != family)
		return false;
	if (domain != AF_INET6 || ip_family_of(ip) != IP_FAMILY_4)
		return true;
	size = sizeof(int);
	return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &size) == 0 && !v6_only;
}

/* The next endpoint of what was found (NULL: nothing yet), or of what the table says by now. */
static enum pick_result take_endpoint(const struct found_port *found, const struct ip_address *ip,
				      uint16_t port, struct dial *dial)
{
	if (pending_any())
		pending_look(&dial->state); /* one of them may be the next in turn */
	dial->endpoint_count = found ? found->port.endpoint_count : 0;
	if (found && pick_take(found, &dial->state, ip, port, &dial->picked) == 0)
		return PICK_ENDPOINT;
	return pick_by_vip(dial->view, &dial->state, ip, port, IPPROTO_TCP, &dial->picked);
}

/* What to do, and on DECISION_ENDPOINT all of *@dial but the address. On DECISION_FAIL errno is
 * set, otherwise its value is of no use. */
static enum decision decide(int fd, const struct sockaddr *addr, const struct ip_address *ip,
			    uint16_t port, struct dial *dial)
{
	const struct table_view *seen = current_view();
	const struct table_view *view = seen;
	enum pick_result result = PICK_NO_TABLE;
	struct found_port found;
	bool found_endpoint;
	int error = ECONNREFUSED;

	if (seen)
		result = pick_find(seen, ip, port, IPPROTO_TCP, &found);
	/* An agent's table has Services that this program does not ask for. */
	if (result != PICK_NO_TABLE && result != PICK_NOT_OURS &&
	    !attach_covers_vip(seen, ip, port))
		result = PICK_NOT_OURS;
	if (result == PICK_NOT_OURS || result == PICK_NO_TABLE) {
		/* What most calls of most programs are: no system call up to here. */
		if (result == PICK_NOT_OURS && activate_is_done(seen))
			return DECISION_PASS;
		if (!activate_could_match(ip, port))
			return DECISION_PASS;
	}
	if (!is_unconnected_tcp(fd, &dial->failed_before) || k8slb_engine.is_own_thread())
		return DECISION_PASS;
	process_current(); /* adopts a forked child, which has no engine yet */
	if (!seen || !activate_is_done(seen))
		view = activate(seen ? 0 : longest_wait(fd));
	found_endpoint = result == PICK_ENDPOINT && view == seen;
	/* What was not ours in this table may be in it all the same. */
	if (!view || (!found_endpoint && !attach_covers_vip(view, ip, port)))
		return DECISION_PASS;

	dial->fd = fd;
	dial->view = view;
	dial->state = process_pick_state(process_current());
	switch (take_endpoint(found_endpoint ? &found : NULL, ip, port, dial)) {
	case PICK_ENDPOINT:
		return DECISION_ENDPOINT;
	case PICK_UNREACHABLE:
		error = EHOSTUNREACH;
		break;
	case PICK_REFUSE:
		break;
	case PICK_NOT_OURS:
	case PICK_NO_TABLE:
	case PICK_LEAVE:
	case PICK_EXHAUSTED:
		return DECISION_PASS;
	}
	/* "No endpoint" is an answer only while the API server is heard; else kube-proxy may know
	 * better and libc gets the VIP. */
	if (!activate_may_refuse(view) || !socket_takes(fd, addr, ip))
		return DECISION_PASS;
	errno = error;
	return DECISION_FAIL;
}

/* For the usual size without a copy of any size, which would cost more than the lookup. */
static void copy_address(struct sockaddr_storage *copy, const struct sockaddr *addr, socklen_t len)
{
	if (len == sizeof(struct sockaddr_in))
		memcpy(copy, addr, sizeof(struct sockaddr_in));
	else
		memcpy(copy, addr, len);
}

static int shim_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int entry_errno = errno;
	struct ip_address ip;
	uint16_t port;
	struct dial dial;

	if (is_impossible_pointer(addr) || len > sizeof(dial.address) ||
	    sockaddr_read(addr, len, &ip, &port) < 0)
		return libc_connect(fd, addr, len);

	switch (decide(fd, addr, &ip, port, &dial)) {
	case DECISION_FAIL:
		return -1;
	case DECISION_ENDPOINT:
		copy_address(&dial.address, addr, len);
		dial.length = len;
		if (sockaddr_rewrite(&dial.address, &dial.picked.endpoint.address,
				     dial.picked.endpoint.port) < 0)
			break;
		errno = entry_errno;
		return failover_connect(&dial);
	case DECISION_PASS:
		break;
	}
	errno = entry_errno;
	return libc_connect(fd, addr, len);
}

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *addr,
						   socklen_t len)
{
	return shim_active() ? shim_connect(fd, addr, len) : libc_connect(fd, addr, len);
}
