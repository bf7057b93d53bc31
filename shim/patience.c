// SPDX-License-Identifier: Apache-2.0
#include "patience.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "engine/watchdog.h"
#include "engine_state.h"
#include "fresh.h"
#include "libc.h"
#include "made_up.h"
#include "peer_cache.h"
#include "process.h"
#include "state.h"
#include "tcp_outcome.h"

/* The kernel ends a try by itself no earlier: then the first SYN is sent again. */
#define KERNEL_MS 1000u
/* So long the slowest connection counts. */
#define SLOWEST_MS 60000u

/* Of the connections that took more than half of a try: how long, and when. They are written one
 * after the other; whoever reads in between has a limit that is right for one of the two. */
static uint32_t slowest_ms;
static uint64_t slowest_at_ms;

/* The program sets TCP_USER_TIMEOUT. */
static uint32_t user_timeout_used;

void patience_user_timeout_is_used(void)
{
	if (!peek_u32(&user_timeout_used))
		poke_u32(&user_timeout_used, 1);
}

uint32_t patience_longest_ms(void)
{
	uint32_t ours = shim.config.connect_timeout_ms;

	return ours > KERNEL_MS ? ours : KERNEL_MS;
}

uint32_t patience_limit_ms(void)
{
	uint32_t ours = shim.config.connect_timeout_ms;
	uint32_t slowest = peek_u32(&slowest_ms);
	uint32_t wanted = slowest + slowest / 4;

	if (!slowest || wanted <= ours || ours >= KERNEL_MS ||
	    clock_coarse_ms() - peek_u64(&slowest_at_ms) >= SLOWEST_MS)
		return ours;
	return wanted < KERNEL_MS ? wanted : KERNEL_MS;
}

void patience_learn(uint32_t took_ms)
{
	uint64_t now_ms = clock_coarse_ms();

	if (took_ms <= shim.config.connect_timeout_ms / 2 || took_ms >= KERNEL_MS ||
	    (took_ms <= peek_u32(&slowest_ms) && now_ms - peek_u64(&slowest_at_ms) < SLOWEST_MS))
		return;
	poke_u32(&slowest_ms, took_ms);
	poke_u64(&slowest_at_ms, now_ms);
}

/* Of the program's own one, by @patience_bound() or after the first failure. */
static bool knows_user_timeout(struct patience *patience)
{
	socklen_t size = sizeof(uint32_t);

	if (patience->is_new && !peek_u32(&user_timeout_used))
		return true; /* none */
	return libc_getsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience->user_timeout,
			  &size) == 0;
}

static void bound_by_kernel(struct patience *patience)
{
	uint32_t ours = patience->limit_ms;

	patience->watched = false;
	if (!knows_user_timeout(patience))
		return;
	if (!patience->user_timeout || patience->user_timeout > ours)
		patience->user_timeout_changed =
			libc_setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ours,
					sizeof(ours)) == 0;
}

void patience_bound(struct patience *patience)
{
	KEEP_ERRNO();

	patience->limit_ms = patience_limit_ms();
	patience->watched = engine_state_has_watchdog(process_current(), patience->fd);
	if (!patience->watched)
		bound_by_kernel(patience);
}

void patience_unbound(struct patience *patience)
{
	KEEP_ERRNO();

	if (patience->user_timeout_changed)
		libc_setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
				&patience->user_timeout, sizeof(uint32_t));
	patience->user_timeout_changed = false;
	patience->limit_ms = 0;
}

bool patience_is_ours(const struct patience *patience)
{
	return patience->limit_ms && (patience->watched || patience->user_timeout_changed);
}

bool patience_is_programs(const struct patience *patience)
{
	return patience->user_timeout && !patience->user_timeout_changed && !patience->was_ended;
}

bool patience_is_bounded(const struct patience *patience)
{
	return !patience->was_left && (patience_is_ours(patience) || patience->user_timeout);
}

bool patience_was_short(const struct patience *patience)
{
	return patience->was_ended && patience->limit_ms < KERNEL_MS;
}

bool patience_is_spent(const struct patience *patience)
{
	return clock_coarse_ms() - patience->began_ms >= shim.config.connect_timeout_ms;
}

int patience_connect(struct patience *patience, const struct sockaddr *address, socklen_t length)
{
	uint64_t now_us = clock_coarse_us();
	bool is_watched = patience->limit_ms && patience->watched;
	enum watchdog_end end = WATCHDOG_QUIET;
	int entry_errno = errno;
	struct watchdog_try try;
	struct watchdog_note note;
	int rc;

	patience->was_ended = false;
	patience->try_began_ms = now_us / 1000;
	if (!patience->began_ms)
		patience->began_ms = patience->try_began_ms;
	if (is_watched && !watchdog_arm(&try, patience->fd, address, length,
					now_us + patience->limit_ms * UINT64_C(1000))) {
		is_watched = false;
		bound_by_kernel(patience);
		errno = entry_errno;
	}
	rc = libc_connect(patience->fd, address, length);
	if (is_watched)
		end = watchdog_disarm(&try, &note);
	if (rc == 0)
		patience_learn((uint32_t)(clock_coarse_ms() - patience->try_began_ms));
	if (end == WATCHDOG_QUIET)
		return rc;
	patience->was_left = end == WATCHDOG_LEFT;
	patience->was_ended = end == WATCHDOG_ABORTED;
	if (end != WATCHDOG_LEFT && note.cookie)
		patience->cookie = note.cookie;
	if (end == WATCHDOG_DENIED) {
		/* From here on as if we had set it. */
		patience->watched = false;
		patience->user_timeout = note.user_timeout;
		patience->user_timeout_changed = true;
	}
	rc = made_up_connect(patience, address, length, end, rc);
	if (rc == 0)
		errno = entry_errno;
	return rc;
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

	if (patience->watched)
		knows_user_timeout(patience);
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
	    libc_getsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, own, &size) < 0)
		return;
	own_us = (uint64_t)own->tv_sec * 1000000 + (uint64_t)own->tv_usec;
	if (!own_us || !spent_us)
		return;
	if (own_us > spent_us) {
		left.tv_sec = (time_t)((own_us - spent_us) / 1000000);
		left.tv_usec = (suseconds_t)((own_us - spent_us) % 1000000);
	}
	if (libc_setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) == 0)
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
		libc_setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &patience->send_timeout,
				sizeof(patience->send_timeout));
}
