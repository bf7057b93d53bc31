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

/* Sockets that were not made so did not wait: the flags of each next one are asked for. */
static uint32_t flags_change;

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
	bool reported;	  /* this endpoint's failure was, before */
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

	if (walk->reported)
		return;
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
	walk->reported = false;
	walk->tried[walk->tries++] = walk->dial->picked.endpoint;
	if (cause == CAUSE_ENDPOINT) {
		/* A try that cannot be bounded is the only one: others would wait as long again. */
		if (!walk->goes_on || (walk->waits && !patience_is_bounded(&walk->patience) &&
				       patience_is_spent(&walk->patience)))
			return false;
		walk->last_error = error;
	}
	errno = error;
	if (!patience_has_its_socket(&walk->patience) || !turn_to_next(walk, error))
		return false;
	if (walk->waits)
		patience_keep_deadline(&walk->patience);
	return true;
}

static int attempt(struct walk *walk)
{
	const struct dial *dial = walk->dial;

	errno = walk->entry_errno;
	if (walk->at_vip)
		return patience_connect(&walk->patience, dial->own, dial->own_length);
	return patience_connect(&walk->patience, (const struct sockaddr *)&dial->address,
				dial->length);
}

static void know_port(struct dial *dial)
{
	struct found_port found;

	if (dial->endpoint_count ||
	    pick_find(dial->view, &dial->picked.vip, dial->picked.vip_port, IPPROTO_TCP, &found) !=
		    PICK_ENDPOINT)
		return;
	dial->endpoint_count = found.port.endpoint_count;
	dial->one_attempt = found.port.flags & TABLE_PORT_ONE_ATTEMPT;
}

static bool may_wait(const struct dial *dial)
{
	if (dial->fresh == FRESH_TCP && !peek_u32(&flags_change))
		return true;
	return dial->fresh != FRESH_NONBLOCKING && is_blocking(dial->fd);
}

/* How far this call may go. Keeps errno. */
static void plan(struct walk *walk)
{
	KEEP_ERRNO();
	struct dial *dial = walk->dial;
	unsigned attempts = shim.config.attempts < PICK_TRIED ? shim.config.attempts : PICK_TRIED;

	walk->patience.fd = dial->fd;
	walk->patience.ticket = fresh_ticket(dial->fd);
	walk->patience.is_new = dial->fresh != FRESH_NOT;
	walk->most = 1;
	walk->goes_on = attempts > 1;
	if (denied_has(&dial->picked.endpoint) && turn_to_vip(walk))
		return;
	if (!walk->goes_on)
		return;
	know_port(dial);
	walk->goes_on = !dial->one_attempt;
	if (!walk->goes_on)
		return;
	walk->most = dial->endpoint_count < attempts ? dial->endpoint_count : attempts;
	walk->vip_follows =
		shim.config.fallback == FALLBACK_VIP && pick_may_leave(&dial->state, &dial->picked);
	if (dial->fresh == FRESH_NOT)
		walk->patience.cookie = peer_cookie(dial->fd);
	if (walk->most + walk->vip_follows > 1 && (watchdog_is_there() || may_wait(dial)))
		patience_bound(&walk->patience);
}

static void remember_peer(const struct dial *dial)
{
	const struct picked *picked = &dial->picked;
	struct peer peer = {
		.vip = picked->vip,
		.vip_port = picked->vip_port,
		.endpoint = picked->endpoint.address,
		.endpoint_port = picked->endpoint.port,
		.fd = dial->fd,
	};

	peer_cache_put(&peer);
}

/* @error: EINPROGRESS or EINTR. After EINTR the socket is one that waits. */
static void remember_pending(const struct walk *walk, int error)
{
	const struct dial *dial = walk->dial;
	uint64_t cookie = walk->patience.cookie ? walk->patience.cookie : peer_cookie(dial->fd);
	bool follows = error == EINPROGRESS && walk->goes_on && walk->most > 1;
	struct way_on way;

	if (!cookie)
		return;
	if (follows) {
		way.limit_ms = patience_limit_ms();
		way.tries = (uint8_t)walk->tries;
		way.most = (uint8_t)walk->most;
		way.vip_follows = walk->vip_follows;
		way.at_vip = false;
		for (unsigned i = 0; i < walk->tries; i++)
			way.tried[i] = walk->tried[i];
	}
	pending_add(dial, cookie, follows ? &way : NULL);
}

