// SPDX-License-Identifier: Apache-2.0
#include "failover.h"

#include <errno.h>
#include <fcntl.h>

#include "base/address.h"
#include "base/atomic.h"
#include "base/keep_errno.h"
#include "denied.h"
#include "engine/watchdog.h"
#include "patience.h"
#include "peer_cache.h"
#include "pending.h"
#include "state.h"
#include "tcp_outcome.h"

/*
 * Whether the program's sockets wait that were made to. The first one is asked for its flags: a
 * program of one connection (curl) may have changed them, and is not to pay for a watchdog. Where
 * one did not wait, each next one is asked.
 */
enum habit { HABIT_UNKNOWN, HABIT_WAITS, HABIT_CHANGES };
static uint32_t habit;

/* One call's way through the endpoints, whose last one is the caller's own address. */
struct walk {
	struct dial *dial;
	struct patience patience;
	struct table_endpoint *tried; /* PICK_TRIED, of which @tries are set */
	unsigned tries;
	unsigned most;	  /* endpoints that it may try */
	bool goes_on;	  /* K8SLB_ATTEMPTS lets an endpoint's failure lead to another one */
	bool vip_follows; /* the last of these endpoints */
	bool knows;	  /* what follows: it is asked for when a try has failed */
	bool waits;	  /* the socket is blocking, and goes_on */
	bool at_vip;
	int entry_errno;
	int last_error; /* of the endpoint before; 0: there was none */
};

/* Whose doing a failed connect() is. */
enum cause {
	CAUSE_OTHER,	/* the socket's, or no failure: for the program as it is */
	CAUSE_ADDRESS,	/* that of the address we chose, on this host: its own would do */
	CAUSE_ENDPOINT, /* the endpoint's: another one may do better */
};

static enum cause cause_of(int error)
{
	switch (error) {
	case EACCES:	    /* Landlock, a supervisor, ICMPv6 "prohibited" */
	case EPERM:	    /* a program of the cgroup, a filter */
	case EADDRNOTAVAIL: /* the bound port, or all ports, are taken for this destination */
	case EINVAL:	    /* a blackhole route */
	case ENETUNREACH:
	case EAFNOSUPPORT:
	case ENOBUFS:
		return CAUSE_ADDRESS;
	default:
		return health_is_fault(error) ? CAUSE_ENDPOINT : CAUSE_OTHER;
	}
}

bool failover_leads_to_vip(int error)
{
	enum cause cause = cause_of(error);

	return cause == CAUSE_ADDRESS ||
	       (cause == CAUSE_ENDPOINT && shim.config.fallback == FALLBACK_VIP);
}

/* The connection goes on in the kernel, and the program waits for its end (connect(2)). */
static bool is_under_way(int error)
{
	return error == EINPROGRESS || error == EINTR;
}

static void report_success(const struct dial *dial)
{
	struct tcp_outcome outcome;

	if (pick_is_quiet(&dial->state) && !dial->picked.affinity_timeout_s)
		return;
	/* TCP_FASTOPEN_CONNECT with a cookie: connect() succeeds before anything is sent. */
	if (tcp_outcome_read(dial->fd, &outcome) && outcome.state == TCP_SYN_SENT)
		return;
	pick_served(&dial->state, &dial->picked);
}

/*
 * After a non-blocking connect() that failed, the kernel answers the next one with that failure,
 * whatever the address. Then it is the former endpoint that is reported, if it is remembered.
 */
static bool is_stale(struct walk *walk)
{
	struct dial *dial = walk->dial;
	bool settled = pending_any() && pending_settle(&dial->state, peer_cookie(dial->fd), false);
	bool stale = settled || dial->failed_before;

	dial->failed_before = false;
	return stale;
}

static void report_failure(const struct walk *walk, int error)
{
	const struct dial *dial = walk->dial;

	if (error == EACCES || error == EPERM)
		denied_add(&dial->picked.endpoint);
	else if (error == ETIMEDOUT && patience_was_short(&walk->patience))
		pick_suspected(&dial->state, &dial->picked.endpoint);
	else if (cause_of(error) == CAUSE_ENDPOINT &&
		 !(error == ETIMEDOUT && patience_is_programs(&walk->patience)))
		pick_failed(&dial->state, &dial->picked.endpoint);
}

