// SPDX-License-Identifier: Apache-2.0
#include "revive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/address.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/raw_calls.h"
#include "base/tcp_socket.h"
#include "events.h"
#include "failover.h"
#include "new_filters.h"
#include "peer_cache.h"
#include "process.h"
#include "provider.h"
#include "state.h"

/* An event is asked anew so often: each endpoint may have refused before the call was over. */
#define TURNS (PICK_TRIED + 2)

enum result {
	RESULT_STANDS,	/* what the socket shows is the program's */
	RESULT_WAITS,	/* it connects, as before */
	RESULT_REVIVED, /* it connects to something else */
	RESULT_GONE,	/* its number is no more, or another socket's */
};

/* --- one that is claimed --------------------------------------------------------------------- */

static bool is_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || !(flags & O_NONBLOCK);
}

/* Its number has become another socket's: another thread has closed it under the claim. What was done
 * by then may have been done to that one. */
static bool is_still_there(struct pending_hold *hold)
{
	uint64_t cookie = peer_cookie(hold->entry->fd);

	if (cookie == hold->entry->cookie)
		return true;
	if (cookie)
		events_off(EVENTS_OTHER_SOCKET);
	pending_clear(hold);
	return false;
}

/*
 * An address of the socket's family that no socket connects to: a failed try answers with its failure
 * before it looks at the address, and what has got the number meanwhile answers ENETUNREACH
 * (tcp_v4_connect(), tcp_v6_connect()). Of the family and the port of the endpoint, because security
 * modules look at these.
 */
static void make_nowhere(struct sockaddr_in6 *ret_address, const struct pending *entry)
{
	struct sockaddr_in four;

	*ret_address = entry->address;
	if (ret_address->sin6_family == AF_INET6) {
		memset(&ret_address->sin6_addr, 0, sizeof(ret_address->sin6_addr));
		ret_address->sin6_addr.s6_addr[0] = 0xff; /* ff02::1 */
		ret_address->sin6_addr.s6_addr[1] = 0x02;
		ret_address->sin6_addr.s6_addr[15] = 1;
		return;
	}
	memcpy(&four, ret_address, sizeof(four));
	four.sin_addr.s_addr = INADDR_BROADCAST;
	memcpy(ret_address, &four, sizeof(four));
}

/* Takes the failure of the try. Returns what the socket said; *@ret_error is the failure. */
static enum revive_said take_failure(const struct pending *entry, int *ret_error)
{
	struct sockaddr_in6 nowhere;
	int rc;

	make_nowhere(&nowhere, entry);
	rc = k8slb_raw_connect(entry->fd, (struct sockaddr *)&nowhere, entry->length);
	*ret_error = errno;
	return revive_said_by(rc, errno);
}

/* Disconnects it; true when that could be. A peer that has just answered gets a reset. */
static bool give_up(const struct pending *entry, int *ret_error)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	*ret_error = ETIMEDOUT;
	return k8slb_raw_connect(entry->fd, &none, sizeof(none)) == 0;
}

static void read_dial(struct dial *dial, const struct pending *entry)
{
	memset(dial, 0, sizeof(*dial));
	dial->fd = entry->fd;
	dial->view = provider_view();
	process_pick_state(process_current(), &dial->state);
	dial->picked = entry->picked;
	dial->length = entry->length;
	memcpy(&dial->address, &entry->address, entry->length);
}

/* The socket is as new: the next endpoint, or the caller's own address. */
static enum result go_on(struct pending_hold *hold, struct dial *dial, int error, bool overdue)
{
	struct pending *entry = hold->entry;
	struct way_end end = {
		.error = error,
		.cookie = entry->cookie,
		.was_overdue = overdue,
		.was_reported = entry->reported,
	};
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage own = dial->address;
	uint64_t now_ms;
	int rc;

