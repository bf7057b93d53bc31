// SPDX-License-Identifier: Apache-2.0
/*
 * connect(2): a connection to a Service VIP goes to one of the Service's endpoints.
 *
 * The fd, its flags and the caller's socket address are never touched: the endpoint goes into a
 * copy on the stack, in the family and form that the caller used, and libc connects to that; to
 * another one when that one is dead, and to the caller's own address at last (failover.h).
 * An event loop that registered the fd, a program that reuses its address, and one that polls the
 * same connect() again all see what they would see without us.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/address.h"
#include "base/keep_errno.h"
#include "failover.h"
#include "fresh.h"
#include "libc.h"
#include "peer_cache.h"
#include "pending.h"
#include "pick/pick.h"
#include "pointer.h"
#include "process.h"
#include "provider.h"
#include "revive.h"
#include "state.h"
#include "tcp_outcome.h"

/*
 * Of a socket that is not fresh (fresh.h): TCP, and neither connecting nor connected. TCP_INFO
 * tells all of it in one system call: other protocols do not know the option, and its first byte is
 * the state. While it connects or is connected the kernel ignores the address, so the call is to be
 * passed as it is: a second connect() that asks for the outcome (hiredis does so) must not take a
 * turn. After a failed non-blocking connect the state is TCP_CLOSE as well, but something was sent;
 * the kernel then answers with that failure whatever the address, and all that is lost is a turn.
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
	if (libc_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size) == 0)
		timeout_ms = (uint64_t)timeout.tv_sec * 1000 + (uint64_t)timeout.tv_usec / 1000;
	return timeout_ms && timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms : UINT32_MAX;
}

/* The next endpoint of what was found (NULL: nothing yet), or of what the table says by now. */
static bool take_endpoint(const struct found_port *found, const struct ip_address *ip,
			  uint16_t port, struct dial *dial)
{
	if (pending_any())
		pending_look(&dial->state); /* one of them may be the next in turn */
	dial->endpoint_count = found ? found->port.endpoint_count : 0;
	dial->one_attempt = found && (found->port.flags & TABLE_PORT_ONE_ATTEMPT);
	if (found && pick_take(found, &dial->state, ip, port, &dial->picked) == 0)
		return true;
	return pick_by_vip(dial->view, &dial->state, ip, port, IPPROTO_TCP, &dial->picked) ==
	       PICK_ENDPOINT;
}

/*
 * True: libc is to get an endpoint in place of the VIP, and all of *@dial but the address is set.
 * False: libc gets the caller's own arguments: not ours, any doubt, or no endpoint. That is no
 * answer to give in the kernel's place: kube-proxy's rules refuse or drop such a connection, and
 * other datapaths serve it. Keeps errno.
 */
static bool finds_endpoint(int fd, const struct ip_address *ip, uint16_t port, struct dial *dial)
{
	KEEP_ERRNO();
	const struct table_view *seen = provider_view();
	const struct table_view *view = seen;
	enum pick_result result = PICK_NO_TABLE;
	struct found_port found;
	bool found_endpoint;

	if (seen)
		result = pick_find(seen, ip, port, IPPROTO_TCP, &found);
	/* An agent's table has Services that this program does not ask for. */
	if (result == PICK_ENDPOINT && !provider_covers_vip(seen, ip, port))
		result = PICK_NOT_OURS;
	if (result != PICK_ENDPOINT) {
		/* What most calls of most programs are: no system call up to here. */
		if (result != PICK_NO_TABLE && provider_is_settled(seen))
			return false;
		if (!asked_could_match(&shim.config, ip, port))
			return false;
	}
	/* Without a table the first call has time to ask. */
	dial->failed_before = false;
	/* A datagram socket could be meant by this address as well. */
	if (dial->fresh == FRESH_NOT || result != PICK_ENDPOINT ||
	    pick_finds_other(&found, ip, port, IPPROTO_UDP)) {
		if (!is_unconnected_tcp(fd, &dial->failed_before))
			return false;
	}
	if (engine_is_own_thread())
		return false;
	process_current(); /* adopts a forked child, which has no engine yet */
	/* One whose writer has no beat is none for now. */
	if (result == PICK_NO_TABLE || !provider_is_settled(seen))
		view = provider_await(seen ? 0 : longest_wait(fd));
	found_endpoint = result == PICK_ENDPOINT && view == seen;
	/* What was not ours in this table may be in it all the same. */
	if (!view || (!found_endpoint && !provider_covers_vip(view, ip, port)))
		return false;

	dial->fd = fd;
	dial->view = view;
	process_pick_state(process_current(), &dial->state);
	return take_endpoint(found_endpoint ? &found : NULL, ip, port, dial);
}

/*
 * What the family needs of the caller's address, whatever length it gave: behind it there may be a
 * page that cannot be read. For the usual size without a copy of any size, which would cost more
 * than the lookup.
 */
static socklen_t copy_address(struct sockaddr_storage *copy, const struct sockaddr *addr)
{
	sa_family_t family;

	memcpy(&family, addr, sizeof(family));
	if (family == AF_INET) {
		memcpy(copy, addr, sizeof(struct sockaddr_in));
		return sizeof(struct sockaddr_in);
	}
	memcpy(copy, addr, sizeof(struct sockaddr_in6));
	return sizeof(struct sockaddr_in6);
}

static int shim_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct ip_address ip;
	uint16_t port;
	struct dial dial;
	int rc;

	dial.fresh = fresh_take(fd); /* whatever becomes of this call */
	/* What was just made has the number of one that is closed, if of any. */
	if (dial.fresh == FRESH_NOT && pending_watched() && !is_impossible_pointer(addr) &&
	    len >= sizeof(addr->sa_family) && revive_second_connect(fd, addr, len, &rc))
		return rc;
	if (is_impossible_pointer(addr) || len > sizeof(dial.address) ||
	    sockaddr_read(addr, len, &ip, &port) < 0)
		return libc_connect(fd, addr, len);

	if (finds_endpoint(fd, &ip, port, &dial)) {
		dial.own = addr;
		dial.own_length = len;
		dial.length = copy_address(&dial.address, addr);
		if (sockaddr_rewrite(&dial.address, &dial.picked.endpoint.address,
				     dial.picked.endpoint.port) == 0)
			return failover_connect(&dial);
	}
	if (!peer_cache_unused())
		peer_cache_forget(fd, &ip, port);
	return libc_connect(fd, addr, len);
}

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *addr,
						   socklen_t len)
{
	return shim_active() ? shim_connect(fd, addr, len) : libc_connect(fd, addr, len);
}