/* Turns to another endpoint; leaves *@dial as it is when there is none. */
static bool take_other(struct walk *walk)
{
	struct dial *dial = walk->dial;
	struct picked other;

	if (walk->tries >= walk->most ||
	    pick_other(dial->view, &dial->state, &dial->picked.vip, dial->picked.vip_port,
		       IPPROTO_TCP, walk->tried, walk->tries, &other) != PICK_ENDPOINT ||
	    sockaddr_rewrite(&dial->address, &other.endpoint.address, other.endpoint.port) < 0)
		return false;
	dial->picked = other;
	return true;
}

/* The caller's own address is the last endpoint, and has the time that a connection to it has. */
static bool turn_to_vip(struct walk *walk)
{
	if (!pick_may_leave(&walk->dial->state, &walk->dial->picked))
		return false;
	walk->at_vip = true;
	patience_unbound(&walk->patience);
	return true;
}

/* Another endpoint is to follow the one that failed with @error: the next, or the VIP. */
static bool turn_to_next(struct walk *walk, int error)
{
	/* What only our address causes, other addresses of ours are likely to cause too. */
	if (cause_of(error) == CAUSE_ADDRESS && shim.config.fallback == FALLBACK_VIP &&
	    turn_to_vip(walk))
		return true;
	if (take_other(walk)) {
		if (walk->tries + 1 == walk->most && !walk->vip_follows)
			patience_unbound(&walk->patience);
		return true;
	}
	if (walk->vip_follows || cause_of(error) == CAUSE_ADDRESS)
		return turn_to_vip(walk);
	/* The others are gone while this one was tried for less time than the program gives it. */
	if (walk->tries < walk->most && error == ETIMEDOUT && patience_is_ours(&walk->patience)) {
		walk->most = walk->tries + 1;
		patience_unbound(&walk->patience);
		return true;
	}
	return false;
}

/* A connection began, if only by its SYN. A failed one leaves no count of what it sent, but its
 * path's MTU, which is asked for before anything goes out. */
static bool may_have_sent(int fd)
{
	KEEP_ERRNO();
	struct tcp_outcome outcome;

	return !tcp_outcome_read(fd, &outcome) || outcome.state != TCP_CLOSE || outcome.pmtu > 0;
}

static bool is_blocking(int fd)
{
	KEEP_ERRNO();
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_NONBLOCK);
}

/*
 * What most calls need not know: whether the socket waits, and that it is still what has the
 * number. Of a try that was over at once, before anything was sent, the number is all that can be
 * compared.
 */
static bool knows_its_socket(struct walk *walk, int error)
{
	if (walk->knows)
		return true;
	walk->knows = true;
	walk->waits =
		walk->goes_on && walk->most + walk->vip_follows > 1 && is_blocking(walk->dial->fd);
	return patience_finds_its_socket(&walk->patience,
					 error == ECONNREFUSED || error == ETIMEDOUT);
}

/*
 * The connect() of this step failed. True: another one follows. Else errno is the call's.
 * Linux lets a socket connect again after a connect() that failed. Where another kernel does not,
 * the next try says so with an errno that no first connect() has: then the program gets the one
 * before.
 */
static bool leads_on(struct walk *walk)
{
	int error = errno;
	enum cause cause = cause_of(error);

	if (is_under_way(error))
		return false;
	if (walk->last_error && error != EALREADY && error != EISCONN &&
	    (cause == CAUSE_OTHER || (walk->at_vip && error == EINVAL))) {
		errno = walk->last_error;
		return false;
	}
	if (walk->at_vip || cause == CAUSE_OTHER)
		return false;
	if (!knows_its_socket(walk, error))
		return false;
	if (is_stale(walk)) /* the picked endpoint was not tried at all */
		return walk->waits;
	report_failure(walk, error);
	walk->tried[walk->tries++] = walk->dial->picked.endpoint;
	if (cause == CAUSE_ENDPOINT) {
		/* A try that cannot be bounded is the only one: others would wait as long again. */
		if (!walk->goes_on || (walk->waits && !patience_is_bounded(&walk->patience) &&
				       patience_is_spent(&walk->patience)))
			return false;
		walk->last_error = error;
	}
	errno = error;
	/* An answer of ICMP can be the same error as one of this host. */
	if (walk->dial->send && may_have_sent(walk->dial->fd))
		return false;
	if (!patience_has_its_socket(&walk->patience) || !turn_to_next(walk, error))
		return false;
	if (walk->waits)
		patience_keep_deadline(&walk->patience);
	return true;
}

static ssize_t attempt_by_sending(const struct walk *walk)
{
	const struct dial *dial = walk->dial;

	if (walk->at_vip)
		return dial->send(dial, dial->own, dial->own_length);
	return dial->send(dial, (const struct sockaddr *)&dial->address, dial->length);
}

