/* On which node and in which zone do we run? From settings, else from what the slices give away. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_LOCATION_H
#define K8SLB_PIPELINE_LOCATION_H

#include <stdbool.h>

#include "select/select.h"

/* A Pod with more addresses than this is looked at in part. */
#define LOCATION_ADDRESSES 32

struct location {
	struct select_location where; /* to select with; points into this struct */
	char node[OBJECT_NAME_SIZE];
	char zone[DNS_LABEL_SIZE * 4];
	bool node_given;
	bool zone_given;
	bool ambiguous; /* two nodes fit, so none is taken */
	struct ip_address own[LOCATION_ADDRESSES];
	unsigned own_count;
	char hostname[DNS_LABEL_SIZE * 4];
};

/*
 * Takes the settings ("" where there are none) and asks the kernel for our addresses and name. The
 * struct must not move. Without K8SLB_ZONE the zone may also stand in /etc/podinfo/labels, the
 * usual place of a downward API volume, as topology.kubernetes.io/zone="..." (KEP-4742).
 */
void location_init(struct location *location, const struct select_location *given);

/*
 * Looks at the endpoints of one Service: one with an address of ours tells our node and zone; one
 * on a node of our own host name does (a Pod on the host network has its node's); any on our node
 * tells the zone. Needs no right to read Nodes. Returns true when @location->where changed: all
 * Services must be selected again then.
 */
bool location_observe(struct location *location, const struct service_state *state);

#endif
