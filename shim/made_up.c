// SPDX-License-Identifier: Apache-2.0
#include "made_up.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>

#include "base/tcp_socket.h"
#include "libc.h"

/* What connect() says of one. */
enum said {
	SAID_CONNECTED, /* 0, or EISCONN of a call that the kernel began anew after a handler */
	SAID_RESET,
	SAID_UNDER_WAY,
	SAID_OTHER,
	SAIDS,
};

/* What is to be done then. */
enum remedy {
	REMEDY_NONE,
	REMEDY_TIMED_OUT,  /* that is ETIMEDOUT: another pod may follow */
	REMEDY_DIAL_AGAIN, /* it came about in that very moment, and nobody has seen it: once more,
			      to the pod that has answered */
	REMEDY_GO_ON,	   /* the program is told that it goes on: so it has to */
};

static const enum remedy remedies[WATCHDOG_ENDS][SAIDS] = {
	/* clang-format off */
	[WATCHDOG_ABORTED] = {
		[SAID_CONNECTED] = REMEDY_DIAL_AGAIN,
		[SAID_RESET] = REMEDY_TIMED_OUT,
		[SAID_UNDER_WAY] = REMEDY_GO_ON,
	},
	[WATCHDOG_CLOSED] = {
		[SAID_RESET] = REMEDY_TIMED_OUT,
		[SAID_UNDER_WAY] = REMEDY_GO_ON,
	},
	/* clang-format on */
};

static enum said said_by(int rc)
{
	if (rc == 0)
		return SAID_CONNECTED;
	switch (errno) {
	case EISCONN:
		return SAID_CONNECTED;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return SAID_RESET;
	case EINTR:
	case EINPROGRESS:
		return SAID_UNDER_WAY;
	default:
		return SAID_OTHER;
	}
}

/*
 * The number is the try's socket, and that can dial. The watchdog has made it as new; where a handler
 * made the kernel begin the call anew it may be connected since, and what is left of the watchdog's
 * shutdown cannot be told: then it is done here. One that is connecting goes on by itself.
 */
static bool is_as_new(const struct patience *patience)
{
	uint8_t state = tcp_state_of(patience->fd);

	if (!patience_has_its_socket(patience) || !state || state == TCP_SYN_SENT)
		return false;
	if (state == TCP_CLOSE)
		return true;
	if (!patience->cookie)
		return false;
	tcp_make_as_new(patience->fd);
	return true;
}

/* Begins to connect and does not wait. Returns as connect(), with @error when it is under way. */
static int go_on(const struct patience *patience, const struct sockaddr *address, socklen_t length,
		 int error)
{
	const struct timeval moment = {.tv_usec = 1};
	struct timeval own;
	socklen_t size = sizeof(own);
	int rc = -1;

	if (libc_getsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &own, &size) == 0 &&
	    libc_setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof(moment)) == 0) {
		rc = libc_connect(patience->fd, address, length);
		if (rc < 0 && errno != EINPROGRESS && errno != EINTR)
			error = errno;
		libc_setsockopt(patience->fd, SOL_SOCKET, SO_SNDTIMEO, &own, sizeof(own));
	}
	errno = error;
	return rc;
}

int made_up_connect(struct patience *patience, const struct sockaddr *address, socklen_t length,
		    enum watchdog_end end, int rc)
{
	int error = errno;

	switch (remedies[end][said_by(rc)]) {
	case REMEDY_NONE:
		break;
	case REMEDY_TIMED_OUT:
		error = ETIMEDOUT;
		break;
	case REMEDY_DIAL_AGAIN:
		patience->was_ended = false;
		if (is_as_new(patience))
			return libc_connect(patience->fd, address, length);
		break;
	case REMEDY_GO_ON:
		if (is_as_new(patience))
			return go_on(patience, address, length, error);
		break;
	}
	errno = error;
	return rc;
}
