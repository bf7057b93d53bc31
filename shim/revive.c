// SPDX-License-Identifier: Apache-2.0
#include "revive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "base/tcp_socket.h"
#include "epoll_data.h"
#include "events.h"
#include "failover.h"
#include "libc.h"
#include "new_filters.h"
#include "patience.h"
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

/* Asked right before and after what is done to the number. False: the claim has run out, and who
 * wants to close the number may have waited long enough (closing.h); or another thread has closed
 * it past our hooks, and what was done by then may have been done to what has the number now. */
static bool is_still_there(struct pending_hold *hold)
{
	uint64_t cookie = peer_cookie(hold->entry->fd);

	if (!pending_is_held(hold))
		return false;
	if (cookie == hold->entry->cookie)
		return true;
	if (cookie)
		events_off(EVENTS_OTHER_SOCKET);
	pending_clear(hold);
	return false;
}

/* No MPTCP, and no SMC that the program knows as TCP: to connect these again is another matter. */
__attribute__((noinline)) static bool is_plain_tcp(const struct pending *entry)
{
	int domain = 0, protocol = 0;
	socklen_t size = sizeof(domain), protocol_size = sizeof(protocol);

	return libc_getsockopt(entry->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	       libc_getsockopt(entry->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_size) == 0 &&
	       domain == entry->address.sin6_family && protocol == IPPROTO_TCP;
}

/*
 * An address of the socket's family that no socket connects to: a failed try answers with its
 * failure before it looks at the address, and what has got the number meanwhile answers ENETUNREACH
 * (tcp_v4_connect(), tcp_v6_connect()). Of the family and the port of the endpoint, because
 * security modules look at these.
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
__attribute__((noinline)) static enum revive_said take_failure(const struct pending *entry,
							       int *ret_error)
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

/*
 * All that followed failed within its connect(), which takes the failure from the socket: the
 * program, which was told that it connects, would find one without an error, and write() says EPIPE
 * there. So the endpoint whose refusal came later is dialled once more: false, and the kernel tells
 * the program what comes of it. One that was silent would take as long as the kernel tries: it is
 * dialled and disconnected. Then the socket has ECONNRESET for whoever does not ask, and an errno
 * is owed to whoever does.
 */
static bool owe_to_kernel(const struct pending *entry, bool was_silent)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int rc = k8slb_raw_connect(entry->fd, (const struct sockaddr *)&entry->address,
				   entry->length);

	if (rc < 0 && errno != EINPROGRESS)
		return true;
	/* 0: TCP_FASTOPEN_CONNECT, which would wait for data. */
	if (rc == 0 || was_silent)
		k8slb_raw_connect(entry->fd, &none, sizeof(none));
	return rc == 0 || was_silent;
}

/* The address that the caller gave, of which nothing is kept but what it was. */
__attribute__((noinline)) static void make_own(struct sockaddr_in6 *ret_own, const struct dial *dial)
{
	struct sockaddr_storage own = dial->address;

	sockaddr_rewrite(&own, &dial->picked.vip, dial->picked.vip_port);
	memcpy(ret_own, &own, sizeof(*ret_own));
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
	struct sockaddr_in6 own;
	bool under_way, is_again;
	uint64_t now_ms;
	int rc;

	make_own(&own, dial);
	dial->own = (const struct sockaddr *)&own;
	dial->own_length = dial->length;
	rc = failover_go_on(dial, &entry->way, &end);
	error = errno;
	if (!is_still_there(hold)) {
		/* What has the number now was not connecting, and would be connected to a pod that
		 * it has nothing to do with. */
		if ((rc == 0 || error == EINPROGRESS) && peer_cookie(dial->fd) != end.cookie)
			k8slb_raw_connect(dial->fd, &none, sizeof(none));
		return RESULT_GONE;
	}
	now_ms = clock_coarse_ms();
	under_way = rc == 0 || error == EINPROGRESS || error == EINTR;
	is_again = !under_way && !owe_to_kernel(entry, overdue);
	entry->reported = !under_way;
	entry->began_ms = now_ms;
	if (under_way) {
		entry->picked = dial->picked;
		memcpy(&entry->address, &dial->address, entry->length);
	}
	poke_u64(&entry->revived_ms, now_ms);
	if (!under_way && !is_again) {
		entry->owed = error;
		pending_set_due(hold, now_ms + PENDING_OWED_MS);
		return RESULT_STANDS;
	}
	/* TCP_FASTOPEN_CONNECT: connect() says 0 before it dials, and what the program writes is
	 * sent then. Another try would lose that. */
	entry->served = rc == 0;
	entry->is_last = rc == 0 || is_again || !failover_may_go_on(dial, &entry->way);
	pending_set_due(hold, now_ms + (entry->is_last ? PENDING_STALE_MS : entry->way.limit_ms));
	return RESULT_REVIVED;
}

