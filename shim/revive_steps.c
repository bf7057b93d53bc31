// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "revive.h"

enum revive_step revive_step_of(const struct tcp_outcome *outcome, bool overdue)
{
	switch (outcome->state) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return overdue ? REVIVE_OVERDUE : REVIVE_WAIT;
	case TCP_CLOSE:
		if (outcome->segs_out == 0)
			return REVIVE_VOID;
		return outcome->bytes_acked ? REVIVE_CONNECTED : REVIVE_FAILED;
	case TCP_LISTEN:
		return REVIVE_VOID;
	default:
		return REVIVE_CONNECTED;
	}
}

enum revive_said revive_said_by(int rc, int error)
{
	if (rc == 0)
		return REVIVE_SAID_UNKNOWN;
	switch (error) {
	case EALREADY:
	case EINPROGRESS:
		return REVIVE_SAID_WAITS;
	case EISCONN:
		return REVIVE_SAID_THERE;
	case EBADF:
	case ENOTSOCK:
		return REVIVE_SAID_GONE;
	case ECONNABORTED: /* of __inet_stream_connect(), where there is no error to tell */
		return REVIVE_SAID_TAKEN;
	case EACCES:
	case EPERM:
		return REVIVE_SAID_DENIED;
	case EAFNOSUPPORT:
	case EINVAL:
	case EFAULT:
	case EINTR:
		return REVIVE_SAID_UNKNOWN;
	default:
		return REVIVE_SAID_FAILURE;
	}
}
