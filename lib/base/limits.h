/* How much of a kind of thing the stages take in; docs/limits.md has the table. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_LIMITS_H
#define K8SLB_BASE_LIMITS_H

/*
 * Whoever may write objects, or answer in the API server's place, must not take the memory or the
 * processor of the program that we are a guest in. Each limit is well above what Kubernetes
 * makes; what exceeds it is left out, and named once in the log, and the rest goes on.
 */

/* ---- One object (lib/kube) ---- */

/* An item of a list or an event, bytes of JSON. etcd refuses objects over 1.5 MiB; JSON may be
 * longer than what etcd stores. */
#define LIMIT_OBJECT_BYTES (4u * 1024 * 1024)
/* Numbers, strings, objects and the like in it: as a tree each takes 64 bytes, where two bytes of
 * JSON are enough for one. The 1 000 endpoints that a slice may have are about 25 000. */
#define LIMIT_OBJECT_VALUES (512u * 1024)
/* Ports of a Service, ports of a slice. */
#define LIMIT_PORTS 256u
/* Zones, and Nodes, that an endpoint is hinted for (discovery/validation: 8). */
#define LIMIT_HINTS 8u
/* hostname and namespace are DNS labels, zone the value of a label; bytes. */
#define LIMIT_LABEL_TEXT 63u
/* Names of Nodes and pods are DNS subdomains; bytes. */
#define LIMIT_NAME_TEXT 253u
/* Slices of a Service; subsets of an Endpoints. The controller fills them with 100 each. */
#define LIMIT_SLICES 2048u

/* ---- All objects of a list and its watch: Services or slices of one namespace or of the cluster
 * (lib/sync) ---- */

#define LIMIT_OBJECTS	(64u * 1024)
#define LIMIT_ENDPOINTS (512u * 1024)

/* ---- Requests (lib/sync) ---- */

/* One list with all its pages: 100 000 endpoints are about 30 MiB. */
#define LIMIT_LIST_BYTES (256u * 1024 * 1024)
/* One watch. One that reaches these is ended and followed by another, LIMIT_WATCH_MS after it
 * began at the earliest. */
#define LIMIT_WATCH_BYTES  (256u * 1024 * 1024)
#define LIMIT_WATCH_EVENTS (256u * 1024)
#define LIMIT_WATCH_MS	   30000u

/* A dump: 100 000 endpoints as pretty-printed JSON are about 100 MiB. */
#define LIMIT_FILE_BYTES (1024u * 1024 * 1024)

/* ---- One Service's selection, and the table (lib/select, lib/publish) ---- */

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

/* Of one namespace in a table of all: who may write objects in one must not fill it for all others.
 */
#define LIMIT_NAMESPACE_ENDPOINTS (LIMIT_TABLE_ENDPOINTS / 4)
#define LIMIT_NAMESPACE_PORTS	  (LIMIT_TABLE_PORTS / 4)

#endif
