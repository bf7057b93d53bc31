// SPDX-License-Identifier: Apache-2.0
#include "patience.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/keep_errno.h"
#include "fresh.h"
#include "peer_cache.h"
#include "state.h"
#include "tcp_outcome.h"

void patience_bound(struct patience *patience)
{
	KEEP_ERRNO();
	uint32_t ours = shim.config.connect_timeout_ms;
	socklen_t size = sizeof(uint32_t);

	if (getsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience->user_timeout,
		       &size) < 0)
		return;
	if (!patience->user_timeout || patience->user_timeout > ours)
		patience->user_timeout_changed =
			setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ours, size) == 0;
}

void patience_unbound(struct patience *patience)
{
	KEEP_ERRNO();

	if (patience->user_timeout_changed)
		setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience->user_timeout,
			   sizeof(uint32_t));
	patience->user_timeout_changed = false;
}

bool patience_is_programs(const struct patience *patience)
{
	return patience->user_timeout && !patience->user_timeout_changed;
}

bool patience_is_bounded(const struct patience *patience)
{
	return patience->user_timeout_changed || patience->user_timeout;
}

bool patience_is_spent(const struct patience *patience)
{
	return clock_coarse_ms() - patience->began_ms >= shim.config.connect_timeout_ms;
}

bool patience_has_its_socket(const struct patience *patience)
{
	return fresh_ticket(patience->fd) == patience->ticket &&
	       (!patience->cookie || peer_cookie(patience->fd) == patience->cookie);
}

bool patience_finds_its_socket(struct patience *patience, bool sent)
{
	KEEP_ERRNO();
	struct tcp_outcome info;

	if (patience->cookie)
		return patience_has_its_socket(patience);
	patience->cookie = peer_cookie(patience->fd);
	if (fresh_ticket(patience->fd) != patience->ticket ||
	    !tcp_outcome_read(patience->fd, &info) || info.state != TCP_CLOSE)
		return false;
	/* A kernel without cookies may not tell this either. */
	return !sent || !patience->cookie || info.pmtu > 0;
}

void patience_keep_deadline(struct patience *patience)
{
	KEEP_ERRNO();
	struct timeval *own = &patience->send_timeout;
	uint64_t spent_us = (clock_coarse_ms() - patience->began_ms) * 1000;
	struct timeval left = {.tv_usec = 1};
	socklen_t size = sizeof(*own);
	uint64_t own_us;

	if (!patience->send_timeout_changed &&
	    getsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, own, &size) < 0)
		return;
	own_us = (uint64_t)own->tv_sec * 1000000 + (uint64_t)own->tv_usec;
	if (!own_us || !spent_us)
		return;
	if (own_us > spent_us) {
		left.tv_sec = (time_t)((own_us - spent_us) / 1000000);
		left.tv_usec = (suseconds_t)((own_us - spent_us) % 1000000);
	}
	if (setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) == 0)
		patience->send_timeout_changed = true;
}

void patience_restore(struct patience *patience)
{
	KEEP_ERRNO();
	if (!(patience->user_timeout_changed || patience->send_timeout_changed) ||
	    !patience_has_its_socket(patience))
		return;
	patience_unbound(patience);
	if (patience->send_timeout_changed)
		setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &patience->send_timeout,
			   sizeof(patience->send_timeout));
}