/* Nothing follows it, or nothing may: what it comes to is the program's. */
static enum result leave(struct pending_hold *hold)
{
	pending_unwatch(hold);
	return RESULT_STANDS;
}

/* noinline: what the kernel tells is not on the stack beside what follows. */
__attribute__((noinline)) static enum revive_step next_step(int fd, bool overdue)
{
	struct tcp_outcome outcome;

	if (!tcp_outcome_read(fd, &outcome))
		return REVIVE_VOID;
	/* Whenever that was: the kernel tells how long it took. */
	if (outcome.state == TCP_ESTABLISHED)
		patience_learn(outcome.rtt_us / 1000);
	return revive_step_of(&outcome, overdue);
}

static bool may_go_on(const struct pending *entry, const struct dial *dial)
{
	return failover_may_go_on(dial, &entry->way) && !is_blocking(entry->fd) &&
	       is_plain_tcp(entry) && events_are_filtered();
}

static void report_failure(struct pending *entry, const struct pick_state *state)
{
	if (!entry->reported)
		pick_failed(state, &entry->picked.endpoint);
	entry->reported = true;
}

static enum result revive(struct pending_hold *hold, bool overdue)
{
	struct pending *entry = hold->entry;
	enum revive_said said;
	struct dial dial;
	int error;

