// SPDX-License-Identifier: Apache-2.0
/* What `k8slb explain` finds out beyond the selection itself. */
#include <stdio.h>
#include <string.h>

#include "explain.h"

static bool same_service_port(const struct selected_port *a, const struct selected_port *b)
{
	return a->port == b->port && a->protocol == b->protocol && strcmp(a->name, b->name) == 0;
}

static bool has_family(const struct service *service, enum ip_family family)
{
	for (unsigned i = 0; i < service->family_count; i++) {
		if (service->families[i] == family)
			return true;
	}
	return service->family_count == 0 && family == IP_FAMILY_4;
}

static bool is_told(const struct service *service, const struct selected_port *port,
		    const struct service_ref *ref)
{
	/* Of a Service with ports the same endpoints are told with each. */
	if (port->addresses && service->port_count)
		return false;
	if (ref && !service_ref_covers_port(ref, port->name, port->port))
		return false;
	return port->has_vip || port->endpoint_count || has_family(service, port->family);
}

static bool is_first_of_its_kind(const struct selection *selection, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (same_service_port(&selection->ports[i], &selection->ports[index]))
			return false;
	}
	return true;
}

unsigned explain_ports(const struct service *service, const struct selection *selection,
		       const struct service_ref *ref, const struct selected_port **ports)
{
	static const enum ip_family families[] = {IP_FAMILY_4, IP_FAMILY_6};
	unsigned count = 0;

	/* The selection goes by family first, and within each by the Service's order. */
	for (unsigned i = 0; i < selection->port_count; i++) {
		if (!is_first_of_its_kind(selection, i))
			continue;
		for (unsigned f = 0; f < 2; f++) {
			for (unsigned j = i; j < selection->port_count; j++) {
				const struct selected_port *port = &selection->ports[j];

				if (port->family == families[f] &&
				    same_service_port(port, &selection->ports[i]) &&
				    is_told(service, port, ref))
					ports[count++] = port;
			}
		}
	}
	return count;
}

const char *explain_zone_of_node(const struct world *world, const char *node)
{
	const char *zone = NULL;

	for (unsigned i = 0; i < world->count; i++) {
		const struct service_state *state = &world->services[i];

		for (unsigned s = 0; s < state->slice_count; s++) {
			const struct endpoint_slice *slice = state->slices[s];

			for (unsigned e = 0; e < slice->endpoint_count; e++) {
				const struct slice_endpoint *endpoint = &slice->endpoints[e];

				if (!endpoint->zone[0] || strcmp(endpoint->node_name, node) != 0)
					continue;
				if (zone && strcmp(zone, endpoint->zone) != 0)
					return NULL;
				zone = endpoint->zone;
			}
		}
	}
	return zone;
}

const char *explain_why_skipped(const struct service *service)
{
	if (service->external_name)
		return "type ExternalName: a DNS alias, which no proxy serves";
	if (service->other_proxy)
		return "label service.kubernetes.io/service-proxy-name: left to another proxy";
	if (!service->headless && service->cluster_ip_count == 0)
		return "no cluster IP";
	return NULL;
}

void explain_topology(const struct selected_port *port, const struct select_location *location,
		      char *text, size_t size)
{
	unsigned ready = 0;
	unsigned with_zone = 0;
	unsigned with_node = 0;

	for (unsigned i = 0; i < port->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = port->endpoints[i].endpoint;

		if (!endpoint->ready)
			continue;
		ready++;
		with_zone += endpoint->zone_hint_count > 0;
		with_node += endpoint->node_hint_count > 0;
	}
	if (port->topology == SELECT_TOPOLOGY_NODE)
		snprintf(text, size, "every ready endpoint has node hints, and some name %s",
			 location->node);
	else if (port->topology == SELECT_TOPOLOGY_ZONE)
		snprintf(text, size, "every ready endpoint has zone hints, and some name %s",
			 location->zone);
	else if (port->local_only)
		snprintf(text, size, "policy Local looks at no hints");
	else if (ready == 0)
		snprintf(text, size, "no endpoint is ready");
	else if (with_zone == 0 && with_node == 0)
		snprintf(text, size, "no hints");
	else if (with_zone < ready && with_node < ready)
		snprintf(text, size, "%u of %u ready endpoints have no zone hint",
			 ready - with_zone, ready);
	else if (with_zone == ready && !location->zone[0])
		snprintf(text, size, "the zone here is not known");
	else if (with_zone == ready)
		snprintf(text, size, "no hint names zone %s", location->zone);
	else if (!location->node[0])
		snprintf(text, size, "the node here is not known");
	else
		snprintf(text, size, "no hint names node %s", location->node);
}
