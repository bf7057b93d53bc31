/* Host name to addresses out of the table, for all calls that look up names. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_RESOLVE_H
#define K8SLB_SHIM_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "cluster_domain.h"
#include "base/service_ref.h"

/* More addresses than anybody tries; the answer stays on the stack. */
#define RESOLVE_ADDRESSES 64u
#define RESOLVE_HOST_SIZE (3 * DNS_LABEL_SIZE + sizeof("svc.") + CLUSTER_DOMAIN_SIZE)

enum resolve_result {
	RESOLVE_LEAVE, /* libc is to answer: not ours, or any doubt */
	RESOLVE_FOUND,
	RESOLVE_NO_DATA, /* the Service is known but has no address of the family */
};

struct resolve_query {
	const char *host;
	int family;	  /* AF_UNSPEC, AF_INET or AF_INET6 */
	bool addr_config; /* only families that this host has (AI_ADDRCONFIG) */
	bool v4_mapped;	  /* IPv4 may answer AF_INET6 (AI_V4MAPPED) */
	const char *port; /* number or name of a TCP port; NULL: unknown */
};

struct resolved_address {
	struct ip_address ip;
	uint16_t port; /* 0: the caller's own */
};

struct resolved {
	unsigned count;
	struct resolved_address addresses[RESOLVE_ADDRESSES]; /* of one family or of both */
	char host[RESOLVE_HOST_SIZE];			      /* [POD.]NAME.NAMESPACE.svc.DOMAIN */
};

/*
 * With K8SLB_RESOLVE=vip the Service's VIPs, the primary one first: every later connect() is then
 * balanced anew, and what bypasses our connect() is served by kube-proxy. With `endpoint`, and for
 * a Service without a VIP, the next endpoint and the others after it; a Service port is turned into
 * the endpoint's own. An endpoint's address without a known port is given only for headless
 * Services, where DNS does the same. A pod of a headless Service is found by its own name.
 * Starts the engine and waits for the first table like any first call. Allocates nothing, keeps
 * errno. *@ret_resolved is written on RESOLVE_FOUND.
 */
enum resolve_result resolve(const struct resolve_query *query, struct resolved *ret_resolved);

#endif
