/* Session affinity ClientIP: the connections of one client to a Service port stay on one endpoint.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PICK_AFFINITY_H
#define K8SLB_PICK_AFFINITY_H

#include <stdbool.h>
#include <stdint.h>

#include "pick/avoid.h"
#include "table/reader.h"

/*
 * kube-proxy keeps, for each Service port, which endpoint a source address last went to, refreshes
 * that with every new connection and forgets it after the Service's timeout or when the endpoint is
 * no longer in use (nftables/proxier.go). Here all processes of a Pod are one client.
 *
 * Two layers, so that nothing has to be shared for the common case:
 *   a new client takes the endpoint with the highest hash of (client, endpoint) (rendezvous
 *   hashing, Thaler and Ravishankar 1998): all its processes agree without a word;
 *   what was taken is noted in slots that the processes of a user share (memory.h), so that an
 *   endpoint that is added later moves nobody before the timeout.
 */
#define AFFINITY_SLOTS 512u /* a power of two */

/* Lossy and unordered: any value in a slot is harmless, because an endpoint that is not among the
 * usable ones is never taken. */
struct affinity_slot {
	uint64_t port_key; /* 0: free */
	uint64_t endpoint_key;
	uint64_t expires_ms; /* CLOCK_MONOTONIC, one clock for all processes */
	uint64_t served_until_ms;
};

/*
 * The Service's own address, which kube-proxy serves, is the last endpoint of every list; but a
 * client that changes between a pod of ours and one of kube-proxy's has no affinity. So a pod that
 * has served a client keeps it from the VIP, and a client that went to the VIP stays there. Both
 * for the port's affinity time, which each connection begins anew (as kube-proxy's own does).
 * @slots and
 * @key: as for affinity_choose(). All four are lock-free and async-signal-safe.
 */

/* An endpoint has served the client. */
void affinity_served(struct affinity_slot *slots, uint64_t key, uint64_t now_ms,
		     uint32_t timeout_s);
bool affinity_has_served(const struct affinity_slot *slots, uint64_t key, uint64_t now_ms,
			 uint32_t timeout_s);

/* The client went to the VIP. */
void affinity_leave(struct affinity_slot *slots, uint64_t key, uint64_t now_ms, uint32_t timeout_s);
/* It did, and stays there. Until affinity_leave() is called again that ends. */
bool affinity_has_left(const struct affinity_slot *slots, uint64_t key, uint64_t now_ms,
		       uint32_t timeout_s);

/*
 * Chooses the endpoint of @port (which has at least one), by its index, for @client, any stable
 * number of the client. @slots: AFFINITY_SLOTS of them; @key: of the port (cursor.h). One that is
 * to be avoided is passed over for the next best, and the client stays there: coming back would
 * move it once more. A client that has left for the VIP is noted nowhere else by this. Lock-free,
 * async-signal-safe; what it read is right only if table_read_valid() says so afterwards.
 */
uint32_t affinity_choose(struct affinity_slot *slots, uint64_t client,
			 const struct table_read *read, uint64_t key, const struct table_port *port,
			 const struct avoidance *avoid);

/*
 * This process's number as a client: that of its host name. All processes of the Pod are one
 * client, and a Pod's name is unique in its namespace; on the host network it is the node's, which
 * is right there too: those Pods share an address.
 */
uint64_t affinity_client(void);

#endif
