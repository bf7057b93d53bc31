/* Session affinity ClientIP: the connections of one client to a Service port stay on one endpoint.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_AFFINITY_H
#define K8SLB_PICK_AFFINITY_H

#include <stdint.h>

#include "table/reader.h"

/*
 * kube-proxy keeps, for each Service port, which endpoint a source address last went to, refreshes
 * that with every new connection and forgets it after the Service's timeout or when the endpoint is
 * no longer in use (nftables/proxier.go). Here all processes of a Pod are one client.
 *
 * Two layers, so that nothing has to be shared for the common case:
 *   a new client takes the endpoint with the highest hash of (client, endpoint) (rendezvous
 *   hashing, Thaler and Ravishankar 1998): all its processes agree without a word;
 *   what was taken is noted in slots that the processes of a user share (hints.h), so that an
 *   endpoint that is added later moves nobody before the timeout.
 */
#define AFFINITY_SLOTS 512u /* a power of two */

/* Lossy and unordered: any value in a slot is harmless, because an endpoint that is not among the
 * usable ones is never taken. */
struct affinity_slot {
	uint64_t port_key; /* 0: free */
	uint64_t endpoint_key;
	uint64_t expires_ms; /* CLOCK_MONOTONIC, one clock for all processes */
	uint64_t reserved;
};

/*
 * Index of the endpoint of @port (which has at least one) for @client, any stable number of the
 * client. @slots: AFFINITY_SLOTS of them. Lock-free, async-signal-safe; what it read is right only
 * if table_read_valid() says so afterwards.
 */
uint32_t affinity_choose(struct affinity_slot *slots, uint64_t client,
			 const struct table_read *read, const struct ip_address *vip,
			 const struct table_port *port, uint64_t now_ms);

#endif
