// SPDX-License-Identifier: Apache-2.0
#include "select/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned tcp_port_count(const struct endpoint_slice *slice)
{
	unsigned count = 0;

	for (unsigned i = 0; i < slice->port_count; i++)
		count += slice->ports[i].protocol == PROTOCOL_TCP && slice->ports[i].port != 0;
	return count;
}

/* The port of the slice that serves @wanted, or NULL. */
static const struct slice_port *matching_port(const struct endpoint_slice *slice,
					      const struct service *service,
					      const struct selected_port *wanted)
{
	for (unsigned i = 0; i < slice->port_count; i++) {
		const struct slice_port *port = &slice->ports[i];

		if (port->protocol != wanted->protocol || port->port == 0)
			continue;
		if (strcmp(port->name, wanted->name) == 0)
			return port;
		/* A made-up Service knows a number and perhaps no name: a slice's only port, or the
		 * one with that number, must be meant. */
		if (service->made_up && !wanted->name[0] &&
		    (tcp_port_count(slice) == 1 || port->port == wanted->port))
			return port;
	}
	return NULL;
}

static bool slice_counts(const struct endpoint_slice *slice, const struct service *service,
			 enum ip_family family)
{
	if (slice->fqdn || slice->family != family)
		return false;
	/* kube-proxy does not see slices of headless Services; for names they are all there is. */
	return !slice->headless || service->headless;
}

/*
 * Which of two endpoints with one address and port is kept; lowest is best. kube-proxy 1.37
 * (endpointslicecache.go, addEndpoints) keeps the one that does not terminate, since the address of
 * a pod that goes may already be another's. Among equals its answer depends on the order of a map;
 * ours must not: local, then ready, then serving.
 */
static int rank(const struct slice_endpoint *endpoint, const char *node)
{
	bool local = node[0] && strcmp(endpoint->node_name, node) == 0;

	return (endpoint->terminating ? 8 : 0) + (local ? 0 : 4) + (endpoint->ready ? 0 : 2) +
	       (endpoint->serving ? 0 : 1);
}

struct by_address {
	struct selected_endpoint endpoint;
	int rank;
};

static int compare(const void *a, const void *b)
{
	const struct by_address *left = a;
	const struct by_address *right = b;
	int order = memcmp(left->endpoint.address.bytes, right->endpoint.address.bytes,
			   sizeof(left->endpoint.address.bytes));

	if (order == 0)
		order = (int)left->endpoint.port - (int)right->endpoint.port;
	if (order == 0)
		order = left->rank - right->rank;
	/* Twins of one rank: any stable choice will do, for the same answer in any order of events. */
	if (order == 0)
		order = strcmp(left->endpoint.endpoint->target_name,
			       right->endpoint.endpoint->target_name);
	return order;
}

static unsigned count_candidates(const struct service_state *state, const struct service *service,
				 enum ip_family family)
{
	unsigned count = 0;

	for (unsigned s = 0; s < state->slice_count; s++) {
		if (slice_counts(state->slices[s], service, family))
			count += state->slices[s]->endpoint_count;
	}
	return count;
}

int collect_endpoints(const struct service_state *state, const struct service *service,
		      const char *node, struct selected_port *port)
{
	unsigned limit = count_candidates(state, service, port->family);
	/* A headless Service may have no ports at all; its addresses count then. */
	bool any_port = service->headless && !service->made_up && service->port_count == 0;
	struct by_address *found;
	unsigned count = 0;

	if (limit == 0)
		return 0;
	found = malloc(limit * sizeof(*found));
	port->endpoints = malloc(limit * sizeof(port->endpoints[0]));
	if (!found || !port->endpoints) {
		free(found);
		free(port->endpoints);
		port->endpoints = NULL;
		return -ENOMEM;
	}
	for (unsigned s = 0; s < state->slice_count; s++) {
		const struct endpoint_slice *slice = state->slices[s];
		const struct slice_port *slice_port;

		if (!slice_counts(slice, service, port->family))
			continue;
		slice_port = matching_port(slice, service, port);
		if (!slice_port && !any_port)
			continue;
		for (unsigned e = 0; e < slice->endpoint_count; e++) {
			found[count].endpoint = (struct selected_endpoint){
				.address = slice->endpoints[e].address,
				.port = slice_port ? slice_port->port : 0,
				.endpoint = &slice->endpoints[e],
			};
			found[count].rank = rank(&slice->endpoints[e], node);
			count++;
		}
	}
	qsort(found, count, sizeof(*found), compare);
	for (unsigned i = 0; i < count; i++) {
		const struct selected_endpoint *next = &found[i].endpoint;

		if (port->endpoint_count) {
			const struct selected_endpoint *last =
				&port->endpoints[port->endpoint_count - 1];

			if (ip_equal(&last->address, &next->address) && last->port == next->port)
				continue;
		}
		port->endpoints[port->endpoint_count++] = *next;
	}
	free(found);
	return 0;
}