	sockaddr_rewrite(&own, &entry->picked.vip, entry->picked.vip_port);
	dial->own = (const struct sockaddr *)&own;
	dial->own_length = dial->length;
	rc = failover_go_on(dial, &entry->way, &end);
	error = errno;
	if (!is_still_there(hold)) {
		/* What has the number now was not connecting, and would be connected to a pod that it
		 * has nothing to do with. */
		if (rc == 0 || error == EINPROGRESS)
			k8slb_raw_connect(dial->fd, &none, sizeof(none));
		return RESULT_GONE;
	}
	now_ms = clock_coarse_ms();
	entry->picked = dial->picked;
	entry->reported = false;
	entry->served = false;
	entry->began_ms = now_ms;
	memcpy(&entry->address, &dial->address, entry->length);
	poke_u64(&entry->revived_ms, now_ms);
	if (rc < 0 && error != EINPROGRESS && error != EINTR) {
		entry->reported = true;
		entry->owed = error;
		pending_set_due(hold, now_ms + PENDING_OWED_MS);
		return RESULT_STANDS;
	}
	entry->is_last = !failover_may_go_on(dial, &entry->way);
	pending_set_due(hold, now_ms + (entry->is_last ? PENDING_STALE_MS : entry->way.limit_ms));
	return RESULT_REVIVED;
}

/* Nothing follows it, or nothing may: what it comes to is the program's. */
static enum result leave(struct pending_hold *hold)
{
	pending_unwatch(hold);
	return RESULT_STANDS;
}

static enum result revive(struct pending_hold *hold, bool overdue)
{
	struct pending *entry = hold->entry;
	enum revive_said said;
	struct dial dial;
	int error;

	read_dial(&dial, entry);
	if (!failover_may_go_on(&dial, &entry->way) || is_blocking(entry->fd) || !events_are_filtered()) {
		if (!overdue && !entry->reported) {
			pick_failed(&dial.state, &entry->picked.endpoint);
			entry->reported = true;
		}
		return leave(hold);
	}
	if (!is_still_there(hold)) /* right before what is done to the number */
		return RESULT_GONE;
	if (overdue) {
		if (!give_up(entry, &error))
			return leave(hold);
		said = REVIVE_SAID_FAILURE;
	} else {
		said = take_failure(entry, &error);
	}
	if (!is_still_there(hold))
		return RESULT_GONE;
	switch (said) {
	case REVIVE_SAID_FAILURE:
		return go_on(hold, &dial, error, overdue);
	case REVIVE_SAID_WAITS:
		return RESULT_WAITS;
	case REVIVE_SAID_THERE:
		return RESULT_STANDS;
	case REVIVE_SAID_GONE: /* and is_still_there() said otherwise */
	case REVIVE_SAID_UNKNOWN:
		break;
	}
	events_off(EVENTS_UNKNOWN_RESULT);
	return leave(hold);
}

/* It came about. */
static enum result conclude(struct pending_hold *hold)
{
	struct pending *entry = hold->entry;
	struct pick_state state;

	process_pick_state(process_current(), &state);
	if (!entry->served)
		pick_served(&state, &entry->picked);
	pending_conclude(hold);
	return RESULT_STANDS;
}

/* noinline: what the kernel tells is not on the stack beside what follows. */
__attribute__((noinline)) static enum revive_step next_step(int fd, bool overdue)
{
	struct tcp_outcome outcome;

	return tcp_outcome_read(fd, &outcome) ? revive_step_of(&outcome, overdue) : REVIVE_VOID;
}

/* Of one that is claimed, and whose number is its socket's. */
static enum result look_at(struct pending_hold *hold, bool overdue)
{
	if (hold->entry->owed || hold->entry->is_last)
		return RESULT_STANDS;
	switch (next_step(hold->entry->fd, overdue)) {
	case REVIVE_WAIT:
		return RESULT_WAITS;
	case REVIVE_CONNECTED:
		return conclude(hold);
	case REVIVE_FAILED:
		return revive(hold, false);
	case REVIVE_OVERDUE:
		return revive(hold, true);
	case REVIVE_VOID:
		break;
	}
	pending_clear(hold);
	return RESULT_STANDS;
}

/* --- the occasions --------------------------------------------------------------------------- */

static short shown_by(int fd, short asked)
{
	struct pollfd look = {.fd = fd, .events = asked};

	return k8slb_raw_poll(&look, 1, 0) > 0 ? look.revents : 0;
}

bool revive_may_act(void)
{
	return !new_filters_here();
}

