/* Trying whether pods can be reached from here. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_DIAL_H
#define K8SLB_CLI_DIAL_H

#include "base/address.h"

struct dial_target {
	struct ip_address address;
	uint16_t port;
};

/* Most that are tried at once. */
#define DIAL_TARGETS 4u

/*
 * Connects to all of up to DIAL_TARGETS at once, and ends the connections at once. Returns 0 when
 * one took the connection or refused it, which is an answer too; else -errno of the last that
 * failed, -ETIMEDOUT when none has answered within @timeout_ms.
 */
int dial_any(const struct dial_target *targets, unsigned count, int timeout_ms);

#endif