/* What became of the call. Keeps errno, which tells that. */
static void conclude(const struct walk *walk, int rc)
{
	KEEP_ERRNO();
	const struct dial *dial = walk->dial;
	bool begun = rc == 0 || is_under_way(errno);

	if (rc < 0 && errno == EINPROGRESS && dial->fresh == FRESH_TCP && !peek_u32(&flags_change))
		poke_u32(&flags_change, 1);
	if (begun && walk->at_vip) {
		pick_left(&dial->state, &dial->picked);
		/* What a former connection of this socket comes to, the next one does not tell. */
		if (pending_any())
			pending_forget(peer_cookie(dial->fd));
	} else if (begun) {
		if (rc == 0)
			report_success(dial);
		/* Nothing may send it elsewhere: TCP_FASTOPEN_CONNECT takes data before it dials. */
		if (rc == 0 && dial->fresh == FRESH_NOT && pending_any())
			pending_forget(peer_cookie(dial->fd));
		remember_peer(dial);
		if (rc < 0)
			remember_pending(walk, kept_errno);
	} else if (walk->tries) {
		pick_gave_up(&dial->state);
	}
}

int failover_connect(struct dial *dial)
{
	struct table_endpoint tried[PICK_TRIED];
	struct walk walk = {.dial = dial, .tried = tried, .entry_errno = errno};
	int rc;

	plan(&walk);
	do {
		rc = attempt(&walk);
	} while (rc < 0 && leads_on(&walk));
	patience_restore(&walk.patience);
	conclude(&walk, rc);
	return rc;
}

bool failover_may_go_on(const struct dial *dial, const struct way_on *way)
{
	const struct picked *picked = &dial->picked;
	struct found_port found;
	enum pick_result result;

	if (way->at_vip)
		return false;
	result = dial->view ? pick_find(dial->view, &picked->vip, picked->vip_port, IPPROTO_TCP, &found)
			    : PICK_NO_TABLE;
	if (result == PICK_ENDPOINT && (found.port.flags & TABLE_PORT_ONE_ATTEMPT))
		return false;
	if (way->vip_follows && pick_may_leave(&dial->state, picked))
		return true;
	return result == PICK_ENDPOINT && way->tries + 1 < way->most &&
	       pick_finds_untried(&found, &picked->endpoint, way->tried, way->tries);
}

int failover_go_on(struct dial *dial, struct way_on *way, const struct way_end *end)
{
	struct walk walk = {
		.dial = dial,
		.patience = {.fd = dial->fd,
			     .cookie = end->cookie,
			     .ticket = fresh_ticket(dial->fd),
			     .limit_ms = way->limit_ms,
			     .was_ended = end->was_overdue},
		.tried = way->tried,
		.tries = way->tries,
		.most = way->most,
		.goes_on = true,
		.vip_follows = way->vip_follows,
		.knows = true,
		.reported = end->was_reported,
	};
	int rc = -1;

	/* Whatever the network said of a packet that was sent: another endpoint may do better. */
	errno = cause_of(end->error) == CAUSE_OTHER ? EHOSTUNREACH : end->error;
	/* Once more right before the call: another thread may close the number at any time, and the moment
	 * in between is what nothing can take away. */
	while (rc < 0 && leads_on(&walk) && patience_has_its_socket(&walk.patience))
		rc = attempt(&walk);
	way->tries = (uint8_t)walk.tries;
	way->at_vip = walk.at_vip;
	if (rc < 0 && !is_under_way(errno)) {
		pick_gave_up(&dial->state);
	} else if (walk.at_vip) {
		pick_left(&dial->state, &dial->picked);
	} else {
		remember_peer(dial);
	}
	return rc;
}
