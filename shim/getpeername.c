// SPDX-License-Identifier: Apache-2.0
/*
 * getpeername(2) tells the VIP for a socket that connect() sent to an endpoint. Programs compare
 * it with the address they asked for (ceph: "wrong peer").
 */
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/keep_errno.h"
#include "libc.h"
#include "peer_cache.h"
#include "pending.h"
#include "pointer.h"
#include "process.h"
#include "state.h"

/* The socket is one of ours. Nothing of the caller's is read before that is sure. Keeps errno. */
static bool find_peer(int fd, struct peer *ret_peer)
{
	uint64_t cookie;

	if (peer_cache_unused())
		return false;
	cookie = peer_cookie(fd);
	return cookie && peer_cache_get(cookie, ret_peer);
}

/*
 * The real peer, when it is the recorded endpoint, replaced by the VIP. The socket may have been
 * connected elsewhere since. Into a buffer of our own: the caller's may have cut the address.
 * Returns false when the real answer is to stand.
 */
static bool read_as_vip(int fd, const struct peer *peer, struct sockaddr_storage *addr,
			socklen_t *len)
{
	struct ip_address ip;
	uint16_t port;

	*len = sizeof(*addr);
	return libc_getpeername(fd, (struct sockaddr *)addr, len) == 0 && *len <= sizeof(*addr) &&
	       sockaddr_read((struct sockaddr *)addr, *len, &ip, &port) == 0 &&
	       ip_equal(&ip, &peer->endpoint) && port == peer->endpoint_port &&
	       sockaddr_rewrite(addr, &peer->vip, peer->vip_port) == 0;
}

/* It is connected: takes note of that, and writes the VIP into @room bytes. Keeps errno. */
static void tell_vip(int fd, const struct peer *peer, struct sockaddr *addr, socklen_t room)
{
	KEEP_ERRNO();
	struct sockaddr_storage vip;
	socklen_t vip_len;

	if (pending_any()) {
		struct pick_state state = process_pick_state(process_current());

		pending_settle(&state, peer->cookie, true);
	}
	if (read_as_vip(fd, peer, &vip, &vip_len))
		memcpy(addr, &vip, room < vip_len ? room : vip_len);
}

static int shim_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct peer peer;
	socklen_t room;

	if (!find_peer(fd, &peer) || !addr || is_impossible_pointer(len))
		return libc_getpeername(fd, addr, len);

	room = *len;
	if (libc_getpeername(fd, addr, len) < 0)
		return -1;
	/* *len is the full length now, whatever fitted (getpeername(2)); that stays true, since the
	 * VIP has the endpoint's form. */
	tell_vip(fd, &peer, addr, room);
	return 0;
}

__attribute__((visibility("default"))) int getpeername(int fd, struct sockaddr *addr,
						       socklen_t *len)
{
	return shim_active() ? shim_getpeername(fd, addr, len) : libc_getpeername(fd, addr, len);
}
