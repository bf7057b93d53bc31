// SPDX-License-Identifier: Apache-2.0
#include "failover.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/keep_errno.h"
#include "libc.h"
#include "peer_cache.h"
#include "pending.h"
#include "state.h"
#include "tcp_outcome.h"

/*
 * How long the tries of one call may take, and what the program itself has set.
 *
 * A try is bounded by TCP_USER_TIMEOUT: the kernel then ends the connect() by itself, with
 * ETIMEDOUT, and the socket can connect again at once. SO_SNDTIMEO would leave the try going on,
 * and with a finite one the kernel answers EINTR even to signals of SA_RESTART handlers
 * (sock_intr_errno() in include/net/sock.h). It looks at the first retransmission, after 1 s.
 */
struct patience {
	int fd;
	uint64_t cookie; /* of the socket that all this is about */
	uint64_t began_ms;
	uint32_t user_timeout;	     /* the program's own, 0: none */
	bool user_timeout_changed;   /* ours is set */
	struct timeval send_timeout; /* the program's own */
	bool send_timeout_changed;
};

static void bound_tries(struct patience *patience)
{
	uint32_t ours = shim.config.connect_timeout_ms;
	socklen_t size = sizeof(uint32_t);

	if (getsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience->user_timeout,
		       &size) < 0)
		return;
	if (!patience->user_timeout || patience->user_timeout > ours)
		patience->user_timeout_changed =
			setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ours, size) == 0;
}

/* A thread that waits keeps its socket while another one closes the descriptor; the number may be
 * anything's by then. */
static bool has_its_socket(const struct patience *patience)
{
	return peer_cookie(patience->fd) == patience->cookie;
}

static void unbound_tries(struct patience *patience)
{
	if (patience->user_timeout_changed)
		setsockopt(patience->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience->user_timeout,
			   sizeof(uint32_t));
	patience->user_timeout_changed = false;
}

/* A time-out would be the program's own, and says little about the endpoint. */
static bool is_programs_limit(const struct patience *patience)
{
	return patience->user_timeout && !patience->user_timeout_changed;
}

/*
 * The program's SO_SNDTIMEO counts for all tries together: the next one has what is left. When
 * that is nothing it has a moment, so that it is the kernel that says EINPROGRESS, and truly.
 */
static void keep_deadline(struct patience *patience)
{
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

/* Keeps errno. */
static void restore_options(struct patience *patience)
{
	KEEP_ERRNO();
	if (!(patience->user_timeout_changed || patience->send_timeout_changed) ||
	    !has_its_socket(patience))
		return;
	unbound_tries(patience);
	if (patience->send_timeout_changed)
		setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &patience->send_timeout,
			   sizeof(patience->send_timeout));
}

/* Another endpoint may do better. */
static bool is_worth_another(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == ETIMEDOUT;
}

/* The connection goes on in the kernel, and the program waits for its end (connect(2)). */
static bool is_under_way(int error)
{
	return error == EINPROGRESS || error == EINTR;
}

static void report_success(const struct dial *dial)
{
	struct tcp_outcome outcome;

	/* TCP_FASTOPEN_CONNECT with a cookie: connect() succeeds before anything is sent. */
	if (pick_is_quiet(&dial->state) ||
	    (tcp_outcome_read(dial->fd, &outcome) && outcome.state == TCP_SYN_SENT))
		return;
	pick_succeeded(&dial->state, &dial->picked.endpoint);
}

/* Returns true when the failure is stale. */
static bool report_failure(const struct dial *dial, int error, bool programs_limit)
{
	if (pending_any() && pending_settle(&dial->state, peer_cookie(dial->fd), false))
		return true;
	if (dial->failed_before)
		return true;
	if (error != ENETUNREACH && !(error == ETIMEDOUT && programs_limit))
		pick_failed(&dial->state, &dial->picked.endpoint);
	return false;
}

/*
 * One connect(). Reports the endpoint when the failure is the endpoint's; ENETUNREACH is this
 * host's. Result and errno are libc's.
 * *@ret_stale: after a non-blocking connect() that failed, the kernel answers the next one with
 * that failure, whatever the address. Then it is the former endpoint that is reported, if it is
 * remembered.
 */