	read_dial(&dial, entry);
	if (!may_go_on(entry, &dial)) {
		if (!overdue)
			report_failure(entry, &dial.state);
		return leave(hold);
	}
	if (!is_still_there(hold)) /* right before what is done to the number */
		return RESULT_GONE;
	if (overdue) {
		/* The answer may have come since the last look. What comes between this one and the
		 * next call, some 100 ns later, is answered by a reset; the program has not seen it
		 * yet. */
		if (next_step(entry->fd, true) != REVIVE_OVERDUE)
			return RESULT_WAITS;
		if (!give_up(entry, &error))
			return leave(hold);
		said = REVIVE_SAID_FAILURE;
	} else {
		said = take_failure(entry, &error);
	}
	if (!is_still_there(hold))
		return RESULT_GONE;
	switch (said) {
	case REVIVE_SAID_DENIED:
		/* By a sandbox, before the kernel came to the failure? Then that is still there. */
		if (next_step(entry->fd, false) != REVIVE_VOID)
			return leave(hold);
		return go_on(hold, &dial, error, overdue);
	case REVIVE_SAID_FAILURE:
		return go_on(hold, &dial, error, overdue);
	case REVIVE_SAID_TAKEN:
		return leave(hold);
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

/* The kernel looks anew, and shows what there is. Twice where the program has changed the
 * registration meanwhile: what it says is the last word. */
__attribute__((noinline)) static void arm_again(int fd, const struct revive_arm *arm)
{
	for (int turn = 0; turn < 2; turn++) {
		struct epoll_event event = {.data.u64 = arm->data, .events = arm->otherwise};
		struct epoll_event after = event;

		epoll_data_noted(arm->epoll, fd, &event);
		k8slb_raw_epoll_ctl(arm->epoll, EPOLL_CTL_MOD, fd, &event);
		epoll_data_noted(arm->epoll, fd, &after);
		if (after.events == event.events && after.data.u64 == event.data.u64)
			return;
	}
}

/* Who has claimed it has left it as it was, perhaps, and nothing more comes of itself: an event
 * that is shown once is to be shown again. Not by a claim, but whoever closes the number waits for
 * the one that stands; and the cookie tells that it is that socket's. */
static void drop_of_busy(int fd, const struct revive_arm *arm)
{
	uint64_t cookie = pending_cookie_of(fd);

	if (arm && arm->otherwise & (EPOLLONESHOT | EPOLLET) && cookie && peer_cookie(fd) == cookie)
		arm_again(fd, arm);
}

/* The registration is of another file, whose number was closed and used again, and that lives on
 * elsewhere. Of one that is claimed, as all that holds the file: pending_numbers(). */
__attribute__((noinline)) static bool is_of_other(int fd, const struct revive_arm *arm)
{
	struct stat status;

	return arm->inode && (k8slb_fstat(fd, &status) < 0 || status.st_ino != arm->inode);
}

static enum result look_until_clear(struct pending_hold *hold, short asked, short *ret_now,
				    bool *ret_acted)
{
	int fd = hold->entry->fd;
	enum result result = RESULT_WAITS;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		*ret_now = shown_by(fd, asked);
		/* One that shows neither is connecting, or has connected. */
		if (!(*ret_now & (POLLERR | POLLHUP)))
			break;
		result = look_at(hold, false);
		if (result == RESULT_GONE)
			break;
		if (result == RESULT_REVIVED)
			*ret_acted = true;
		if (result == RESULT_STANDS) {
			*ret_now = shown_by(fd, asked);
			if (hold->entry->owed)
				*ret_now |= POLLERR;
			break;
		}
	}
	if (result != RESULT_GONE && *ret_now && !(*ret_now & (POLLERR | POLLHUP)))
		look_at(hold, false);
	return result;
}

enum revive_shows revive_event(int fd, short asked, const struct revive_arm *arm, short *ret_now,
			       bool *ret_acted)
{
	KEEP_ERRNO();
	struct pending_hold hold;
	enum result result;

	if (!pending_has(fd) || !revive_may_act())
		return REVIVE_AS_IT_CAME;
	switch (pending_claim_wait(fd, PENDING_AWAIT_MS, &hold)) {
	case PENDING_NONE:
		return REVIVE_AS_IT_CAME;
	case PENDING_BUSY:
		*ret_now = 0;
		drop_of_busy(fd, arm);
		return REVIVE_SHOWS;
	case PENDING_CLAIMED:
		break;
	}
	if (arm && is_of_other(fd, arm)) {
		pending_release(&hold);
		return REVIVE_AS_IT_CAME;
	}
	result = look_until_clear(&hold, asked, ret_now, ret_acted);
	if (arm && arm->otherwise & EPOLLONESHOT && result != RESULT_GONE && !*ret_now &&
	    is_still_there(&hold))
		arm_again(fd, arm);
	pending_release(&hold);
	return result == RESULT_GONE ? REVIVE_AS_IT_CAME : REVIVE_SHOWS;
}

/* Not to be sent on by this thread: what is known of it. */
static void learn_of(struct pending_hold *hold)
{
	switch (next_step(hold->entry->fd, false)) {
	case REVIVE_CONNECTED:
		conclude(hold);
		break;
	case REVIVE_VOID:
		pending_clear(hold);
		break;
	default:
		break;
	}
}

/* It had its time: connected, failed, given up, or kept for nothing any more. */
static void look_at_due(struct pending_hold *hold, uint64_t now_ms, bool may_act)
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
	if (!may_act) {
		learn_of(hold);
		return;
	}
	look_at(hold, true);
	/* Still watched, and nothing has set a time: nothing is known of it but that it is. */
	if (entry->cookie && entry->due_ms <= now_ms)
		pending_set_due(hold, now_ms + entry->way.limit_ms);
}

