/* Marks which of a port's endpoints are used: kube-proxy's CategorizeEndpoints, clause by clause.
 */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SELECT_CATEGORIZE_H
#define K8SLB_SELECT_CATEGORIZE_H

#include "select/select.h"

/* Sets used and reason of each endpoint, and used_count, topology and usable_elsewhere of @port.
 * @port->local_only is set before. */
void categorize_endpoints(struct selected_port *port, const struct select_location *location);

/* The same for a headless Service, which no proxy serves: what DNS answers, that is all ready ones,
 * whatever their hints (CoreDNS, plugin/kubernetes/object/endpoint.go). */
void categorize_headless(struct selected_port *port);

#endif