static ssize_t attempt(struct walk *walk)
{
	const struct dial *dial = walk->dial;

	errno = walk->entry_errno;
	if (dial->send)
		return attempt_by_sending(walk);
	if (walk->at_vip)
		return patience_connect(&walk->patience, dial->own, dial->own_length);
	return patience_connect(&walk->patience, (const struct sockaddr *)&dial->address,
				dial->length);
}

static uint32_t count_endpoints(const struct dial *dial)
{
	struct found_port found;

	if (dial->endpoint_count)
		return dial->endpoint_count;
	if (pick_find(dial->view, &dial->picked.vip, dial->picked.vip_port, IPPROTO_TCP, &found) !=
	    PICK_ENDPOINT)
		return 0;
	return found.port.endpoint_count;
}

static bool may_wait(const struct dial *dial)
{
	bool waits;

	if (dial->fresh == FRESH_TCP && peek_u32(&habit) == HABIT_WAITS)
		return true;
	waits = dial->fresh != FRESH_NONBLOCKING && is_blocking(dial->fd);
	if (dial->fresh == FRESH_TCP && peek_u32(&habit) == HABIT_UNKNOWN)
		poke_u32(&habit, waits ? HABIT_WAITS : HABIT_CHANGES);
	return waits;
}

/* How far this call may go. Keeps errno. */
static void plan(struct walk *walk)
{
	KEEP_ERRNO();
	struct dial *dial = walk->dial;
	unsigned attempts = shim.config.attempts < PICK_TRIED ? shim.config.attempts : PICK_TRIED;
	uint32_t endpoints;

	walk->patience.fd = dial->fd;
	walk->patience.ticket = fresh_ticket(dial->fd);
	walk->patience.is_new = dial->fresh != FRESH_NOT;
	walk->most = 1;
	walk->goes_on = attempts > 1 && !dial->send;
	if (denied_has(&dial->picked.endpoint) && turn_to_vip(walk))
		return;
	if (!walk->goes_on)
		return;
	endpoints = count_endpoints(dial);
	walk->most = endpoints < attempts ? endpoints : attempts;
	walk->vip_follows =
		shim.config.fallback == FALLBACK_VIP && pick_may_leave(&dial->state, &dial->picked);
	if (dial->fresh == FRESH_NOT)
		walk->patience.cookie = peer_cookie(dial->fd);
	if (walk->most + walk->vip_follows > 1 && (watchdog_is_there() || may_wait(dial)))
		patience_bound(&walk->patience);
}

static void remember(const struct walk *walk, bool under_way)
{
	const struct dial *dial = walk->dial;
	const struct picked *picked = &dial->picked;
	struct peer peer = {
		.vip = picked->vip,
		.vip_port = picked->vip_port,
		.endpoint = picked->endpoint.address,
		.endpoint_port = picked->endpoint.port,
		.fd = dial->fd,
	};
	uint64_t cookie;

	peer_cache_put(&peer);
	if (!under_way)
		return;
	cookie = walk->patience.cookie ? walk->patience.cookie : peer_cookie(dial->fd);
	if (cookie)
		pending_add(dial->fd, cookie, picked);
}

/* What became of the call. Keeps errno, which tells that. */
static void conclude(const struct walk *walk, ssize_t rc)
{
	KEEP_ERRNO();
	const struct dial *dial = walk->dial;
	bool begun = rc >= 0 || is_under_way(errno);

	if (rc < 0 && errno == EINPROGRESS && dial->fresh == FRESH_TCP &&
	    peek_u32(&habit) != HABIT_CHANGES)
		poke_u32(&habit, HABIT_CHANGES);
	if (begun && walk->at_vip) {
		pick_left(&dial->state, &dial->picked);
		/* What a former connection of this socket comes to, the next one does not tell. */
		if (pending_any())
			pending_forget(peer_cookie(dial->fd));
	} else if (begun) {
		/* What was sent is on its way with the SYN, or the pod has answered. */
		if (rc >= 0 && !dial->send)
			report_success(dial);
		remember(walk, rc < 0 || dial->send);
	} else if (walk->tries) {
		pick_gave_up(&dial->state);
	}
}

ssize_t failover_connect(struct dial *dial)
{
	struct table_endpoint tried[PICK_TRIED];
	struct walk walk = {.dial = dial, .tried = tried, .entry_errno = errno};
	ssize_t rc;

	plan(&walk);
	do {
		rc = attempt(&walk);
	} while (rc < 0 && leads_on(&walk));
	patience_restore(&walk.patience);
	conclude(&walk, rc);
	return rc;
}