uint64_t revive_due(revive_shows_fn *shows, const void *call)
{
	KEEP_ERRNO();
	struct pending_peek one;
	struct pending_hold hold;
	unsigned place = 0;
	uint64_t next_ms = 0;
	uint64_t now_ms = clock_coarse_ms();

	while (pending_peek_next(&place, &one)) {
		bool may_act = shows(call, one.fd);

		if (one.due_ms <= now_ms) {
			if (new_filters_here())
				return 0;
			if (pending_claim_peeked(&one, &hold)) {
				/* Another thread has looked since, perhaps. */
				if (hold.entry->due_ms <= now_ms)
					look_at_due(&hold, now_ms, may_act);
				one.due_ms = hold.entry->cookie ? hold.entry->due_ms : 0;
				pending_release(&hold);
			} else {
				one.due_ms = now_ms + PENDING_AWAIT_MS;
			}
		}
		if (may_act && one.due_ms && (!next_ms || one.due_ms < next_ms))
			next_ms = one.due_ms;
	}
	return next_ms;
}

int revive_before_error(int fd)
{
	KEEP_ERRNO();
	struct pending_hold hold;
	struct pick_state state;
	int owed;

	if (!pending_has(fd) || new_filters_here() ||
	    pending_claim_wait(fd, PENDING_AWAIT_MS, &hold) != PENDING_CLAIMED)
		return 0;
	owed = hold.entry->owed;
	if (owed) {
		pending_clear(&hold);
	} else if (!hold.entry->is_last) {
		switch (next_step(fd, false)) {
		case REVIVE_WAIT:
		case REVIVE_OVERDUE:
			break;
		case REVIVE_CONNECTED:
			conclude(&hold);
			break;
		case REVIVE_FAILED:
			process_pick_state(process_current(), &state);
			report_failure(hold.entry, &state);
			pending_unwatch(&hold);
			break;
		case REVIVE_VOID:
			pending_clear(&hold);
			break;
		}
	}
	pending_release(&hold);
	return owed;
}

/* The address that the connection under way was asked for. To another one it may not be sent on: the
 * program would take the former Service's pod for what it asks for now. */
static bool is_same_target(const struct pending *entry, const struct sockaddr *address,
			   socklen_t length)
{
	struct ip_address ip;
	uint16_t port;

	return length <= sizeof(struct sockaddr_storage) &&
	       sockaddr_read(address, length, &ip, &port) == 0 && port == entry->picked.vip_port &&
	       ip_equal(&ip, &entry->picked.vip);
}

bool revive_second_connect(int fd, const struct sockaddr *address, socklen_t length, int *ret_rc)
{
	int entry_errno = errno;
	struct pending_hold hold;
	enum result result;
	sa_family_t family;
	int owed;

	if (!pending_has(fd) || new_filters_here() ||
	    pending_claim_wait(fd, PENDING_AWAIT_MS, &hold) != PENDING_CLAIMED)
		return false;
	memcpy(&family, address, sizeof(family));
	if (family == AF_UNSPEC) {
		pending_clear(&hold);
		pending_release(&hold);
		errno = entry_errno;
		return false;
	}
	owed = hold.entry->owed;
	if (!owed && !is_same_target(hold.entry, address, length)) {
		pending_unwatch(&hold);
		pending_release(&hold);
		errno = entry_errno;
		return false;
	}
	result = look_at(&hold, false);
	owed = hold.entry->owed;
	if (owed) {
		tcp_take_error(fd); /* owe_to_kernel() */
		pending_clear(&hold);
	}
	pending_release(&hold);
	if (!owed && result != RESULT_REVIVED) {
		errno = entry_errno;
		return false;
	}
	*ret_rc = -1;
	errno = owed ? owed : EALREADY;
	return true;
}