enum revive_shows revive_event(int fd, short asked, short *ret_now, bool *ret_acted)
{
	KEEP_ERRNO();
	struct pending_hold hold;
	enum result result = RESULT_WAITS;

	if (!pending_has(fd) || !revive_may_act())
		return REVIVE_AS_IT_CAME;
	switch (pending_claim_wait(fd, &hold)) {
	case PENDING_NONE:
		return REVIVE_AS_IT_CAME;
	case PENDING_BUSY:
		*ret_now = 0;
		return REVIVE_SHOWS;
	case PENDING_CLAIMED:
		break;
	}
	for (unsigned turn = 0; turn < TURNS; turn++) {
		*ret_now = shown_by(fd, asked);
		/* One that shows neither is connecting, or has connected. */
		if (!(*ret_now & (POLLERR | POLLHUP)))
			break;
		result = look_at(&hold, false);
		if (result == RESULT_GONE)
			break;
		if (result == RESULT_REVIVED)
			*ret_acted = true;
		if (result == RESULT_STANDS) {
			*ret_now = shown_by(fd, asked);
			if (hold.entry->owed)
				*ret_now |= POLLERR;
			break;
		}
	}
	if (result != RESULT_GONE && *ret_now && !(*ret_now & (POLLERR | POLLHUP)))
		look_at(&hold, false);
	pending_release(&hold);
	return result == RESULT_GONE ? REVIVE_AS_IT_CAME : REVIVE_SHOWS;
}

/* It had its time: connected, failed, given up, or kept for nothing any more. */
static void look_at_due(struct pending_hold *hold, uint64_t now_ms)
{
	struct pending *entry = hold->entry;

	if (peer_cookie(entry->fd) != entry->cookie) {
		pending_clear(hold);
		return;
	}
	if (entry->owed || entry->is_last) {
		if (entry->owed || entry->way.at_vip || entry->served)
			pending_clear(hold);
		else
			pending_unwatch(hold);
		return;
	}
	look_at(hold, true);
	/* Still watched, and nothing has set a time: nothing is known of it but that it is. */
	if (entry->cookie && entry->due_ms <= now_ms)
		pending_set_due(hold, now_ms + entry->way.limit_ms);
}

bool revive_due(void)
{
	KEEP_ERRNO();
	uint64_t due_ms = pending_next_due();
	struct pending_hold hold;
	unsigned place = 0;
	uint64_t now_ms;

	if (!due_ms)
		return true;
	now_ms = clock_coarse_ms();
	if (due_ms > now_ms)
		return true;
	if (new_filters_here())
		return false;
	while (pending_claim_due(&place, now_ms, &hold)) {
		look_at_due(&hold, now_ms);
		pending_release(&hold);
	}
	return true;
}

int revive_before_error(int fd)
{
	KEEP_ERRNO();
	struct pending_hold hold;
	int owed;

	if (!pending_has(fd) || new_filters_here() ||
	    pending_claim_wait(fd, &hold) != PENDING_CLAIMED)
		return 0;
	for (unsigned turn = 0; turn < TURNS && look_at(&hold, false) == RESULT_REVIVED; turn++) {
	}
	owed = hold.entry->owed;
	if (owed)
		pending_clear(&hold);
	pending_release(&hold);
	return owed;
}

bool revive_second_connect(int fd, const struct sockaddr *address, int *ret_rc)
{
	int entry_errno = errno;
	struct pending_hold hold;
	enum result result;
	sa_family_t family;
	int owed;

	if (!pending_has(fd) || new_filters_here() ||
	    pending_claim_wait(fd, &hold) != PENDING_CLAIMED)
		return false;
	memcpy(&family, address, sizeof(family));
	if (family == AF_UNSPEC) {
		pending_clear(&hold);
		pending_release(&hold);
		errno = entry_errno;
		return false;
	}
	result = look_at(&hold, false);
	owed = hold.entry->owed;
	if (owed)
		pending_clear(&hold);
	pending_release(&hold);
	if (!owed && result != RESULT_REVIVED) {
		errno = entry_errno;
		return false;
	}
	*ret_rc = -1;
	errno = owed ? owed : EALREADY;
	return true;
}