static int attempt(const struct dial *dial, bool programs_limit, bool *ret_stale)
{
	int rc = libc_connect(dial->fd, (const struct sockaddr *)&dial->address, dial->length);
	KEEP_ERRNO();

	*ret_stale = false;
	if (rc == 0)
		report_success(dial);
	else if (is_worth_another(errno))
		*ret_stale = report_failure(dial, errno, programs_limit);
	return rc;
}

/* Turns to another endpoint; leaves *@dial as it is when there is none. */
static bool take_other(struct dial *dial, const struct table_endpoint *tried, unsigned tried_count)
{
	struct picked other;

	if (pick_other(dial->view, &dial->state, &dial->picked.vip, dial->picked.vip_port,
		       IPPROTO_TCP, tried, tried_count, &other) != PICK_ENDPOINT ||
	    sockaddr_rewrite(&dial->address, &other.endpoint.address, other.endpoint.port) < 0)
		return false;
	dial->picked = other;
	return true;
}

/*
 * At most @most endpoints. Linux lets a socket connect again after a connect() that failed. Where
 * another kernel does not, the next try says so with an errno that no first connect() has: then
 * the program gets the one before.
 */
static int try_each(struct dial *dial, unsigned most)
{
	struct table_endpoint tried[PICK_TRIED];
	struct patience patience = {
		.fd = dial->fd,
		.cookie = dial->cookie,
		.began_ms = clock_coarse_ms(),
	};
	int entry_errno = errno;
	int last_error = 0;
	unsigned tries = 0;
	bool stale;
	int rc;

	bound_tries(&patience);
	for (;;) {
		errno = entry_errno;
		rc = attempt(dial, is_programs_limit(&patience), &stale);
		if (rc == 0 || is_under_way(errno))
			break;
		if (!is_worth_another(errno)) {
			errno = last_error && errno != EALREADY && errno != EISCONN ? last_error
										    : errno;
			break;
		}
		if (stale && !last_error) {
			last_error = errno;
			dial->failed_before = false;
			continue; /* the picked endpoint was not tried at all */
		}
		last_error = errno;
		tried[tries++] = dial->picked.endpoint;
		if (tries == most)
			break;
		if (!has_its_socket(&patience)) {
			errno = last_error;
			break;
		}
		if (!take_other(dial, tried, tries)) {
			/* Gone while it was tried for less time than the program gives it. */
			if (last_error != ETIMEDOUT || !patience.user_timeout_changed)
				break;
			most = tries + 1;
		}
		if (tries + 1 == most)
			unbound_tries(&patience);
		keep_deadline(&patience);
	}
	restore_options(&patience);
	return rc;
}

static bool is_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_NONBLOCK);
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

/* How many endpoints this call may try. Keeps errno. */
static unsigned most_tries(const struct dial *dial)
{
	KEEP_ERRNO();
	unsigned attempts = shim.config.attempts < PICK_TRIED ? shim.config.attempts : PICK_TRIED;
	uint32_t endpoints;

	if (attempts == 1 || !is_blocking(dial->fd))
		return 1;
	endpoints = count_endpoints(dial);
	return endpoints < attempts ? endpoints : attempts;
}

static void remember(const struct dial *dial, bool under_way)
{
	const struct picked *picked = &dial->picked;
	struct peer peer = {
		.cookie = dial->cookie ? dial->cookie : peer_cookie(dial->fd),
		.vip = picked->vip,
		.vip_port = picked->vip_port,
		.endpoint = picked->endpoint.address,
		.endpoint_port = picked->endpoint.port,
	};

	if (!peer.cookie)
		return;
	peer_cache_put(&peer);
	if (under_way)
		pending_add(dial->fd, peer.cookie, &picked->endpoint);
}

/* What became of the call. Keeps errno, which tells that. */
static void conclude(const struct dial *dial, int rc)
{
	KEEP_ERRNO();

	if (rc == 0 || is_under_way(errno))
		remember(dial, rc < 0);
	else if (is_worth_another(errno))
		pick_gave_up(&dial->state);
}

int failover_connect(struct dial *dial)
{
	unsigned most = most_tries(dial);
	bool stale;
	int rc;

	dial->cookie = most > 1 ? peer_cookie(dial->fd) : 0;
	rc = most > 1 ? try_each(dial, most) : attempt(dial, false, &stale);
	conclude(dial, rc);
	return rc;
}
