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

/*
 * The socket is one of ours: its real peer is the recorded endpoint, which it may not be any more.
 * *@ret_vip is the VIP in that peer's form. Nothing of the caller's is read before that is sure,
 * and its buffer may cut the address. Keeps errno.
 */
static bool find_vip(int fd, struct sockaddr_storage *ret_vip, socklen_t *ret_length)
{
	KEEP_ERRNO();
	struct ip_address ip;
	uint16_t port;
	struct peer peer;

	if (peer_cache_unused())
		return false;
	*ret_length = sizeof(*ret_vip);
	return libc_getpeername(fd, (struct sockaddr *)ret_vip, ret_length) == 0 &&
	       *ret_length <= sizeof(*ret_vip) &&
	       sockaddr_read((struct sockaddr *)ret_vip, *ret_length, &ip, &port) == 0 &&
	       peer_cache_get(fd, &ip, port, &peer) &&
	       sockaddr_rewrite(ret_vip, &peer.vip, peer.vip_port) == 0;
}

/* It is connected. */
static void report_success(int fd)
{
	KEEP_ERRNO();
	struct pick_state state;

	process_pick_state(process_current(), &state);
	pending_settle(&state, peer_cookie(fd), true);
}

static int shim_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_storage vip;
	socklen_t vip_length;
	socklen_t room;

	if (!find_vip(fd, &vip, &vip_length) || !addr || is_impossible_pointer(len))
		return libc_getpeername(fd, addr, len);

	room = *len;
	if (libc_getpeername(fd, addr, len) < 0)
		return -1;
	/* *len is the full length now, whatever fitted (getpeername(2)); that stays true, since the
	 * VIP has the endpoint's form. */
	memcpy(addr, &vip, room < vip_length ? room : vip_length);
	if (pending_any())
		report_success(fd);
	return 0;
}

__attribute__((visibility("default"))) int getpeername(int fd, struct sockaddr *addr,
						       socklen_t *len)
{
	return shim_active() ? shim_getpeername(fd, addr, len) : libc_getpeername(fd, addr, len);
}
