/* What every call that connects a socket asks first: whether it is to get an endpoint. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_CONNECT_H
#define K8SLB_SHIM_CONNECT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "failover.h"

/*
 * True: @dial says where to, for failover_connect(), but for @dial->send. False: libc gets the
 * caller's own arguments. @addr may be any pointer that libc's call may get. @waits: the call does
 * where the socket does. The socket is not fresh any more. Async-signal-safe, keeps errno.
 */
bool connect_aims(int fd, const struct sockaddr *addr, socklen_t len, bool waits,
		  struct dial *dial);

#endif
