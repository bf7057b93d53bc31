/* What is left to do after the watchdog has ended a try: nobody may notice that it did. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_MADE_UP_H
#define K8SLB_SHIM_MADE_UP_H

#include <sys/socket.h>

#include "engine/watchdog.h"
#include "patience.h"

/*
 * libc's connect() to @address has returned @rc and errno, and the watchdog did @end to its socket.
 * Returns what the call is to return, with errno; ETIMEDOUT where the try ran out. Where another
 * socket has the number by now, that is left alone.
 */
int made_up_connect(struct patience *patience, const struct sockaddr *address, socklen_t length,
		    enum watchdog_end end, int rc);

#endif
