/* Which endpoints of a Service a connection may use, and why: kube-proxy's rule, pure. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SELECT_SELECT_H
#define K8SLB_SELECT_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/object.h"
#include "sync/store.h"

/* Why an endpoint is used or not; each is one clause of kube-proxy's pkg/proxy/topology.go. */
enum select_reason {
	SELECT_READY,		    /* used: ready */
	SELECT_READY_SAME_ZONE,	    /* used: ready, hinted for our zone */
	SELECT_READY_SAME_NODE,	    /* used: ready, hinted for our node */
	SELECT_READY_LOCAL,	    /* used: ready, on our node, internalTrafficPolicy Local */
	SELECT_SERVING_TERMINATING, /* used: none is ready, this one still serves */
	SELECT_LOCAL_TERMINATING,   /* used: the same, within our node */
	SELECT_NOT_READY,
	SELECT_TERMINATING, /* terminating, and others are ready or it serves no more */
	SELECT_OTHER_ZONE,
	SELECT_OTHER_NODE,
	SELECT_NOT_LOCAL,
};

enum select_topology {
	SELECT_TOPOLOGY_NONE,
	SELECT_TOPOLOGY_ZONE,
	SELECT_TOPOLOGY_NODE,
};

struct selected_endpoint {
	struct ip_address address;
	uint16_t port; /* 0: the slice names no port (a headless Service without ports) */
	const struct slice_endpoint *endpoint; /* borrowed from the slice */
	bool used;
	enum select_reason reason;
};

/* One port of the Service in one address family. */
struct selected_port {
	char name[DNS_LABEL_SIZE];
	uint16_t port; /* of the Service; where that is not known, the first endpoint's */
	enum protocol protocol;
	enum ip_family family;
	bool addresses; /* of a headless Service: all there are, whatever their ports; @port is 0 */
	bool has_vip;
	struct ip_address vip;
	enum select_topology topology;
	bool local_only;       /* internalTrafficPolicy Local decides */
	bool usable_elsewhere; /* none is usable here, but another node would have one */
	struct selected_endpoint *endpoints; /* all, sorted by address and port, none twice */
	unsigned endpoint_count;
	unsigned used_count;
};

struct selection {
	bool headless;	 /* has no VIP: names answer with endpoints */
	bool name_taken; /* the API has this Service, though nothing of it may be ours */
	uint32_t affinity_timeout_s; /* 0: none */
	bool one_attempt;	     /* no connection to it is failed over */
	struct ip_address vips[2];
	unsigned vip_count;
	struct selected_port *ports;
	unsigned port_count;
	unsigned part;	   /* of the state */
	unsigned left_out; /* ports that are not among them: too many endpoints (base/limits.h) */
	size_t room;	   /* select's own: endpoints that there may still be */
};

/* Where the connecting program runs; "" when not known, which means no topology. Never NULL. */
struct select_location {
	const char *node;
	const char *zone;
};

/*
 * Decides for every port and family of @state. A Service that a proxy must leave alone
 * (ExternalName, label service-proxy-name, unknown) gives no ports, and no VIP. Borrows from
 * @state: the result must not outlive it. Returns 0 or -ENOMEM. Free the result by
 * selection_clear().
 */
int select_endpoints(const struct service_state *state, const struct select_location *location,
		     struct selection *ret_selection);

/* Frees; takes a zeroed struct. */
void selection_clear(struct selection *selection);

/* "ready", "other-zone", ...: stable words. */
const char *select_reason_word(enum select_reason reason);

#endif
