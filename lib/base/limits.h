/* How much of a kind of thing the stages take in; docs/limits.md has the table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_LIMITS_H
#define K8SLB_BASE_LIMITS_H

/*
 * Whoever may write objects, or answer in the API server's place, must not take the memory or the
 * processor of the program that we are a guest in. Each limit is well above what Kubernetes
 * makes; what exceeds it is left out, and named once in the log, and the rest goes on.
 */

/*
 * Endpoints of all ports of one Service together, twins counted: four for each one in its slices,
 * and this many in any case. A port beyond it is kube-proxy's. A slice may have 20 000 ports and
 * 1 000 endpoints (discovery/validation), which is 20 million here.
 */
#define LIMIT_SERVICE_ENDPOINTS	  8192u
#define LIMIT_ENDPOINTS_PER_ENTRY 4u

/* Of the whole table. A Service for which there is no room left is kube-proxy's. Together they
 * keep a snapshot below TABLE_ARENA_MAX. Kubernetes is made for 150 000 pods and 10 000 Services.
 */
#define LIMIT_TABLE_ENDPOINTS (1024u * 1024)
#define LIMIT_TABLE_PORTS     (256u * 1024)

#endif
