/* On which node and in which zone do we run? From settings, else from what proves it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_LOCATION_H
#define K8SLB_PIPELINE_LOCATION_H

#include <stdbool.h>

#include "select/select.h"

/* A Pod with more addresses than this is looked at in part. */
#define LOCATION_ADDRESSES 32
/* Names of a pod and its namespace, an address and some words. */
#define LOCATION_EVIDENCE_SIZE 512

struct location {
	struct select_location where; /* to select with; points into this struct */
	char node[OBJECT_NAME_SIZE];
	char zone[DNS_LABEL_SIZE * 4];
	/* How each is known, for people; "" where it is not. */
	char node_evidence[LOCATION_EVIDENCE_SIZE];
	char zone_evidence[LOCATION_EVIDENCE_SIZE];
	bool node_given;
	bool zone_given;
	bool ambiguous; /* two nodes are proved, so none is taken */
	struct ip_address own[LOCATION_ADDRESSES];
	unsigned own_count;
	char hostname[DNS_LABEL_SIZE * 4];
	uint64_t pod_uid_hash; /* as struct slice_endpoint's; 0: unknown */
	bool host_network;     /* this Pod is on its host's network */
};

/*
 * Takes the settings ("" where there are none) and finds out who we are: the kernel's addresses and
 * host name; our Pod's uid, from the path that the kubelet mounts /etc/hosts from
 * (/var/lib/kubelet/pods/UID/etc-hosts in /proc/self/mountinfo); whether the Pod is on the host's
 * network, which the kubelet writes into the first line of /etc/hosts (kubelet_pods.go,
 * managedHostsHeaderWithHostNetwork). The struct must not move. Without K8SLB_ZONE the zone may
 * also stand in /etc/podinfo/labels, the usual place of a downward API volume, as
 * topology.kubernetes.io/zone="..." (KEP-4742).
 */
void location_init(struct location *location, const struct select_location *given);

/*
 * Looks at the endpoints of one Service. Our node is that of an endpoint which does not terminate,
 * has an address of ours and is our Pod, by its uid or by the name that the kubelet makes a host
 * name of: an address alone may be a former pod's, a name alone another's. A Pod on the host's
 * network has its node's host name (unless --hostname-override says otherwise), which counts where
 * an endpoint shows a Node of that name. Any endpoint on our node tells the zone. Needs no right to
 * read Nodes. Returns true when @location->where changed: all Services must be selected again then.
 */
bool location_observe(struct location *location, const struct service_state *state);

#endif
