/* Gathers the endpoints of one Service port from all its slices, each once. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SELECT_COLLECT_H
#define K8SLB_SELECT_COLLECT_H

#include "select/select.h"

/*
 * Fills @port->endpoints (name, protocol and family of @port are set) with used = false.
 * A slice counts when it is of the family and not FQDN; each port of it when name and protocol
 * match and it has a number (kube-proxy, endpointslicecache.go). An address and port found twice,
 * as while the controller moves an endpoint between slices, is kept once: one that does not
 * terminate first, in one slice the last of them (as kube-proxy); between slices then the one on
 * our node, the ready one, the serving one. Equal ports of a slice count once. Of "addresses" each
 * address counts once, whatever the slice's ports.
 * Returns 0, -ENOMEM, or -E2BIG when there are more than @room, twins counted.
 */
int collect_endpoints(const struct service_state *state, const struct service *service,
		      const char *node, size_t room, struct selected_port *port);

#endif
